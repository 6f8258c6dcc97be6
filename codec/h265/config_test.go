package h265

import (
	"encoding/hex"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/codec/h264"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// testdata reads a file of the recorded records and frames.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	vpsMain = "40010c01ffff01600000030090000003000003001e959409"
	spsMain = "42010101600000030090000003000003001ea0208105965654a4c2f0168080000003008000000504"
	ppsMain = "4401c073c089"
)

// configs drive reading and writing.
var configs = []struct {
	name, in string
	want     Config
}{
	{
		"Main", "0101600000009000000000001ef000fcfdf8f800000f03200001" + "0018" + vpsMain + "210001" + "0028" + spsMain + "220001" + "0006" + ppsMain,
		Config{
			Profile: 1, Compatibility: 0x60000000, Constraints: 0x9000_0000_0000, Level: 30,
			ChromaFormat: 1, BitDepth: 8, BitDepthChroma: 8, TemporalLayers: 1, TemporalIDNested: true, LengthSize: 4,
			Arrays: []Array{
				{Type: TypeVPS, Units: [][]byte{unhex(vpsMain)}},
				{Type: TypeSPS, Units: [][]byte{unhex(spsMain)}},
				{Type: TypePPS, Units: [][]byte{unhex(ppsMain)}},
			},
		},
	},
	{
		"every field", "01" + "e4" + "08000000" + "9d0800000001" + "99" + "f123" + "fe" + "fe" + "fa" + "fb" + "1900" + "51" + "02" + "a00002" + "00024001" + "000140" + "270000",
		Config{
			ProfileSpace: 3, HighTier: true, Profile: 4, Compatibility: 0x08000000, Constraints: 0x9d0800000001, Level: 153,
			MinSpatialSegmentation: 0x123, Parallelism: 2, ChromaFormat: 2, BitDepth: 10, BitDepthChroma: 11, AvgFrameRate: 6400,
			ConstantFrameRate: 1, TemporalLayers: 2, LengthSize: 2,
			Arrays: []Array{{Complete: true, Type: TypeVPS, Units: [][]byte{{0x40, 1}, {0x40}}}, {Type: TypeSEI}},
		},
	},
	{
		"lengths of 1 byte, no parameter sets", "0101600000009000000000001ef000fcfdf8f800000c00",
		Config{
			Profile: 1, Compatibility: 0x60000000, Constraints: 0x9000_0000_0000, Level: 30,
			ChromaFormat: 1, BitDepth: 8, BitDepthChroma: 8, TemporalLayers: 1, TemporalIDNested: true, LengthSize: 1,
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
			for n := range in {
				if _, err := ParseConfig(in[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
		})
	}
}

func TestDamagedConfig(t *testing.T) {
	fixed := "01016000000090000000000000" + "f000fcfdf8f80000"
	for _, c := range []struct {
		name, in string
		err      error
	}{
		{"lengths of 3 bytes", fixed + "0e00", ErrLengthSize},
		{"255 arrays", fixed + "0fff", io.ErrUnexpectedEOF},
		{"65535 units", fixed + "0f01" + "21ffff" + "00", io.ErrUnexpectedEOF},
		{"a unit past the end", fixed + "0f01" + "210001" + "ffff42", io.ErrUnexpectedEOF},
		{"257 units", fixed + "0f01" + "210101" + hex.EncodeToString(make([]byte, 600)), ErrTooMany},
	} {
		if _, err := ParseConfig(unhex(c.in)); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
	}
	if _, err := ParseConfig(unhex("02" + configs[0].in[2:])); err == nil {
		t.Error("version 2 was accepted")
	}
}

func TestWriteRefused(t *testing.T) {
	good := Config{LengthSize: 4, BitDepth: 8, BitDepthChroma: 8}
	for i, change := range []func(*Config){
		func(c *Config) { c.LengthSize = 3 },
		func(c *Config) { c.BitDepth = 7 },
		func(c *Config) { c.Constraints = 1 << 48 },
		func(c *Config) { c.Profile = 32 },
		func(c *Config) { c.Arrays = make([]Array, 256) },
		func(c *Config) { c.Arrays = []Array{{Type: 64}} },
		func(c *Config) { c.Arrays = []Array{{Units: make([][]byte, 257)}} },
		func(c *Config) { c.Arrays = []Array{{Units: [][]byte{make([]byte, 65536)}}} },
	} {
		c := good
		change(&c)
		if out, err := c.AppendBinary([]byte{7}); err == nil || len(out) != 1 {
			t.Errorf("change %d: %x, %v", i, out, err)
		}
	}
}

func TestNewConfig(t *testing.T) {
	want := configs[0].want
	got, err := NewConfig(want.Arrays[0].Units, want.Arrays[1].Units, want.Arrays[2].Units)
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if _, err := NewConfig(nil, nil, nil); err == nil {
		t.Error("made without a parameter set")
	}
}

func TestC278_LooksLikeConfig(t *testing.T) {
	avc := testdata(t, "h264-high.config")
	for _, c := range []struct {
		name string
		in   []byte
		want bool
	}{
		{"hvcC", unhex(configs[0].in), true},
		{"hvcC without a sequence parameter set", unhex(configs[2].in), false},
		{"hvcC with a unit of another type", unhex(configs[0].in[:2*26] + "0018" + "42" + configs[0].in[2*29:]), false},
		{"avcC", avc, false},
		{"nothing", nil, false},
	} {
		if got := LooksLikeConfig(c.in); got != c.want {
			t.Errorf("C-278 %s: %v", c.name, got)
		}
	}
	// An H.265 record in the place of an H.264 one: whatever its reader makes of that,
	// there is no parameter set in it.
	for _, name := range []string{"h265-main", "h265-main-1080", "h265-422-10"} {
		b := testdata(t, name+".config")
		if c, err := h264.ParseConfig(b); err == nil && len(c.SPS) > 0 {
			if _, err := h264.ParseSPS(c.SPS[0]); err == nil {
				t.Errorf("C-278 %s reads as H.264: %+v", name, c)
			}
		}
		if !LooksLikeConfig(b) {
			t.Errorf("C-278 %s was not recognised", name)
		}
	}
}

func TestConfigAllocation(t *testing.T) {
	in := unhex("01016000000090000000000000" + "f000fcfdf8f80000" + "0fff" + "21ffff")
	if n := testing.AllocsPerRun(100, func() { _, _ = ParseConfig(in) }); n > 3 {
		t.Errorf("%v allocations for a hostile count", n)
	}
}

func BenchmarkParseConfig(b *testing.B) {
	in := unhex(configs[0].in)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseConfig(in)
	}
}
