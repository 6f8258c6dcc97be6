package av1

import (
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/codec/bits"
)

// header writes a sequence header with all that has to be passed over.
func header(width, height uint64) []byte {
	var w bits.Writer
	w.U(3, 2)     // Professional
	w.U(2, 0)     // neither still nor reduced
	w.U(1, 1)     // timing
	w.U(32, 1001) //
	w.U(32, 120000)
	w.U(1, 1)
	w.U(3, 0b010) // two ticks a picture
	w.U(1, 1)     // decoder model
	w.U(5, 9)     // delays of 10 bits
	w.U(42, 0)
	w.U(1, 1) // display delay
	w.U(5, 1) // two operating points
	w.U(12, 0x101)
	w.U(5, 13)
	w.U(1, 1) // high tier
	w.U(1, 1)
	w.U(21, 0)
	w.U(1, 1)
	w.U(4, 5)
	w.U(12, 1)
	w.U(5, 4) // a level without tier
	w.U(2, 0)
	w.U(8, 15<<4|15) // 16 bits each
	w.U(16, width-1)
	w.U(16, height-1)
	w.U(1, 1) // frame ids
	w.U(7, 0)
	w.U(3, 0)
	w.U(4, 0)
	w.U(3, 0b100)    // order hint
	w.U(4, 0b0_1_00) // screen content tools forced, integer motion vectors too
	w.U(3, 6)
	w.U(3, 0)
	w.U(3, 0b110) // 12 bits, colour
	w.U(1, 1)
	w.U(24, 9<<16|16<<8|9)
	w.U(1, 1)   // full range
	w.U(2, 3)   // 4:2:0
	w.U(2, 2)   // position
	w.U(3, 0b1) // no separate delta, film grain, trailing bit
	return w.Bytes()
}

// reduced writes the short header of a still picture.
func reduced() []byte {
	var w bits.Writer
	w.U(5, 0b000_11)
	w.U(5, 1)
	w.U(8, 1<<4|1)
	w.U(4, 2<<2|1)
	w.U(6, 0)
	w.U(3, 0b010)
	w.U(1, 0)
	w.U(2, 1)
	return w.Bytes()
}

var headers = []struct {
	name string
	in   []byte
	want SequenceHeader
}{
	{"libaom", unhex("00000002afff9b5f2008"), SequenceHeader{BitDepth: 8, SubsamplingX: true, SubsamplingY: true, Width: 64, Height: 64}},
	{"libaom, 1080", unhex("00000042abbfc3732be401"), SequenceHeader{Level: 8, BitDepth: 8, SubsamplingX: true, SubsamplingY: true, Width: 1920, Height: 1080}},
	{"libaom, 4:4:4", unhex("20000003b4fd936be408"), SequenceHeader{Profile: 1, BitDepth: 8, Width: 160, Height: 90}},
	{
		"every field", header(3840, 2160),
		SequenceHeader{Profile: 2, Level: 13, HighTier: true, BitDepth: 12, SubsamplingX: true, SubsamplingY: true, SamplePosition: 2, FullRange: true, Width: 3840, Height: 2160, FrameRate: 60000. / 1001},
	},
	{"reduced, monochrome", reduced(), SequenceHeader{StillPicture: true, ReducedHeader: true, Level: 1, BitDepth: 8, Monochrome: true, SubsamplingX: true, SubsamplingY: true, Width: 3, Height: 2}},
}

func TestSequenceHeader(t *testing.T) {
	for _, c := range headers {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseSequenceHeader(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			for n := range len(c.in) - 1 { // the last byte may hold only trailing bits
				if _, err := ParseSequenceHeader(c.in[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
		})
	}
	if s, err := ParseSequenceHeader(header(16385, 16)); err != nil || s.Width != 0 || s.Height != 0 {
		t.Errorf("C-165 too wide: %d x %d, %v", s.Width, s.Height, err)
	}
	if _, err := ParseSequenceHeader(append([]byte{0x60}, make([]byte, 40)...)); err == nil {
		t.Error("profile 3 was accepted")
	}
	if _, err := ParseSequenceHeader(append([]byte{4, 0, 0, 0, 0, 0, 0, 0, 2}, make([]byte, 40)...)); err == nil {
		t.Error("C-165 endless zeros were accepted")
	}
}

func BenchmarkParseSequenceHeader(b *testing.B) {
	in := headers[1].in
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseSequenceHeader(in)
	}
}
