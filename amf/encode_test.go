package amf

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func TestAppendOtherNumbersAndArrays(t *testing.T) {
	got, err := Append(nil, 1, uint32(1), []Value{nil})
	if want := "003ff0000000000000" + "003ff0000000000000" + "0a0000000105"; err != nil || hex.EncodeToString(got) != want {
		t.Fatalf("%x, %v, want %s", got, err, want)
	}
}

func TestAppendNilSlices(t *testing.T) {
	got, err := Append(nil, Object(nil), ECMAArray(nil), StrictArray(nil), TypedObject{}, Bytes(nil))
	want := "03000009" + "0800000000000009" + "0a00000000" + "100000000009" + "110c01"
	if err != nil || hex.EncodeToString(got) != want {
		t.Fatalf("%x, %v, want %s", got, err, want)
	}
}

func TestAppendErrors(t *testing.T) {
	self := make(StrictArray, 1)
	self[0] = self
	long := strings.Repeat("k", 65536)
	for name, v := range map[string]Value{
		"type":           struct{}{},
		"nested type":    Object{{"a", StrictArray{int8(1)}}},
		"pointer":        &Object{},
		"key":            Object{{long, nil}},
		"key in array":   ECMAArray{{long, nil}},
		"class":          TypedObject{Class: long},
		"inside itself":  self,
		"too deep":       nest(65, nil),
		"too many bytes": Bytes(make([]byte, 1<<28)),
	} {
		dst := make([]byte, 3, 1000)
		got, err := Append(dst, "before", v)
		if !errors.Is(err, ErrEncode) {
			t.Errorf("%s: error %v", name, err)
		}
		if len(got) != 3 {
			t.Errorf("%s: dst grew to %d bytes", name, len(got))
		}
	}
	if _, err := Append(nil, nest(64, nil)); err != nil {
		t.Errorf("depth 64: %v", err)
	}
}

// nest returns v inside n arrays.
func nest(n int, v Value) Value {
	for range n {
		v = StrictArray{v}
	}
	return v
}

func TestPrimitivesWriteWhatAppendWrites(t *testing.T) {
	want, err := Append(nil, "a", 1.5, true, false, nil, Undefined{}, strings.Repeat("l", 70000),
		Object{{"k", 1.0}}, ECMAArray{{"k", nil}})
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	got = AppendString(got, "a")
	got = AppendNumber(got, 1.5)
	got = AppendBool(got, true)
	got = AppendBool(got, false)
	got = AppendNull(got)
	got = AppendUndefined(got)
	got = AppendString(got, strings.Repeat("l", 70000))
	got = AppendObjectEnd(AppendNumber(AppendKey(AppendObject(got), "k"), 1))
	got = AppendObjectEnd(AppendNull(AppendKey(AppendECMAArray(got, 1), "k")))
	if !bytes.Equal(got, want) {
		t.Fatalf("%x, want %x", got, want)
	}
	if got := AppendKey(nil, strings.Repeat("k", 65600)); len(got) != 2+65535 {
		t.Errorf("a key too long takes %d bytes", len(got))
	}
}

func TestPrimitivesDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 256)
	n := testing.AllocsPerRun(100, func() {
		b := AppendString(buf, "onStatus")
		b = AppendNull(AppendUndefined(AppendBool(AppendNumber(b, 1), true)))
		b = AppendObjectEnd(AppendString(AppendKey(AppendObject(b), "level"), "status"))
		AppendObjectEnd(AppendECMAArray(b, 0))
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestU29(t *testing.T) {
	for n, want := range map[uint32]string{
		0: "00", 0x7f: "7f", 0x80: "8100", 0x3fff: "ff7f", 0x4000: "818000",
		0x1fffff: "ffff7f", 0x200000: "80c08000", 0x1fffffff: "ffffffff",
	} {
		b := appendU29(nil, n)
		if hex.EncodeToString(b) != want {
			t.Errorf("%#x is written %x, want %s", n, b, want)
		}
		r := reader{b: b}
		if got, err := r.u29(); err != nil || got != int(n) || r.left() != 0 {
			t.Errorf("%x is read as %#x, %v", b, got, err)
		}
	}
}
