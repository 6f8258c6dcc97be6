package h264

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/codec/bits"
)

// spss hold parameter sets that x264 wrote; what is wanted of them is what ffprobe says.
// core is how many bytes must be there: what follows is usability information.
var spss = []struct {
	name, in string
	core     int
	want     SPS
}{
	{
		"High", spsHigh, 9,
		SPS{Profile: 100, Level: 10, ChromaFormat: 1, BitDepth: 8, BitDepthChroma: 8, RefFrames: 4, Width: 64, Height: 64, SARWidth: 1, SARHeight: 1, FrameRate: 10, Reorder: 2},
	},
	{
		"Baseline", spsBaseline, 10,
		SPS{Profile: 66, Constraints: 0xc0, Level: 30, ChromaFormat: 1, BitDepth: 8, BitDepthChroma: 8, RefFrames: 1, Width: 640, Height: 360, SARWidth: 1, SARHeight: 1, FrameRate: 30000. / 1001},
	},
	{
		"Main, interlaced and cropped", "674d4028eca03c0227ef011000000300100000030321f162d960", 10,
		SPS{Profile: 77, Constraints: 0x40, Level: 40, ChromaFormat: 1, BitDepth: 8, BitDepthChroma: 8, RefFrames: 4, Interlaced: true, Width: 1920, Height: 1080, SARWidth: 1, SARHeight: 1, FrameRate: 25, Reorder: 2},
	},
	{
		"High 4:4:4", "67f4000b919b2859bc7cf808800000030080000018078a14cb", 11,
		SPS{Profile: 244, Level: 11, ChromaFormat: 3, BitDepth: 8, BitDepthChroma: 8, RefFrames: 4, Width: 162, Height: 90, SARWidth: 1, SARHeight: 1, FrameRate: 24, Reorder: 2},
	},
}

func TestSPS(t *testing.T) {
	for _, c := range spss {
		t.Run(c.name, func(t *testing.T) {
			in := unhex(c.in)
			got, err := ParseSPS(in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			for n := range in {
				got, err := ParseSPS(in[:n])
				if (err == nil) != (n >= c.core) {
					t.Errorf("%d bytes: %v", n, err)
				}
				if err == nil && (got.Width != c.want.Width || got.Height != c.want.Height) {
					t.Errorf("%d bytes: %d x %d", n, got.Width, got.Height)
				}
			}
		})
	}
}

// spsOf writes a Baseline parameter set of a size in macroblocks, cropped.
func spsOf(width, height uint32, crop ...uint32) []byte {
	w := bits.NewWriter([]byte{0x67, 66, 0, 30})
	for _, v := range []uint32{0, 0, 2, 1} { // id, frame numbers, order of pictures, references
		w.UE(v)
	}
	w.U(1, 0)
	w.UE(width - 1)
	w.UE(height - 1)
	w.U(2, 3) // frames only, direct inference
	w.Flag(len(crop) > 0)
	for _, v := range crop {
		w.UE(v)
	}
	w.U(2, 1) // no usability information, stop bit
	return w.Bytes()
}

func TestC165_SPSBounds(t *testing.T) {
	for _, c := range []struct {
		name          string
		in            []byte
		width, height int
	}{
		{"4 x 3 macroblocks", spsOf(4, 3), 64, 48},
		{"cropped", spsOf(4, 3, 1, 2, 3, 4), 58, 34},
		{"the largest", spsOf(1024, 1024), 16384, 16384},
		{"larger", spsOf(1025, 3), 0, 0},
		{"65535 x 65535", spsOf(4096, 4096, 0, 0, 0, 0), 0, 0},
		{"65535 x 65535 macroblocks", spsOf(65535, 65535), 0, 0},
		{"4294967296 macroblocks", spsOf(0, 0), 0, 0},
		{"all cropped", spsOf(4, 3, 16, 16, 0, 0), 0, 0},
		{"the largest crop", spsOf(4, 3, 1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1), 0, 0},
	} {
		s, err := ParseSPS(c.in)
		if err != nil || s.Width != c.width || s.Height != c.height {
			t.Errorf("C-165 %s: %d x %d, %v; want %d x %d", c.name, s.Width, s.Height, err, c.width, c.height)
		}
	}
	for name, in := range map[string][]byte{
		"only zeros": append([]byte{0x67, 66, 0, 30}, make([]byte, 100)...),
		"only ones":  {0x67, 100, 255, 255, 255},
		"a slice":    {0x65, 66, 0, 30},
		"header":     {0x67},
		"nothing":    {},
	} {
		if s, err := ParseSPS(in); err == nil {
			t.Errorf("C-165 %s: %+v", name, s)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		profile, constraints, level uint8
		name, levelName             string
	}{
		{66, 0, 30, "Baseline", "3.0"},
		{66, 0xe0, 31, "Constrained Baseline", "3.1"},
		{66, 0x10, 11, "Baseline", "1b"},
		{77, 0, 40, "Main", "4.0"},
		{100, 0, 9, "High", "1b"},
		{100, 0x10, 11, "High", "1.1"},
		{110, 0x10, 51, "High 10 Intra", "5.1"},
		{122, 0, 42, "High 4:2:2", "4.2"},
		{244, 0, 62, "High 4:4:4 Predictive", "6.2"},
		{7, 0, 255, "7", "25.5"},
	} {
		if p, l := ProfileName(c.profile, c.constraints), LevelName(c.profile, c.constraints, c.level); p != c.name || l != c.levelName {
			t.Errorf("%d %#x %d: %q %q, want %q %q", c.profile, c.constraints, c.level, p, l, c.name, c.levelName)
		}
	}
}

func BenchmarkParseSPS(b *testing.B) {
	in := unhex(spsHigh)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseSPS(in)
	}
}
