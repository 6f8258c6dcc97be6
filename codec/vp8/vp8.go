// Package vp8 reads what a server must know of VP8 (RFC 6386): the header of a frame. The
// configuration record that Enhanced RTMP may send first is that of VP9; see vp9.ParseConfig.
package vp8

import (
	"errors"
	"fmt"
	"io"
)

// Frame is what the header of a frame says (RFC 6386, 9.1).
type Frame struct {
	Key     bool
	Version uint8 // 0 to 3, those above in reserve
	Show    bool
	// Width and Height are in pixels, known of key frames only.
	Width, Height int
}

// ErrStartCode is returned for a key frame without start code.
var ErrStartCode = errors.New("no start code")

// ParseFrame parses the header of a frame. It fails with io.ErrUnexpectedEOF or ErrStartCode.
func ParseFrame(b []byte) (Frame, error) {
	f, err := parseFrame(b)
	if err != nil {
		return Frame{}, fmt.Errorf("vp8: reading a frame header: %w", err)
	}
	return f, nil
}

func parseFrame(b []byte) (Frame, error) {
	if len(b) < 3 {
		return Frame{}, io.ErrUnexpectedEOF
	}
	f := Frame{Key: b[0]&1 == 0, Version: b[0] >> 1 & 7, Show: b[0]&0x10 != 0}
	if !f.Key {
		return f, nil
	}
	if len(b) < 10 {
		return f, io.ErrUnexpectedEOF
	}
	if b[3] != 0x9d || b[4] != 0x01 || b[5] != 0x2a {
		return f, ErrStartCode
	}
	// The upper two bits say how to scale for display: sizes are at most 16383.
	f.Width, f.Height = int(b[6])|int(b[7]&0x3f)<<8, int(b[8])|int(b[9]&0x3f)<<8
	return f, nil
}

// IsKey reports whether a decoder can start at a frame; known is false if its header is
// damaged.
func IsKey(payload []byte) (key, known bool) {
	f, err := parseFrame(payload)
	return f.Key && err == nil, err == nil
}
