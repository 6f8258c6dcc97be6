package nal

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// cases hold the same units in both framings; lengths is what Append makes of them.
var cases = []struct {
	name    string
	size    int
	lengths []byte
	annexB  []byte
	units   []string
}{
	{"four bytes", 4, []byte("\x00\x00\x00\x02\x09\xf0\x00\x00\x00\x03\x65\x88\x84"), []byte("\x00\x00\x00\x01\x09\xf0\x00\x00\x00\x01\x65\x88\x84"), []string{"\x09\xf0", "\x65\x88\x84"}},
	{"C-164 two bytes", 2, []byte("\x00\x02\x09\xf0\x00\x01\x65"), []byte("\x00\x00\x00\x01\x09\xf0\x00\x00\x00\x01\x65"), []string{"\x09\xf0", "\x65"}},
	{"C-164 one byte", 1, []byte("\x02\x09\xf0\x01\x65"), []byte("\x00\x00\x00\x01\x09\xf0\x00\x00\x00\x01\x65"), []string{"\x09\xf0", "\x65"}},
	{"nothing", 4, nil, nil, nil},
}

func strings(units []string, unit []byte) []string { return append(units, string(unit)) }

func TestUnits(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for u := range Units(c.lengths, c.size) {
				got = strings(got, u)
			}
			if !slices.Equal(got, c.units) || !Valid(c.lengths, c.size) {
				t.Errorf("units %q, valid %v", got, Valid(c.lengths, c.size))
			}
			var lengths, annexB []byte
			var err error
			for _, u := range c.units {
				if lengths, err = Append(lengths, []byte(u), c.size); err != nil {
					t.Fatal(err)
				}
				annexB = AppendAnnexB(annexB, []byte(u))
			}
			if !bytes.Equal(lengths, c.lengths) || !bytes.Equal(annexB, c.annexB) {
				t.Errorf("written %x and %x", lengths, annexB)
			}
			got = nil
			for u := range AnnexB(c.annexB) {
				got = strings(got, u)
			}
			if !slices.Equal(got, c.units) {
				t.Errorf("Annex B units %q", got)
			}
			for n := range c.lengths { // every prefix yields the units that are whole
				k := 0
				for u := range Units(c.lengths[:n], c.size) {
					if string(u) != c.units[k] {
						t.Fatalf("prefix %d: unit %d is %q", n, k, u)
					}
					k++
				}
			}
		})
	}
}

func TestC166_DamagedUnits(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     string
		size   int
		units  []string
		annexB bool
	}{
		{"length past the end", "\x00\x00\x00\x01\x65\x00\x00\x00\x09\x65", 4, []string{"\x65"}, true},
		{"the largest length", "\xff\xff\xff\xff\x65", 4, nil, false},
		{"zero lengths", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x65", 4, []string{"\x65"}, false},
		{"only zeros", "\x00\x00\x00\x00\x00\x00\x00", 4, nil, false},
		{"no size", "\x01\x65", 0, nil, false},
		{"Annex B", "\x00\x00\x00\x01\x65\x88\x84\x21\xa0", 4, []string{"\x65"}, true},
		{"Annex B, three bytes", "\x00\x00\x01\x65\x88\x84\x21\xa0", 4, nil, true},
		{"a length that looks like a start code", "\x00\x00\x01\x00" + string(make([]byte, 256)), 4, []string{string(make([]byte, 256))}, false},
	} {
		var got []string
		for u := range Units([]byte(c.in), c.size) {
			got = strings(got, u)
		}
		if !slices.Equal(got, c.units) {
			t.Errorf("C-166 %s: units %q, want %q", c.name, got, c.units)
		}
		if got := IsAnnexB([]byte(c.in), c.size); got != c.annexB {
			t.Errorf("C-166 %s: IsAnnexB is %v", c.name, got)
		}
	}
}

func TestAnnexBZeros(t *testing.T) {
	in := []byte("junk\x00\x00\x01\x67\x42\x00\x00\x00\x00\x01\x68\x00\x00\x01\x00\x00\x01\x65\x88\x00\x00\x00")
	var got []string
	for u := range AnnexB(in) {
		got = strings(got, u)
	}
	if want := []string{"\x67\x42", "\x68", "\x65\x88"}; !slices.Equal(got, want) {
		t.Errorf("units %q, want %q", got, want)
	}
}

func TestBreakOff(t *testing.T) {
	for range Units([]byte{1, 5, 1, 6}, 1) {
		break
	}
	for range AnnexB([]byte{0, 0, 1, 5, 0, 0, 1, 6}) {
		break
	}
}

func TestAppendTooLong(t *testing.T) {
	for size, n := range map[int]int{1: 256, 2: 65536, 0: 1, 5: 1} {
		if b, err := Append(nil, make([]byte, n), size); err == nil || len(b) > 0 {
			t.Errorf("%d bytes behind %d: %x, %v", n, size, b, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 1, 300)).Draw(t, "units")
		size := rapid.SampledFrom([]int{2, 3, 4}).Draw(t, "size")
		var b []byte
		for _, u := range in {
			b, _ = Append(b, u, size)
		}
		i := 0
		for u := range Units(b, size) {
			if !bytes.Equal(u, in[i]) {
				t.Fatalf("unit %d is %x, want %x", i, u, in[i])
			}
			i++
		}
		if i != len(in) || !Valid(b, size) {
			t.Fatalf("%d units of %d", i, len(in))
		}
	})
}

func TestNoAllocation(t *testing.T) {
	b, a := cases[0].lengths, cases[0].annexB
	n := 0
	if allocs := testing.AllocsPerRun(100, func() {
		for u := range Units(b, 4) {
			n += len(u)
		}
		for u := range AnnexB(a) {
			n += len(u)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkUnits(b *testing.B) {
	var in []byte
	for range 8 {
		in, _ = Append(in, make([]byte, 4000), 4)
	}
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		for u := range Units(in, 4) {
			_ = u
		}
	}
}
