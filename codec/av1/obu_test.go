package av1

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOBUs(t *testing.T) {
	long := bytes.Repeat([]byte{1}, 300)
	in := AppendOBU(nil, TypeTemporalDelimiter, nil)
	in = AppendOBU(in, TypeMetadata, long)
	in = append(in, TypeFrame<<3|6, 0x48, 2, 8, 9) // with extension
	in = append(in, TypePadding<<3, 5, 6)          // without size
	var got []OBU
	for u := range OBUs(in) {
		got = append(got, u)
	}
	want := []OBU{
		{Type: TypeTemporalDelimiter, Data: []byte{0x12, 0}, Payload: []byte{}},
		{Type: TypeMetadata, Data: slices.Concat([]byte{0x2a, 0xac, 2}, long), Payload: long},
		{Type: TypeFrame, TemporalID: 2, SpatialID: 1, Data: []byte{0x36, 0x48, 2, 8, 9}, Payload: []byte{8, 9}},
		{Type: TypePadding, Data: []byte{0x78, 5, 6}, Payload: []byte{5, 6}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for range OBUs(in) {
		break
	}
	for n := range in {
		k := 0
		for u := range OBUs(in[:n]) {
			if u.Type != want[k].Type {
				t.Fatalf("%d bytes: unit %d is %+v", n, k, u)
			}
			k++
		}
	}
}

func TestNextDamaged(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		err  error
	}{
		{"nothing", nil, io.ErrUnexpectedEOF},
		{"forbidden bit", []byte{0x80}, ErrForbidden},
		{"no extension", []byte{0x0c}, io.ErrUnexpectedEOF},
		{"no size", []byte{0x0a}, io.ErrUnexpectedEOF},
		{"size past the end", []byte{0x0a, 2, 0}, io.ErrUnexpectedEOF},
		{"a size of 9 bytes", append([]byte{0x0a}, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0), io.ErrUnexpectedEOF},
		{"a size of 40 bits", append([]byte{0x0a}, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f), io.ErrUnexpectedEOF},
	} {
		if u, _, err := Next(c.in); !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v", c.name, u, err)
		}
	}
}

func TestIsKey(t *testing.T) {
	seq := string(AppendOBU(nil, TypeSequenceHeader, headers[0].in))
	for _, c := range []struct {
		name       string
		in         string
		key, known bool
	}{
		{"key frame", seq + "\x32\x01\x10", true, true},
		{"key frame behind a delimiter", "\x12\x00" + seq + "\x32\x01\x10", true, true},
		{"key frame in header and tiles", seq + "\x1a\x01\x10\x22\x01\x00", true, true},
		{"key frame without sequence header", "\x32\x01\x10", false, false},
		{"key frame not shown", seq + "\x32\x01\x00", false, true},
		{"inter frame", "\x32\x01\x30", false, true},
		{"intra-only frame", seq + "\x32\x01\x50", false, true},
		{"switch frame", "\x32\x01\x70", false, true},
		{"existing frame", "\x1a\x01\x80", false, true},
		{"still picture", "\x0a\x01\x18\x32\x01\x00", true, true},
		{"no frame", seq, false, false},
		{"an empty frame", "\x32\x00", false, false},
		{"nothing", "", false, false},
		{"damaged", "\x80\x00", false, false},
		{"many units", string(bytes.Repeat([]byte{0x7a, 0}, 100)) + "\x32\x01\x30", false, false},
		{"recorded key frame", string(testdata(t, "av1-main10.key")), true, true},
		{"recorded inter frame", string(testdata(t, "av1-main10.inter")), false, true},
	} {
		if key, known := IsKey([]byte(c.in)); key != c.key || known != c.known {
			t.Errorf("%s: key %v, known %v; want %v, %v", c.name, key, known, c.key, c.known)
		}
	}
	in := testdata(t, "av1-main.key")
	if n := testing.AllocsPerRun(100, func() { IsKey(in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkIsKey(b *testing.B) {
	in := testdata(b, "av1-main.key")
	b.ReportAllocs()
	for b.Loop() {
		IsKey(in)
	}
}

// FuzzAV1 reads b as everything that this package reads. A record that was read can be
// written and reads the same again; a size is never beyond the bound.
func FuzzAV1(f *testing.F) {
	for _, c := range configs {
		f.Add(unhex(c.in))
	}
	for _, c := range headers {
		f.Add(c.in)
	}
	f.Add(testdata(f, "av1-main.inter"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseConfig(b); err == nil {
			out, err := c.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParseConfig(out); err != nil || !cmp.Equal(c, again) {
				t.Fatalf("%+v reads %+v again, %v", c, again, err)
			}
			_, _ = c.SequenceHeader()
		}
		if s, err := ParseSequenceHeader(b); err == nil && (s.Width < 0 || s.Width > MaxSize || s.Height < 0 || s.Height > MaxSize || s.FrameRate < 0 || s.FrameRate > maxRate) {
			t.Fatalf("%+v", s)
		}
		_, _ = NewConfig(b)
		if key, known := IsKey(b); key && !known {
			t.Fatal("key, but not known")
		}
		n := 0
		for u := range OBUs(b) {
			n += len(u.Data)
		}
		if n > len(b) {
			t.Fatalf("units of %d bytes in %d", n, len(b))
		}
	})
}
