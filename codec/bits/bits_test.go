package bits

import (
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"
)

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type field struct {
			n int // 0: Exp-Golomb
			v uint64
		}
		var fields []field
		var w Writer
		for range rapid.IntRange(0, 20).Draw(t, "fields") {
			f := field{n: rapid.IntRange(0, 64).Draw(t, "n"), v: rapid.Uint64().Draw(t, "v")}
			if f.n == 0 {
				f.v >>= 32
				w.UE(uint32(f.v))
			} else {
				f.v >>= 64 - f.n
				w.U(f.n, f.v)
			}
			fields = append(fields, f)
		}
		r := NewReader(w.Bytes())
		for i, f := range fields {
			got := uint64(0)
			if f.n == 0 {
				got = uint64(r.UE())
			} else {
				got = r.U(f.n)
			}
			if got != f.v || r.Err() != nil {
				t.Fatalf("field %d of %+v = %d, %v", i, fields, got, r.Err())
			}
		}
		if r.Bits() > 7 {
			t.Fatalf("%d bits left", r.Bits())
		}
	})
}

func TestExpGolomb(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		ue   uint32
		err  error
		what string
	}{
		{[]byte{0x80}, 0, nil, "one bit"},
		{[]byte{0b01100000}, 2, nil, "three bits"},
		{[]byte{0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe}, 1<<32 - 2, nil, "31 zeros"},
		{[]byte{0, 0, 0, 0, 0x80, 0, 0, 0, 0}, 1<<32 - 1, nil, "32 zeros"},
		{[]byte{0, 0, 0, 0, 0x80, 0, 0, 0, 0x80}, 0, ErrRange, "32 zeros, too large"},
		{[]byte{0, 0, 0, 0, 0x40, 0, 0, 0, 0}, 0, ErrRange, "33 zeros"},
		{make([]byte, 1000), 0, ErrRange, "only zeros"},
		{[]byte{0, 0}, 0, io.ErrUnexpectedEOF, "cut short in the zeros"},
		{[]byte{0, 1}, 0, io.ErrUnexpectedEOF, "cut short after them"},
	} {
		r := NewReader(c.in)
		if got := r.UE(); got != c.ue || !errors.Is(r.Err(), c.err) {
			t.Errorf("C-165 %s: %d, %v; want %d, %v", c.what, got, r.Err(), c.ue, c.err)
		}
	}
	r := NewReader([]byte{0b1_010_011_0, 0b0100_0010, 0b1_0000000})
	for i, want := range []int32{0, 1, -1, 2, -2} {
		if got := r.SE(); got != want {
			t.Errorf("se %d = %d, want %d", i, got, want)
		}
	}
}

func TestEmulationPrevention(t *testing.T) {
	in := []byte{1, 0, 0, 3, 0, 0, 3, 1, 3, 0, 0, 3}
	r := NewRBSPReader(in)
	for i, want := range []uint64{1, 0, 0, 0, 0, 1, 3, 0, 0} {
		if got := r.U(8); got != want || r.Err() != nil {
			t.Errorf("byte %d = %d, %v; want %d", i, got, r.Err(), want)
		}
	}
	if r.U(1); r.Err() == nil {
		t.Error("read past the end")
	}
	r = NewReader(in)
	if r.Skip(24); r.U(8) != 3 {
		t.Error("a plain reader passed over a byte")
	}
}

func TestSkip(t *testing.T) {
	in := []byte{0xa5, 0, 0, 3, 0, 0xff, 0, 0, 3, 1, 0x5a, 0x81}
	for _, open := range []func([]byte) Reader{NewReader, NewRBSPReader} {
		for first := range 20 {
			for n := range 100 {
				read, skip := open(in), open(in)
				read.U(first)
				skip.U(first)
				for range n {
					read.U(1)
				}
				skip.Skip(n)
				if a, b := read.U(5), skip.U(5); a != b || !errors.Is(read.Err(), skip.Err()) || read.Bits() != skip.Bits() {
					t.Fatalf("after %d and %d bits: %d and %d, %v and %v", first, n, a, b, read.Err(), skip.Err())
				}
			}
		}
	}
}

func TestErrorSticks(t *testing.T) {
	r := NewReader([]byte{0xff, 0xff})
	r.U(9)
	if r.U(8) != 0 || r.Err() == nil || r.U(1) != 0 || r.UE() != 0 || r.Bits() != 0 {
		t.Error("reading went on after an error")
	}
	r = NewReader([]byte{0xff, 0xff})
	if r.Skip(1 << 30); r.Err() == nil {
		t.Error("skipped past the end")
	}
}

func BenchmarkUE(b *testing.B) {
	b.ReportAllocs()
	in := []byte{0x00, 0x0f, 0x42, 0x41}
	for b.Loop() {
		r := NewRBSPReader(in)
		r.UE()
	}
}
