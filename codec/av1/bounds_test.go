package av1

import (
	"bytes"
	"testing"

	"weir/codec/bits"
)

// TestUnitsBound: a frame is found as the 64th unit of a temporal unit, and not as the next.
func TestUnitsBound(t *testing.T) {
	for others, want := range map[int]bool{63: true, 64: false} {
		in := append(bytes.Repeat([]byte{TypePadding<<3 | 2, 0}, others), 0x32, 1, 0x30)
		if _, known := IsKey(in); known != want {
			t.Errorf("behind %d units: known %v", others, known)
		}
	}
}

// sized writes a sequence header of a size, which declares a clock.
func sized(tick, scale, width, height uint64) []byte {
	var w bits.Writer
	w.U(5, 0) // Main, neither still nor reduced
	w.U(1, 1) // timing
	w.U(32, tick)
	w.U(32, scale)
	w.U(4, 0b1_1_0_0) // a tick a picture, no decoder model, no display delay
	w.U(5, 0)         // one operating point
	w.U(12, 0)
	w.U(5, 4)
	w.U(8, 15<<4|15) // 16 bits each
	w.U(16, width-1)
	w.U(16, height-1)
	w.U(4, 0)
	w.U(4, 0)
	w.U(3, 0b0_1_1) // no order hint; tools are chosen by each frame
	w.U(3, 0)
	w.U(8, 0) // 8 bits, colour, nothing said of it, no film grain
	w.U(8, 0x80)
	return w.Bytes()
}

// TestSequenceHeaderBounds: 16,384 pixels in either direction and 1,000 pictures a second are
// believed, and nothing above.
func TestSequenceHeaderBounds(t *testing.T) {
	const tick = 1_000_000
	for _, c := range []struct {
		scale         uint64
		width, height uint64
		want          SequenceHeader
	}{
		{25 * tick, 16384, 16384, SequenceHeader{Width: 16384, Height: 16384, FrameRate: 25}},
		{25 * tick, 16385, 16, SequenceHeader{FrameRate: 25}},
		{25 * tick, 16, 16385, SequenceHeader{FrameRate: 25}},
		{1000 * tick, 64, 48, SequenceHeader{Width: 64, Height: 48, FrameRate: 1000}},
		{1000*tick + 1, 64, 48, SequenceHeader{Width: 64, Height: 48}},
	} {
		s, err := ParseSequenceHeader(sized(tick, c.scale, c.width, c.height))
		if err != nil || s.Width != c.want.Width || s.Height != c.want.Height || s.FrameRate != c.want.FrameRate {
			t.Errorf("%d x %d, %d per %d: %d x %d, %v, %v", c.width, c.height, c.scale, tick, s.Width, s.Height, s.FrameRate, err)
		}
	}
}
