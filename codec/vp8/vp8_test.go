package vp8

import (
	"errors"
	"io"
	"os"
	"testing"
)

// testdata reads a file of the recorded frames.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFrame(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want Frame
		head int // bytes that must be there
	}{
		{"recorded key frame", testdata(t, "vp8-360.key"), Frame{Key: true, Show: true, Width: 638, Height: 358}, 10},
		{"recorded inter frame", testdata(t, "vp8.inter"), Frame{Show: true}, 3},
		{"largest, scaled, version 3, not shown", []byte{0x06, 0, 0, 0x9d, 0x01, 0x2a, 0xff, 0xff, 0xff, 0x7f}, Frame{Key: true, Version: 3, Width: 16383, Height: 16383}, 10},
	} {
		got, err := ParseFrame(c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
		if key, known := IsKey(c.in); key != c.want.Key || !known {
			t.Errorf("%s: key %v, known %v", c.name, key, known)
		}
		for n := range c.head {
			if _, err := ParseFrame(c.in[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, %d bytes: %v", c.name, n, err)
			}
			if key, known := IsKey(c.in[:n]); key || known {
				t.Errorf("%s, %d bytes: key %v, known %v", c.name, n, key, known)
			}
		}
	}
	if _, err := ParseFrame(make([]byte, 10)); !errors.Is(err, ErrStartCode) {
		t.Error(err)
	}
	in := testdata(t, "vp8.key")
	if n := testing.AllocsPerRun(100, func() { IsKey(in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzVP8 reads b as a frame.
func FuzzVP8(f *testing.F) {
	f.Add(testdata(f, "vp8-360.key"))
	f.Add(testdata(f, "vp8.inter"))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := ParseFrame(b)
		key, known := IsKey(b)
		if known != (err == nil) || key != frame.Key || frame.Width < 0 || frame.Width > 16383 || frame.Height < 0 || frame.Height > 16383 {
			t.Fatalf("%+v, %v; key %v, known %v", frame, err, key, known)
		}
	})
}

func BenchmarkIsKey(b *testing.B) {
	in := testdata(b, "vp8.key")
	b.ReportAllocs()
	for b.Loop() {
		IsKey(in)
	}
}
