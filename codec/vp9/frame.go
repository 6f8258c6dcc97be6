package vp9

import (
	"errors"
	"fmt"

	"weir/codec/bits"
)

// MaxSize is the largest width and height in pixels that is believed.
const MaxSize = 16384

// ErrFrame is returned for bytes that are not a frame: another marker, sync code or profile.
var ErrFrame = errors.New("not a frame")

// Frame is what the uncompressed header of a frame says (6.2).
type Frame struct {
	Profile      uint8
	ShowExisting bool // shows a frame decoded before; nothing more follows
	Key          bool
	Show         bool

	// The following are known of key frames only.
	BitDepth                   uint8
	SubsamplingX, SubsamplingY bool
	// Width and Height are in pixels; 0 if they are beyond MaxSize.
	Width, Height int
}

// ParseFrame parses the header of a frame, or of the first in a superframe. It fails with
// io.ErrUnexpectedEOF or ErrFrame.
func ParseFrame(b []byte) (Frame, error) {
	f, err := parseFrame(b)
	if err != nil {
		return Frame{}, fmt.Errorf("vp9: reading a frame header: %w", err)
	}
	return f, nil
}

func parseFrame(b []byte) (Frame, error) {
	var f Frame
	r := bits.NewReader(b)
	if r.U(2) != 2 && r.Err() == nil { // frame_marker
		return f, ErrFrame
	}
	f.Profile = uint8(r.U(1) | r.U(1)<<1)
	if f.Profile == 3 && r.Flag() { // reserved_zero
		return f, ErrFrame
	}
	if f.ShowExisting = r.Flag(); f.ShowExisting {
		r.Skip(3)
		return f, r.Err()
	}
	f.Key, f.Show = !r.Flag(), r.Flag()
	r.Skip(1) // error_resilient_mode
	if !f.Key || r.Err() != nil {
		return f, r.Err()
	}
	const syncCode, rgb = 0x498342, 7
	if r.U(24) != syncCode && r.Err() == nil {
		return f, ErrFrame
	}
	f.BitDepth = 8
	if f.Profile >= 2 {
		f.BitDepth = 10 + 2*uint8(r.U(1))
	}
	color := r.U(3)
	odd := f.Profile&1 != 0
	if color != rgb {
		r.Skip(1) // color_range
		f.SubsamplingX, f.SubsamplingY = true, true
		if odd {
			f.SubsamplingX, f.SubsamplingY = r.Flag(), r.Flag()
			r.Skip(1)
		}
	} else if odd {
		r.Skip(1)
	} else if r.Err() == nil {
		return f, ErrFrame // RGB needs profile 1 or 3
	}
	width, height := int(r.U(16))+1, int(r.U(16))+1
	if err := r.Err(); err != nil {
		return f, err
	}
	if width <= MaxSize && height <= MaxSize {
		f.Width, f.Height = width, height
	}
	return f, nil
}

// Chroma returns the frame's chroma format as the configuration record has it.
func (f *Frame) Chroma() uint8 {
	switch {
	case f.SubsamplingX && f.SubsamplingY:
		return 1
	case f.SubsamplingX:
		return 2
	case f.SubsamplingY:
		return 4
	}
	return 3
}

// IsKey reports whether a decoder can start at a frame; known is false if its header is
// damaged.
func IsKey(payload []byte) (key, known bool) {
	f, err := parseFrame(payload)
	return f.Key && err == nil, err == nil
}
