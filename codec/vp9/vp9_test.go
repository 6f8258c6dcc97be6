package vp9

import (
	"encoding/hex"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/codec/bits"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// testdata reads a file of the recorded frames.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// configs drive reading and writing.
var configs = []struct {
	name, in string
	want     Config
}{
	{"with box", "010000000028820202020000", Config{FullBox: true, Level: 40, BitDepth: 8, Chroma: 1, Primaries: 2, Transfer: 2, Matrix: 2}},
	{"without box", "0028820202020000", Config{Level: 40, BitDepth: 8, Chroma: 1, Primaries: 2, Transfer: 2, Matrix: 2}},
	{"profile 1 without level", "0100870109000000", Config{Profile: 1, BitDepth: 8, Chroma: 3, FullRange: true, Primaries: 1, Transfer: 9}},
	{"profile 3 with data", "03" + "1f" + "c4" + "091009" + "0002" + "aabb", Config{Profile: 3, Level: 31, BitDepth: 12, Chroma: 2, Primaries: 9, Transfer: 16, Matrix: 9, InitData: []byte{0xaa, 0xbb}}},
}

func TestConfig(t *testing.T) {
	for _, c := range configs {
		t.Run(c.name, func(t *testing.T) {
			in := unhex(c.in)
			got, err := ParseConfig(in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			out, err := c.want.AppendBinary([]byte{7})
			if err != nil || hex.EncodeToString(out) != "07"+c.in {
				t.Errorf("written %x, %v", out, err)
			}
			for n := range in {
				if _, err := ParseConfig(in[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
		})
	}
	for _, in := range []string{"020000000028820202020000", "0028020202020000"} {
		if c, err := ParseConfig(unhex(in)); err == nil {
			t.Errorf("%s: %+v", in, c)
		}
	}
	for _, c := range []Config{{}, {BitDepth: 16}, {BitDepth: 8, Chroma: 8}, {BitDepth: 8, InitData: make([]byte, 65536)}} {
		if out, err := c.AppendBinary([]byte{7}); err == nil || len(out) != 1 {
			t.Errorf("%.60v: %x, %v", c, out, err)
		}
	}
}

// rgb writes the header of a key frame of profile 1 and 4:4:4.
func rgb(width, height uint64) []byte {
	var w bits.Writer
	w.U(4, 0b10_10)
	w.U(4, 0b0010) // key, shown
	w.U(24, 0x498342)
	w.U(4, 7<<1)
	w.U(16, width-1)
	w.U(16, height-1)
	return w.Bytes()
}

func TestFrame(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want Frame
	}{
		{"recorded, profile 0", testdata(t, "vp9-0-1080.key"), Frame{Key: true, Show: true, BitDepth: 8, SubsamplingX: true, SubsamplingY: true, Width: 1920, Height: 1080}},
		{"recorded, profile 1", testdata(t, "vp9-1.key"), Frame{Profile: 1, Key: true, Show: true, BitDepth: 8, Width: 322, Height: 180}},
		{"recorded, profile 2", testdata(t, "vp9-2.key"), Frame{Profile: 2, Key: true, Show: true, BitDepth: 10, SubsamplingX: true, SubsamplingY: true, Width: 320, Height: 180}},
		{"recorded, profile 3", testdata(t, "vp9-3.key"), Frame{Profile: 3, Key: true, Show: true, BitDepth: 12, SubsamplingX: true, Width: 320, Height: 180}},
		{"RGB", rgb(5, 16384), Frame{Profile: 1, Key: true, Show: true, BitDepth: 8, Width: 5, Height: 16384}},
		{"RGB, the widest", rgb(16384, 5), Frame{Profile: 1, Key: true, Show: true, BitDepth: 8, Width: 16384, Height: 5}},
		{"C-165 wider", rgb(16385, 16), Frame{Profile: 1, Key: true, Show: true, BitDepth: 8}},
		{"C-165 higher", rgb(16, 16385), Frame{Profile: 1, Key: true, Show: true, BitDepth: 8}},
		{"C-165 far too wide", rgb(65536, 16), Frame{Profile: 1, Key: true, Show: true, BitDepth: 8}},
		{"recorded inter frame", testdata(t, "vp9-3.inter"), Frame{Profile: 3, Show: true}},
		{"existing frame", []byte{0x8a, 0}, Frame{ShowExisting: true}},
	} {
		got, err := ParseFrame(c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
		if key, known := IsKey(c.in); key != c.want.Key || !known {
			t.Errorf("%s: key %v, known %v", c.name, key, known)
		}
		for n := range 9 {
			if n > 1 && !c.want.Key {
				break
			}
			if key, known := IsKey(c.in[:n]); key || n == 0 && known {
				t.Errorf("%s, %d bytes: key %v, known %v", c.name, n, key, known)
			}
			if _, err := ParseFrame(c.in[:n]); c.want.Key && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, %d bytes: %v", c.name, n, err)
			}
		}
	}
	for name, in := range map[string][]byte{
		"another marker":   {0x42, 0x49, 0x83, 0x42, 0, 0, 0, 0, 0, 0},
		"reserved profile": {0xb8, 0x49, 0x83, 0x42, 0, 0, 0, 0, 0, 0},
		"no sync code":     {0x82, 0x49, 0x83, 0x43, 0, 0, 0, 0, 0, 0},
		"RGB in profile 0": {0x82, 0x49, 0x83, 0x42, 0xe0, 0, 0, 0, 0, 0},
	} {
		if f, err := ParseFrame(in); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	in := testdata(t, "vp9-0.key")
	if n := testing.AllocsPerRun(100, func() { IsKey(in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestChroma(t *testing.T) {
	for _, name := range []string{"vp9-0", "vp9-1", "vp9-2", "vp9-3"} {
		f, err := ParseFrame(testdata(t, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseConfig(testdata(t, name+".config"))
		if err != nil || f.Chroma() != c.Chroma || f.BitDepth != c.BitDepth || f.Profile != c.Profile || !c.FullBox {
			t.Errorf("%s: %+v, %v; frame %+v", name, c, err, f)
		}
	}
}

func TestNames(t *testing.T) {
	if got := ProfileName(2) + " " + LevelName(41) + LevelName(0); got != "Profile 2 4.1" {
		t.Error(got)
	}
}

// FuzzVP9 reads b as everything that this package reads. A record that was read can be
// written and reads the same again; a size is never beyond the bound.
func FuzzVP9(f *testing.F) {
	for _, c := range configs {
		f.Add(unhex(c.in))
	}
	f.Add(rgb(5, 5))
	f.Add(testdata(f, "vp9-3.key"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseConfig(b); err == nil {
			out, err := c.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParseConfig(out); err != nil || !cmp.Equal(c, again) {
				t.Fatalf("%+v reads %+v again, %v", c, again, err)
			}
		}
		frame, err := ParseFrame(b)
		key, known := IsKey(b)
		if known != (err == nil) || key != frame.Key || frame.Width < 0 || frame.Width > MaxSize || frame.Height < 0 || frame.Height > MaxSize {
			t.Fatalf("%+v, %v; key %v, known %v", frame, err, key, known)
		}
	})
}

func BenchmarkIsKey(b *testing.B) {
	in := testdata(b, "vp9-0.key")
	b.ReportAllocs()
	for b.Loop() {
		IsKey(in)
	}
}

func BenchmarkParseConfig(b *testing.B) {
	in := unhex(configs[0].in)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseConfig(in)
	}
}
