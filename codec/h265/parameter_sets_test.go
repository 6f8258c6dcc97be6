package h265

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/codec/bits"
)

// setWriter writes parameter sets field by field.
type setWriter struct{ bits.Writer }

func (w *setWriter) ue(values ...uint32) {
	for _, v := range values {
		w.UE(v)
	}
}

// profile writes profile_tier_level with sub layers above the first, of which the lowest
// has both profile and level.
func (w *setWriter) profile(sub int) {
	w.U(8, 2)
	w.U(32, 0x20000000)
	w.U(48, 0x9000_0000_0000)
	w.U(8, 123)
	if sub == 0 {
		return
	}
	w.U(2, 3)
	w.U(2*(sub-1)+2*(8-sub), 0)
	w.U(64, 1)
	w.U(32, 1)
}

// bytes ends the set and puts in the emulation prevention bytes.
func (w *setWriter) bytes() []byte {
	w.U(1, 1)
	var out []byte
	zeros := 0
	for _, b := range w.Bytes() {
		if zeros == 2 && b <= 3 {
			out, zeros = append(out, 3), 0
		}
		if out = append(out, b); b != 0 {
			zeros = 0
		} else {
			zeros++
		}
	}
	return out
}

// sps writes a set of a size that uses every tool that has to be passed over.
func sps(width, height uint32, window ...uint32) []byte {
	w := &setWriter{bits.NewWriter([]byte{TypeSPS << 1, 1})}
	w.U(4, 0)
	w.U(3, 2) // three sub layers
	w.U(1, 0)
	w.profile(2)
	w.ue(3, 1, width, height)
	w.Flag(len(window) > 0)
	w.ue(window...)
	w.ue(2, 2, 4) // 10 bits, 8 bits of picture order
	w.U(1, 1)
	w.ue(4, 0, 0, 4, 1, 0, 4, 3, 0)
	w.ue(0, 3, 0, 3, 0, 0)
	w.U(2, 3) // scaling lists with data
	for i := range 20 {
		switch i {
		case 0:
			w.U(1, 0)
			w.ue(0)
			continue
		}
		w.U(1, 1)
		for range scalingSize(i) {
			w.ue(1)
		}
	}
	w.U(2, 0)
	w.U(1, 1) // PCM
	w.U(8, 0x77)
	w.ue(0, 0)
	w.U(1, 0)
	w.ue(3) // reference picture sets: one of 2+1 pictures, one from it less one, one from that
	w.ue(2, 1)
	for range 3 {
		w.ue(0)
		w.U(1, 1)
	}
	w.U(2, 2)
	w.ue(0)
	w.U(5, 0b1_00_1_1) // used; not used, no delta; used; used
	w.U(2, 2)
	w.ue(0)
	w.U(7, 0b01_01_01_1) // not used but delta, thrice; used
	w.U(1, 1)            // long-term pictures
	w.ue(2)
	w.U(18, 0)
	w.U(2, 0)
	w.U(1, 1) // VUI
	w.U(1, 1)
	w.U(8, 255)
	w.U(32, 4<<16|3)
	w.U(2, 3)             // overscan
	w.U(6, 0b1_101_0_1)   // video signal
	w.U(24, 1<<16|1<<8|1) // colours
	w.U(1, 1)             // chroma location
	w.ue(0, 0)
	w.U(3, 0)
	w.U(1, 1) // default display window
	w.ue(0, 0, 0, 8)
	w.U(1, 1)
	w.U(32, 1001)
	w.U(32, 60000)
	return w.bytes()
}

// scalingSize is how many coefficients scaling list i of 20 has.
func scalingSize(i int) int {
	switch {
	case i < 6:
		return 16
	case i < 12:
		return 64
	}
	return 65
}

var spss = []struct {
	name string
	in   []byte
	core int // bytes up to the size
	want SPS
}{
	{
		"Main by x265", unhex(spsMain), 23,
		SPS{Profile: 1, Compatibility: 0x60000000, Constraints: 0x9000_0000_0000, Level: 30, SubLayers: 1, TemporalIDNested: true, ChromaFormat: 1, BitDepth: 8, BitDepthChroma: 8, Width: 64, Height: 64, Reorder: 2, SARWidth: 1, SARHeight: 1, FrameRate: 10},
	},
	{
		"every tool", sps(1920, 1088, 0, 0, 0, 4), 46,
		SPS{Profile: 2, Compatibility: 0x20000000, Constraints: 0x9000_0000_0000, Level: 123, SubLayers: 3, ID: 3, ChromaFormat: 1, BitDepth: 10, BitDepthChroma: 10, Width: 1920, Height: 1080, Reorder: 3, SARWidth: 4, SARHeight: 3, FrameRate: 60000. / 1001},
	},
}

