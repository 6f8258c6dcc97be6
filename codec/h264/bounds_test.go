package h264

import (
	"bytes"
	"testing"

	"weir/codec/bits"
)

// TestUnitsBound: a slice is found as the 128th unit of an access unit, and not as the next.
func TestUnitsBound(t *testing.T) {
	for fillers, want := range map[int]bool{127: true, 128: false} {
		in := append(bytes.Repeat([]byte{0, 0, 1, TypeFiller}, fillers), 0, 0, 1, 0x65, 0x88)
		if key, known := IsKey(in, 0); key != want || known != want {
			t.Errorf("behind %d units: key %v, known %v", fillers, key, known)
		}
	}
}

// monochrome writes a parameter set whose size can be cropped pixel by pixel at the right and the bottom.
func monochrome(width, height, right, bottom uint32) []byte {
	w := bits.NewWriter([]byte{0x67, 100, 0, 30})
	for _, v := range []uint32{0, 0, 0, 0} { // id, chroma format, depths
		w.UE(v)
	}
	w.U(2, 0)
	for _, v := range []uint32{0, 2, 1} { // frame numbers, order of pictures, references
		w.UE(v)
	}
	w.U(1, 0)
	w.UE(width - 1)
	w.UE(height - 1)
	w.U(3, 7) // frames only, direct inference, crop
	for _, v := range []uint32{0, right, 0, bottom} {
		w.UE(v)
	}
	w.U(2, 1) // no usability information, stop bit
	return w.Bytes()
}

// TestSizeBound: 16,384 pixels are believed in either direction, and one more is not.
func TestSizeBound(t *testing.T) {
	for _, c := range []struct {
		right, bottom uint32
		width, height int
	}{
		{16, 16, 16384, 16384},
		{15, 16, 0, 0},
		{16, 15, 0, 0},
	} {
		s, err := ParseSPS(monochrome(1025, 1025, c.right, c.bottom))
		if err != nil || s.Width != c.width || s.Height != c.height {
			t.Errorf("16400 x 16400 cropped by %d and %d: %d x %d, %v", c.right, c.bottom, s.Width, s.Height, err)
		}
	}
}

// rated writes a parameter set that declares a clock.
func rated(tick, scale uint64) []byte {
	w := bits.NewWriter([]byte{0x67, 66, 0, 30})
	for _, v := range []uint32{0, 0, 2, 1} { // id, frame numbers, order of pictures, references
		w.UE(v)
	}
	w.U(1, 0)
	w.UE(3)
	w.UE(2)
	w.U(4, 0b1101) // frames only, direct inference, no crop, usability information
	w.U(5, 0b00001)
	w.U(32, tick)
	w.U(32, scale)
	w.U(6, 0b1_0_0_0_0_1) // fixed rate, no decoder's buffers, structure or restrictions, stop bit
	return w.Bytes()
}

// TestRateBound: 1,000 frames a second are believed, and nothing above.
func TestRateBound(t *testing.T) {
	const tick = 1_000_003 // long enough that no byte has to be escaped
	for scale, want := range map[uint64]float64{2 * 25 * tick: 25, 2 * 1000 * tick: 1000, 2*1000*tick + 1: 0} {
		s, err := ParseSPS(rated(tick, scale))
		if err != nil || s.FrameRate != want || s.Width != 64 {
			t.Errorf("%d per %d: %v, %v, want %v", scale, tick, s.FrameRate, err, want)
		}
	}
}
