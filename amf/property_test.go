package amf

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyText draws text that need not be UTF-8.
func anyText(most int) *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, most), func(b []byte) string { return string(b) })
}

// anyValue draws a value that holds others to the given depth.
func anyValue(depth int) *rapid.Generator[Value] {
	simple := []*rapid.Generator[Value]{
		rapid.Just[Value](nil),
		rapid.Just[Value](Undefined{}),
		rapid.Just[Value](Unsupported{}),
		rapid.Map(rapid.Bool(), func(v bool) Value { return v }),
		rapid.Map(rapid.Float64(), func(v float64) Value { return v }),
		rapid.Map(anyText(40), func(v string) Value { return v }),
		rapid.Map(rapid.IntRange(65530, 65536), func(n int) Value { return strings.Repeat("x", n) }),
		rapid.Map(anyText(40), func(v string) Value { return XML(v) }),
		rapid.Map(anyText(200), func(v string) Value { return Bytes(v) }),
		rapid.Custom(func(t *rapid.T) Value {
			return Date{rapid.Float64().Draw(t, "ms"), rapid.Int16().Draw(t, "zone")}
		}),
	}
	if depth == 0 {
		return rapid.OneOf(simple...)
	}
	properties := rapid.Custom(func(t *rapid.T) Object {
		ps := Object{}
		for range rapid.IntRange(0, 4).Draw(t, "properties") {
			ps = append(ps, Property{anyText(5).Draw(t, "key"), anyValue(depth-1).Draw(t, "value")})
		}
		return ps
	})
	return rapid.OneOf(append(simple,
		rapid.Map(properties, func(ps Object) Value { return ps }),
		rapid.Map(properties, func(ps Object) Value { return ECMAArray(ps) }),
		rapid.Custom(func(t *rapid.T) Value {
			return TypedObject{anyText(5).Draw(t, "class"), properties.Draw(t, "properties")}
		}),
		rapid.Custom(func(t *rapid.T) Value {
			a := StrictArray{}
			for range rapid.IntRange(0, 4).Draw(t, "elements") {
				a = append(a, anyValue(depth-1).Draw(t, "element"))
			}
			return a
		}),
	)...)
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var vs []Value
		for range rapid.IntRange(0, 4).Draw(t, "values") {
			vs = append(vs, anyValue(4).Draw(t, "value"))
		}
		b, err := Append(nil, vs...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeAll(b, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if d := diff(vs, got); d != "" {
			t.Fatal(d)
		}
		d := NewDecoder(b, Limits{})
		for range vs {
			if err := d.Skip(); err != nil {
				t.Fatal(err)
			}
		}
		if d.Offset() != len(b) {
			t.Fatalf("%d of %d bytes skipped", d.Offset(), len(b))
		}
	})
}

// TestReadAndWriteAgain draws bodies from pieces that are valid in places, so that many
// are read in part: what is read can be written, and is then the same for ever.
func TestReadAndWriteAgain(t *testing.T) {
	pieces := []string{
		"00" + "3ff0000000000000", "0101", "02000161", "03", "000161", "05", "06", "070000", "070001",
		"0800000000", "000009", "0a00000001", "0a00000002", "0b" + "0000000000000000" + "0001", "0c0000000161", "0d", "0f0000000161",
		"10000143", "11", "1104ffffffff", "11060361", "110600", "110a0b01", "0361", "01", "110a00", "110c0361", "110c00",
		"11090301", "11090501", "0901", "110d030000000001", "1111030006036103", "1108010000000000000000", "110802",
	}
	rapid.Check(t, func(t *rapid.T) {
		body, err := hex.DecodeString(strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 40).Draw(t, "pieces"), ""))
		if err != nil {
			t.Fatal(err)
		}
		checkStable(t, body, Limits{})
	})
}

// checkStable reads b and checks all that must hold of what comes out.
func checkStable(t rapid.TB, b []byte, l Limits) {
	t.Helper()
	in := bytes.Clone(b)
	first, readErr := DecodeAll(b, l)
	if !bytes.Equal(in, b) {
		t.Fatal("reading changed the input")
	}
	skip := NewDecoder(b, l)
	for range first {
		if err := skip.Skip(); err != nil {
			t.Fatalf("Skip where Next reads: %v", err)
		}
	}
	if readErr != nil {
		if err := skip.Skip(); err == nil || err.Error() != readErr.Error() {
			t.Fatalf("Skip: %v, Next: %v", err, readErr)
		}
	}
	checkWritten(t, first, len(b), l)
}

// checkWritten writes values that were read from n bytes and reads them again.
func checkWritten(t rapid.TB, first []Value, n int, l Limits) {
	t.Helper()
	l = l.withDefaults()
	written, err := Append(nil, first...)
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	// A value takes at most 9 bytes more than its text, keys and classes.
	if most := n + repeatedStrings*l.StringBytes + l.Values*(16+2*l.KeyBytes); len(written) > most {
		t.Fatalf("%d bytes have become %d", n, len(written))
	}
	second, err := DecodeAll(written, l)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v", err)
	}
	if d := diff(first, second); d != "" {
		t.Fatal(d)
	}
}
