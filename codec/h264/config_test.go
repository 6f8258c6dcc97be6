package h264

import (
	"encoding/hex"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

const (
	spsHigh     = "6764000aacd94426c044000003000400000300503c489658"
	ppsHigh     = "68ef81372c"
	spsBaseline = "6742c01eda0280bfe5c04400000fa40003a9803c58ba80"
	ppsBaseline = "68ce013720"
)

// configs drive reading and writing; whole is how many bytes must be there for the record
// to be read: what follows is the part for High profiles.
var configs = []struct {
	name  string
	in    string
	whole int
	want  Config
}{
	{
		"Baseline", "0142c01effe10017" + spsBaseline + "010005" + ppsBaseline, 39,
		Config{Profile: 66, Compatibility: 0xc0, Level: 30, LengthSize: 4, SPS: [][]byte{unhex(spsBaseline)}, PPS: [][]byte{unhex(ppsBaseline)}},
	},
	{
		"High", "0164000affe10018" + spsHigh + "010005" + ppsHigh + "fdf8f800", 40,
		Config{
			Profile: 100, Level: 10, LengthSize: 4, SPS: [][]byte{unhex(spsHigh)}, PPS: [][]byte{unhex(ppsHigh)},
			Extended: true, ChromaFormat: 1, BitDepth: 8, BitDepthChroma: 8,
		},
	},
	{
		"High without the part for it", "0164000affe10018" + spsHigh + "010005" + ppsHigh, 40,
		Config{Profile: 100, Level: 10, LengthSize: 4, SPS: [][]byte{unhex(spsHigh)}, PPS: [][]byte{unhex(ppsHigh)}},
	},
	{"C-164 lengths of 1 byte", "014d401efce000", 7, Config{Profile: 77, Compatibility: 0x40, Level: 30, LengthSize: 1}},
	{"C-164 lengths of 2 bytes", "014d401efde000", 7, Config{Profile: 77, Compatibility: 0x40, Level: 30, LengthSize: 2}},
	{
		"several sets and extensions", "016e0028ffe2" + "00026701" + "00026702" + "02" + "000168" + "00026801" + "fefafb01" + "00026d05", 22,
		Config{
			Profile: 110, Level: 40, LengthSize: 4, SPS: [][]byte{{0x67, 1}, {0x67, 2}}, PPS: [][]byte{{0x68}, {0x68, 1}},
			Extended: true, ChromaFormat: 2, BitDepth: 10, BitDepthChroma: 11, SPSExt: [][]byte{{0x6d, 5}},
		},
	},
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
			bare := c.want
			bare.Extended, bare.ChromaFormat, bare.BitDepth, bare.BitDepthChroma, bare.SPSExt = false, 0, 0, 0, nil
			for n := range in {
				got, err := ParseConfig(in[:n])
				switch {
				case n < c.whole && !errors.Is(err, io.ErrUnexpectedEOF):
					t.Errorf("%d bytes: %v", n, err)
				case n >= c.whole && (err != nil || !cmp.Equal(got, bare)):
					t.Errorf("%d bytes: %+v, %v", n, got, err)
				}
			}
		})
	}
}

func TestC164_DamagedConfig(t *testing.T) {
	for _, c := range []struct {
		name, in string
		err      error
	}{
		{"lengths of 3 bytes", "0164001efee000", ErrLengthSize},
		{"31 sets, one there", "0164001fffff0018" + spsHigh, io.ErrUnexpectedEOF},
		{"a set past the end", "0164001fffe1ffff67", io.ErrUnexpectedEOF},
		{"255 picture sets", "0164001fffe0ff0000", io.ErrUnexpectedEOF},
	} {
		if _, err := ParseConfig(unhex(c.in)); !errors.Is(err, c.err) {
			t.Errorf("C-164 %s: %v, want %v", c.name, err, c.err)
		}
	}
	// C-164: wrong reserved bits and bytes after the record do not matter.
	got, err := ParseConfig(unhex("0142c01e03010017" + spsBaseline + "010005" + ppsBaseline + "ffffff"))
	if err != nil || !cmp.Equal(got, configs[0].want) {
		t.Errorf("C-164 reserved bits: %+v, %v", got, err)
	}
	if _, err := ParseConfig(unhex("0064001effe000")); err == nil {
		t.Error("version 0 was accepted")
	}
}

func TestWriteRefused(t *testing.T) {
	for _, c := range []Config{
		{LengthSize: 3},
		{LengthSize: 0},
		{LengthSize: 4, SPS: make([][]byte, 32)},
		{LengthSize: 4, PPS: make([][]byte, 256)},
		{LengthSize: 4, SPS: [][]byte{make([]byte, 65536)}},
		{LengthSize: 4, Extended: true},
		{LengthSize: 4, Extended: true, ChromaFormat: 4, BitDepth: 8, BitDepthChroma: 8},
	} {
		if out, err := c.AppendBinary([]byte{7}); err == nil || len(out) != 1 {
			t.Errorf("%+.100v: %x, %v", c, out, err)
		}
	}
}

func TestNewConfig(t *testing.T) {
	for _, c := range configs[:2] {
		got, err := NewConfig(c.want.SPS, c.want.PPS)
		if err != nil || !cmp.Equal(got, c.want) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	if _, err := NewConfig(nil, nil); err == nil {
		t.Error("made without a parameter set")
	}
	if _, err := NewConfig([][]byte{{0x67}}, nil); err == nil {
		t.Error("made with a damaged parameter set")
	}
}

func TestConfigAllocation(t *testing.T) {
	in := unhex("0164001fffff" + "ffff" + "ffff")
	if n := testing.AllocsPerRun(100, func() { _, _ = ParseConfig(in) }); n > 3 {
		t.Errorf("%v allocations for a hostile count", n)
	}
}

func BenchmarkParseConfig(b *testing.B) {
	in := unhex(configs[1].in)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseConfig(in)
	}
}
