package amf

import (
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
)

func TestDecoder(t *testing.T) {
	b := unhex(t, "02000161"+"0005"+strings.Repeat("00", 7)+"03000009"+"ff")
	d := NewDecoder(b, Limits{})
	for i, want := range []int{4, 13, 17} {
		if _, err := d.Next(); err != nil || d.Offset() != want {
			t.Fatalf("value %d: offset %d, error %v, want offset %d", i, d.Offset(), err, want)
		}
	}
	for range 2 {
		_, err := d.Next()
		if !errors.Is(err, ErrMarker) || d.Offset() != 17 {
			t.Fatalf("offset %d, error %v", d.Offset(), err)
		}
		if want := "amf: value at byte 17: byte 18: bad marker 0xff"; err.Error() != want {
			t.Fatalf("error %q, want %q", err, want)
		}
		if skip := d.Skip(); skip != err {
			t.Fatalf("Skip after an error: %v", skip)
		}
	}
	d = NewDecoder(nil, Limits{})
	for range 2 {
		if _, err := d.Next(); err != io.EOF {
			t.Fatalf("error %v at the end", err)
		}
		if err := d.Skip(); err != io.EOF {
			t.Fatalf("error %v at the end", err)
		}
	}
}

// TestSkip: skipping any of the values of a body leaves the others as they are.
func TestSkip(t *testing.T) {
	for _, c := range append(golden[:len(golden):len(golden)], struct {
		name   string
		hex    string
		values []Value
	}{name: "reference to a skipped value", hex: "0a0000000105" + "070000" + "110903010601" + "11" + "0902" + "11" + "0902"}) {
		b := unhex(t, c.hex)
		all, err := DecodeAll(b, Limits{})
		for i := range all {
			d := NewDecoder(b, Limits{})
			for j := range all {
				if j == i {
					if err := d.Skip(); err != nil {
						t.Fatalf("%s: Skip of value %d: %v", c.name, j, err)
					}
					continue
				}
				if v, err := d.Next(); err != nil || !equal(all[j], v) {
					t.Fatalf("%s: value %d after Skip of %d: %v, %v", c.name, j, i, v, err)
				}
			}
			if _, end := d.Next(); err == nil && end != io.EOF {
				t.Fatalf("%s: error %v at the end", c.name, end)
			}
		}
		// Skip and Next agree on every prefix.
		for n := 0; n < len(b); n += 1 + len(b)/200 {
			next, skip := NewDecoder(b[:n], Limits{}), NewDecoder(b[:n], Limits{})
			for {
				_, err := next.Next()
				if e := skip.Skip(); (e == nil) != (err == nil) || e != nil && e.Error() != err.Error() || next.Offset() != skip.Offset() {
					t.Fatalf("%s: first %d bytes: Next %v, Skip %v", c.name, n, err, e)
				}
				if err != nil {
					break
				}
			}
		}
	}
	b := unhex(t, "02000161"+"00"+"0000000000000000"+"05")
	d := NewDecoder(b, Limits{})
	if n := testing.AllocsPerRun(100, func() {
		d.i, d.values = 0, 0
		if d.Skip() != nil || d.Skip() != nil {
			t.Fatal("cannot skip")
		}
	}); n != 0 {
		t.Errorf("Skip allocates %v times", n)
	}
}

