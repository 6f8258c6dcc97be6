package amf

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// equal says whether two values are the same, down to the sign of zero and the bits of
// NaN. go-cmp takes time exponential in the nesting.
func equal(a, b Value) bool {
	property := func(a, b Property) bool { return a.Key == b.Key && equal(a.Value, b.Value) }
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && math.Float64bits(a) == math.Float64bits(b)
	case Date:
		b, ok := b.(Date)
		return ok && a.Zone == b.Zone && equal(a.UnixMilli, b.UnixMilli)
	case Bytes:
		b, ok := b.(Bytes)
		return ok && slices.Equal(a, b)
	case Object:
		b, ok := b.(Object)
		return ok && slices.EqualFunc(a, b, property)
	case ECMAArray:
		b, ok := b.(ECMAArray)
		return ok && slices.EqualFunc(a, b, property)
	case TypedObject:
		b, ok := b.(TypedObject)
		return ok && a.Class == b.Class && slices.EqualFunc(a.Properties, b.Properties, property)
	case StrictArray:
		b, ok := b.(StrictArray)
		return ok && slices.EqualFunc(a, b, equal)
	}
	return a == b
}

// diff returns "" if the values are the same.
func diff(want, got []Value) string {
	if slices.EqualFunc(want, got, equal) {
		return ""
	}
	return fmt.Sprintf("want %.500q\ngot  %.500q", fmt.Sprintf("%#v", want), fmt.Sprintf("%#v", got))
}

func TestGetTakesTheLastDuplicate(t *testing.T) {
	o := Object{{"a", 1.0}, {"b", "x"}, {"a", 2.0}, {"n", nil}}
	for _, get := range []func(string) (Value, bool){o.Get, ECMAArray(o).Get} {
		if v, ok := get("a"); !ok || v != 2.0 {
			t.Errorf(`Get("a") = %v, %v`, v, ok)
		}
		if v, ok := get("n"); !ok || v != nil {
			t.Errorf(`Get("n") = %v, %v`, v, ok)
		}
		if v, ok := get("c"); ok {
			t.Errorf(`Get("c") = %v, %v`, v, ok)
		}
	}
	for _, o := range []interface {
		GetString(string) (string, bool)
		GetNumber(string) (float64, bool)
	}{o, ECMAArray(o)} {
		if s, ok := o.GetString("b"); !ok || s != "x" {
			t.Errorf(`GetString("b") = %q, %v`, s, ok)
		}
		if n, ok := o.GetNumber("a"); !ok || n != 2 {
			t.Errorf(`GetNumber("a") = %v, %v`, n, ok)
		}
		if _, ok := o.GetString("a"); ok {
			t.Error("a number is taken for a string")
		}
		if _, ok := o.GetNumber("c"); ok {
			t.Error("an absent key has a number")
		}
	}
}

func TestSet(t *testing.T) {
	o := Object{{"a", 1.0}, {"b", 2.0}, {"a", 3.0}}
	o = o.Set("a", "new").Set("c", true)
	if want := (Object{{"a", 1.0}, {"b", 2.0}, {"a", "new"}, {"c", true}}); !equal(want, o) {
		t.Errorf("%v, want %v", o, want)
	}
	var a ECMAArray
	a = a.Set("k", 1.0).Set("k", 2.0)
	if want := (ECMAArray{{"k", 2.0}}); !equal(want, a) {
		t.Errorf("%v, want %v", a, want)
	}
}

func TestProperties(t *testing.T) {
	want := Object{{"a", 1.0}}
	for _, v := range []Value{want, ECMAArray(want), TypedObject{"C", want}} {
		if got, ok := Properties(v); !ok || !equal(want, got) {
			t.Errorf("Properties(%#v) = %v, %v", v, got, ok)
		}
	}
	for _, v := range []Value{nil, "a", 1.0, StrictArray{want}} {
		if got, ok := Properties(v); ok || got != nil {
			t.Errorf("Properties(%#v) = %v, %v", v, got, ok)
		}
	}
}

func TestC094_Body3(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"00020001610005", "020001610005"}, // the format byte, then AMF0
		{"020001610005", "020001610005"},   // forgotten
		{"00110603610005", "110603610005"}, // a name in AMF3
		{"00", ""},
		{"", ""},
	} {
		if got := hex.EncodeToString(Body3(unhex(t, c.in))); got != c.want {
			t.Errorf("Body3(%s) = %s, want %s", c.in, got, c.want)
		}
	}
}