func TestSPS(t *testing.T) {
	for _, c := range spss {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseSPS(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			for n := range c.in {
				got, err := ParseSPS(c.in[:n])
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

func TestC165_SPSBounds(t *testing.T) {
	for _, c := range []struct {
		name          string
		in            []byte
		width, height int
	}{
		{"the largest", sps(16384, 16384), 16384, 16384},
		{"wider", sps(16385, 8), 0, 0},
		{"higher", sps(8, 16385), 0, 0},
		{"65535 x 65535", sps(65535, 65535), 0, 0},
		{"nothing", sps(0, 0), 0, 0},
		{"all cropped", sps(64, 64, 16, 16, 0, 0), 0, 0},
		{"the largest crop", sps(64, 64, 1<<32-1, 1<<32-1, 1<<32-1, 1<<32-1), 0, 0},
	} {
		s, err := ParseSPS(c.in)
		if err != nil || s.Width != c.width || s.Height != c.height {
			t.Errorf("C-165 %s: %d x %d, %v; want %d x %d", c.name, s.Width, s.Height, err, c.width, c.height)
		}
	}
	for name, in := range map[string][]byte{
		"only zeros":      append([]byte{0x42, 1}, make([]byte, 100)...),
		"another layer":   append([]byte{0x42, 9}, unhex(spsMain)[2:]...),
		"a picture's set": unhex(ppsMain),
		"nothing":         {},
	} {
		if s, err := ParseSPS(in); err == nil {
			t.Errorf("C-165 %s: %+v", name, s)
		}
	}
}

// vps writes a set with layer sets, and a clock behind them.
func vps(sets uint32, tick, scale uint64) []byte {
	w := &setWriter{bits.NewWriter([]byte{TypeVPS << 1, 1})}
	w.U(12, 0x300)
	w.U(3, 1)
	w.U(17, 1<<16|0xffff)
	w.profile(1)
	w.U(1, 0)
	w.ue(4, 0, 0)
	w.U(6, 1)
	w.ue(sets)
	for range min(sets, 2000) {
		w.U(2, 3)
	}
	w.U(1, 1)
	w.U(32, tick)
	w.U(32, scale)
	return w.bytes()
}

func TestVPSFrameRate(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want float64
	}{
		{"in the set", vps(0, 1, 50), 50},
		{"after layer sets", vps(3, 1, 50), 50},
		{"1023 layer sets", vps(1023, 1, 50), 50},
		{"too many layer sets", vps(1024, 1, 50), 0},
		{"not there", unhex(vpsMain), 0},
		{"cut short", vps(0, 1, 50)[:30], 0},
		{"another set", unhex(spsMain), 0},
		{"nothing", nil, 0},
	} {
		if got := VPSFrameRate(c.in); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		profile     uint8
		constraints uint64
		want        string
	}{
		{1, 0, "Main"},
		{2, 0x9000_0000_0000, "Main 10"},
		{3, 0, "Main Still Picture"},
		{4, 0x9d08_0000_0000, "Main 4:2:2 10"},
		{4, 0x9e08_0000_0000, "Main 4:4:4"},
		{4, 0x9988_0000_0000, "Main 12"},
		{4, 0x99c8_0000_0000, "Monochrome 12"},
		{4, 0x9020_0000_0000, "Main 4:4:4 16 Intra"},
		{4, 0x9e30_0000_0000, "Main 4:4:4 Still Picture"},
		{4, 0x9000_0000_0000, "Range Extensions"},
		{9, 0, "Screen-Extended"},
		{31, 0, "31"},
	} {
		if got := ProfileName(c.profile, c.constraints); got != c.want {
			t.Errorf("%d %x: %q, want %q", c.profile, c.constraints, got, c.want)
		}
	}
	for level, want := range map[uint8]string{30: "1.0", 93: "3.1", 120: "4.0", 153: "5.1", 186: "6.2"} {
		if got := LevelName(level); got != want {
			t.Errorf("%d: %q, want %q", level, got, want)
		}
	}
}

func BenchmarkParseSPS(b *testing.B) {
	in := unhex(spsMain)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseSPS(in)
	}
}