// TestLenient are bodies that break the rules as real encoders do.
func TestLenient(t *testing.T) {
	entries := "000161" + "0101" + "000162" + "05"
	for _, c := range []struct {
		name, hex string
		want      Value
	}{
		{"C-087 count 0", "0800000000" + entries + "000009", ECMAArray{{"a", true}, {"b", nil}}},
		{"C-087 count FFFFFFFF", "08ffffffff" + entries + "000009", ECMAArray{{"a", true}, {"b", nil}}},
		{"C-088 no end", "0800000002" + entries, ECMAArray{{"a", true}, {"b", nil}}},
		{"C-088 part of the end", "0800000002" + entries + "00", ECMAArray{{"a", true}, {"b", nil}}},
		{"C-088 most of the end", "0800000002" + entries + "0000", ECMAArray{{"a", true}, {"b", nil}}},
		{"C-088 no end of an object", "03" + entries, Object{{"a", true}, {"b", nil}}},
		{"C-088 no end at two levels", "03" + "000178" + "03" + entries, Object{{"x", Object{{"a", true}, {"b", nil}}}}},
		{"C-088 no end of a typed object", "10000143" + entries, TypedObject{"C", Object{{"a", true}, {"b", nil}}}},
		{"true is any byte", "0180", true},
		{"a short text as long string", "0c0000000161", "a"},
		{"C-280 AMF3 value in an object", "03" + "000161" + "11" + "0403" + "000009", Object{{"a", 3.0}}},
		{
			"C-280 array, date and reference", "03" + "000161" + "0a00000001" + "05" + "000162" + "0b" + "0000000000000000" + "0000" + "000163" + "070001" + "000009",
			Object{{"a", StrictArray{nil}}, {"b", Date{}}, {"c", StrictArray{nil}}},
		},
		{"the AMF3 marker is for one value", "0a00000002" + "1103" + "0100", StrictArray{true, false}},
	} {
		got, err := DecodeAll(unhex(t, c.hex), Limits{})
		if err != nil || diff([]Value{c.want}, got) != "" {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

func TestHostile(t *testing.T) {
	object := func(n int) string { return "03" + strings.Repeat("000161"+"05", n) + "000009" }
	for _, c := range []struct {
		name, hex string
		want      error
	}{
		{"C-085 nested 10 000 deep", strings.Repeat("03000161", 10000), ErrLimit},
		{"C-085 nested arrays", strings.Repeat("0a00000001", 10000), ErrLimit},
		{"C-085 nested 33 deep", strings.Repeat("0a00000001", 33) + "05", ErrLimit},
		{"C-086 strict array count", "0affffffff" + "050505", ErrTruncated},
		{"C-086 strict array count over the limit", "0a00001000" + strings.Repeat("05", 4096), ErrLimit},
		{"C-089 string length", "02ffff61616161", ErrTruncated},
		{"C-090 long string length", "0c7fffffff", ErrLimit},
		{"C-090 long string length with the sign bit", "0cffffffff", ErrLimit},
		{"C-090 XML length", "0fffffffff", ErrLimit},
		{"long string over the limit", "0c00010001" + strings.Repeat("61", 65537), ErrLimit},
		{"key over the limit", "03" + "0101" + strings.Repeat("61", 257) + "05" + "000009", ErrLimit},
		{"class over the limit", "10" + "0101" + strings.Repeat("61", 257) + "000009", ErrLimit},
		{"half a key length", "0301", ErrTruncated},
		{"key without a value", "03000161", ErrTruncated},
		{"C-092 reference to itself", "03" + "000161" + "070000" + "000009", ErrReference},
		{"C-092 reference to an outer array", "0a00000001" + "0a00000001" + "070000", ErrReference},
		{"C-092 reference out of range", "03000009" + "070001", ErrReference},
		{"C-092 reference to nothing", "07ffff", ErrReference},
		{"C-092 half a reference", "0700", ErrTruncated},
		{"reference nested too deep", "0a00000001" + "05" + strings.Repeat("0a00000001", 32) + "070000", ErrLimit},
		{"C-101 5 000 keys", object(5000), ErrLimit},
		{"5 000 values", strings.Repeat("05", 5000), ErrLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeAll(unhex(t, c.hex), Limits{})
			// 0cffffffff is negative where int has 32 bits.
			if !errors.Is(err, c.want) && !(math.MaxInt == math.MaxInt32 && errors.Is(err, ErrTruncated)) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	for _, ok := range []string{object(4095), strings.Repeat("05", 4096), strings.Repeat("0a00000001", 32) + "05"} {
		if _, err := DecodeAll(unhex(t, ok), Limits{}); err != nil {
			t.Errorf("within the limits: %v", err)
		}
	}
}

func TestC091_Markers(t *testing.T) {
	for m := range 256 {
		b := append([]byte{byte(m)}, make([]byte, 16)...)
		_, err := NewDecoder(b, Limits{}).Next()
		bad := m == 4 || m == 9 || m == 0x0e || m > 0x11
		if errors.Is(err, ErrMarker) != bad {
			t.Errorf("marker %#02x: error %v", m, err)
		}
	}
	got, err := DecodeAll(unhex(t, "02000161"+"05"+"04"), Limits{})
	if diff([]Value{"a", nil}, got) != "" || !errors.Is(err, ErrMarker) {
		t.Errorf("values before a bad marker: %v, %v", got, err)
	}
}

func TestReferencesShareAndCount(t *testing.T) {
	got, err := DecodeAll(unhex(t, "0a00000001"+"05"+"03000009"+"070000"+"070001"), Limits{})
	if want := []Value{StrictArray{nil}, Object{}, StrictArray{nil}, Object{}}; err != nil || diff(want, got) != "" {
		t.Fatalf("%v, %v", got, err)
	}
	// Each array holds the one before it twice: 2^n values.
	doubling := "0a00000001" + "05"
	for i := range 20 {
		ref := string("0123456789abcdef"[i/16]) + string("0123456789abcdef"[i%16])
		doubling += "0a00000002" + "0700" + ref + "0700" + ref
	}
	if _, err := DecodeAll(unhex(t, doubling), Limits{Values: 1 << 15}); !errors.Is(err, ErrLimit) {
		t.Errorf("doubling references: error %v", err)
	}
	// A long text that references repeat.
	text := "0a00000001" + "02ffff" + strings.Repeat("61", 65535)
	for n, want := range map[int]error{16: nil, 17: ErrLimit} {
		if _, err := DecodeAll(unhex(t, text+strings.Repeat("070000", n)), Limits{}); !errors.Is(err, want) {
			t.Errorf("text repeated %d times: error %v, want %v", n, err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	for depth, want := range map[int]error{64: nil, 65: ErrLimit} { // what is deeper could not be written
		if _, err := DecodeAll(unhex(t, strings.Repeat("0a00000001", depth)+"05"), Limits{Depth: 1000}); !errors.Is(err, want) {
			t.Errorf("depth %d: %v, want %v", depth, err, want)
		}
	}
	for _, c := range []struct {
		hex string
		l   Limits
	}{
		{"0a00000001" + "0a00000000", Limits{Depth: 1}},
		{"0505", Limits{Values: 1}},
		{"0200026161", Limits{StringBytes: 1}},
		{"03" + "00026161" + "05" + "000009", Limits{KeyBytes: 1}},
	} {
		b := unhex(t, c.hex)
		if _, err := DecodeAll(b, c.l); !errors.Is(err, ErrLimit) {
			t.Errorf("%s within %+v: error %v", c.hex, c.l, err)
		}
		if _, err := DecodeAll(b, Limits{Depth: -1, Values: -1, StringBytes: -1, KeyBytes: -1}); err != nil {
			t.Errorf("%s within the defaults: %v", c.hex, err)
		}
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestAllocationIsBounded: what is read is never more than a multiple of the bytes that
// are there, whatever they declare.
func TestAllocationIsBounded(t *testing.T) {
	for name, h := range map[string]string{
		"C-085 nested objects":        strings.Repeat("03000161", 10000),
		"C-086 strict array":          "0affffffff" + "050505",
		"C-089 string":                "02ffff61616161",
		"C-090 long string":           "0c7fffffff",
		"C-096 AMF3 array":            "1109" + "ffffffff" + "01",
		"C-096 AMF3 vector":           "110d" + "ffffffff" + "00",
		"C-096 AMF3 vector of object": "1110" + "ffffffff" + "0001",
		"AMF3 dictionary":             "1111" + "ffffffff" + "00",
		"AMF3 byte array":             "110c" + "ffffffff",
		"AMF3 traits":                 "110a" + "fffffffb" + "01",
		"ECMA count":                  "08ffffffff",
		"nested counts":               strings.Repeat("0a00000fff", 32) + strings.Repeat("05", 4000),
	} {
		b := unhex(t, h)
		n := allocated(func() { DecodeAll(b, Limits{}) })
		// A value of one byte takes a 16 byte interface, and a slice that grows has been
		// copied about once; the rest is the decoder and the error.
		if limit := uint64(8<<10 + 80*min(len(b), 4096)); n > limit {
			t.Errorf("%s: %d bytes allocated for %d, allowed are %d", name, n, len(b), limit)
		}
	}
}
