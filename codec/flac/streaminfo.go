// Package flac reads what a server must know of FLAC (RFC 9639): the STREAMINFO block and
// the header of a frame. It reads no other metadata block and no subframe.
package flac

import (
	"errors"
	"fmt"
	"io"

	"weir/codec/bits"
)

// Errors of this package.
var (
	// ErrStreamInfo is returned where a STREAMINFO block should be and is not, or says what
	// the standard does not allow.
	ErrStreamInfo = errors.New("not a STREAMINFO block")
	// ErrFrame is returned for bytes that are not a frame header.
	ErrFrame = errors.New("not the header of a frame")
)

const (
	magic    = "fLaC"
	infoSize = 34
)

// StreamInfo is a STREAMINFO block (8.2).
type StreamInfo struct {
	MinBlock, MaxBlock uint16 // samples per channel of a frame
	MinFrame, MaxFrame uint32 // bytes of a frame; 0 if unknown
	SampleRate         int    // Hz
	Channels           int    // 1 to 8
	BitDepth           int    // 4 to 32
	Samples            uint64 // per channel; 0 if unknown, as of live streams
	MD5                [16]byte
}

// ParseStreamInfo parses "fLaC" and the STREAMINFO block with its header, which is how
// Enhanced RTMP begins a track, or the block with its header alone, as in MP4's dfLa. What
// follows the block is not looked at. It fails with ErrStreamInfo or io.ErrUnexpectedEOF.
func ParseStreamInfo(b []byte) (StreamInfo, error) {
	s, err := parseStreamInfo(b)
	if err != nil {
		return StreamInfo{}, fmt.Errorf("flac: reading STREAMINFO: %w", err)
	}
	return s, nil
}

func parseStreamInfo(b []byte) (StreamInfo, error) {
	var s StreamInfo
	if n := min(len(b), len(magic)); n > 0 && string(b[:n]) == magic[:n] {
		b = b[n:]
	}
	if len(b) < 4 {
		return s, io.ErrUnexpectedEOF
	}
	if b[0]&0x7f != 0 || b[1] != 0 || b[2] != 0 || b[3] != infoSize {
		return s, ErrStreamInfo
	}
	if b = b[4:]; len(b) < infoSize {
		return s, io.ErrUnexpectedEOF
	}
	r := bits.NewReader(b)
	s.MinBlock, s.MaxBlock = uint16(r.U(16)), uint16(r.U(16))
	s.MinFrame, s.MaxFrame = uint32(r.U(24)), uint32(r.U(24))
	s.SampleRate, s.Channels, s.BitDepth = int(r.U(20)), int(r.U(3))+1, int(r.U(5))+1
	s.Samples = r.U(36)
	copy(s.MD5[:], b[18:])
	if !s.valid() {
		return s, ErrStreamInfo
	}
	return s, nil
}

func (s *StreamInfo) valid() bool {
	return s.SampleRate > 0 && s.SampleRate < 1<<20 && s.Channels >= 1 && s.Channels <= 8 && s.BitDepth >= 4 && s.BitDepth <= 32 &&
		s.MinFrame < 1<<24 && s.MaxFrame < 1<<24 && s.Samples < 1<<36
}

// AppendBinary appends "fLaC" and the block, marked as the last. It fails with
// ErrStreamInfo if a field does not fit its place.
func (s *StreamInfo) AppendBinary(b []byte) ([]byte, error) {
	if !s.valid() {
		return b, fmt.Errorf("flac: writing STREAMINFO: %w", ErrStreamInfo)
	}
	w := bits.NewWriter(append(append(b, magic...), 0x80, 0, 0, infoSize))
	w.U(16, uint64(s.MinBlock))
	w.U(16, uint64(s.MaxBlock))
	w.U(24, uint64(s.MinFrame))
	w.U(24, uint64(s.MaxFrame))
	w.U(20, uint64(s.SampleRate))
	w.U(3, uint64(s.Channels-1))
	w.U(5, uint64(s.BitDepth-1))
	w.U(36, s.Samples)
	return append(w.Bytes(), s.MD5[:]...), nil
}
