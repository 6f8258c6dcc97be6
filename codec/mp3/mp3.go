// Package mp3 reads the header of MPEG audio frames (ISO/IEC 11172-3, 2.4.1 and ISO/IEC
// 13818-3, 2.4.1): layers I, II and III of MPEG-1, MPEG-2 and MPEG-2.5, which FLV does not
// tell apart. The size of frames of free format is unknown to it; it reads no ID3 tag.
package mp3

import (
	"errors"
	"fmt"
	"io"
)

// Version is the part of the standards that a frame belongs to.
type Version uint8

// The versions, as coded in a header.
const (
	MPEG25 Version = 0
	MPEG2  Version = 2
	MPEG1  Version = 3
)

// Header is the header of a frame.
type Header struct {
	Version    Version
	Layer      int // 1, 2 or 3
	BitRate    int // bits a second; 0 for free format
	SampleRate int // Hz
	Channels   int // 1 or 2
	Samples    int // per channel
	Size       int // bytes of the whole frame; 0 for free format
	// The following are kept for writing.
	CRC           bool // a checksum follows the header
	Padding       bool
	Mode          uint8 // 0 stereo, 1 joint stereo, 2 two channels, 3 mono
	ModeExtension uint8
}

// ErrHeader is returned for bytes that are not a frame header.
var ErrHeader = errors.New("not the header of a frame")

// kilobits a second by index; the first is that of free format.
var (
	rates1 = [3][15]int{
		{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
		{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	}
	rates2 = [3][15]int{
		{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
	}
)

// ParseHeader parses the header that b begins with; the frame itself need not be there. It
// fails with ErrHeader or io.ErrUnexpectedEOF.
func ParseHeader(b []byte) (Header, error) {
	h, err := parseHeader(b)
	if err != nil {
		return Header{}, fmt.Errorf("mp3: reading a header: %w", err)
	}
	return h, nil
}

func parseHeader(b []byte) (Header, error) {
	if len(b) < 4 {
		return Header{}, io.ErrUnexpectedEOF
	}
	version, layer, bitRate, rate := Version(b[1]>>3&3), 4-int(b[1]>>1&3), int(b[2]>>4), int(b[2]>>2&3)
	if b[0] != 0xff || b[1]&0xe0 != 0xe0 || version == 1 || layer == 4 || bitRate == 15 || rate == 3 {
		return Header{}, ErrHeader
	}
	h := Header{
		Version: version, Layer: layer, Channels: 2, CRC: b[1]&1 == 0,
		Padding: b[2]&2 != 0, Mode: b[3] >> 6, ModeExtension: b[3] >> 4 & 3,
	}
	if h.Mode == 3 {
		h.Channels = 1
	}
	h.SampleRate = [3]int{44100, 48000, 32000}[rate]
	table := &rates1
	switch version {
	case MPEG2:
		h.SampleRate, table = h.SampleRate/2, &rates2
	case MPEG25:
		h.SampleRate, table = h.SampleRate/4, &rates2
	}
	h.BitRate = table[layer-1][bitRate] * 1000
	switch {
	case layer == 1:
		h.Samples = 384
	case layer == 3 && version != MPEG1:
		h.Samples = 576
	default:
		h.Samples = 1152
	}
	if h.BitRate > 0 {
		slot := 1 // bytes
		if layer == 1 {
			slot = 4
		}
		h.Size = h.Samples / 8 / slot * h.BitRate / h.SampleRate
		if h.Padding {
			h.Size++
		}
		h.Size *= slot
	}
	return h, nil
}

// Append appends the four bytes of the header, its private, copyright, original and emphasis
// bits 0. SampleRate and BitRate choose their indices; Channels, Samples and Size follow
// from the rest and are not looked at. It fails with ErrHeader for what has no code.
func (h *Header) Append(b []byte) ([]byte, error) {
	if h.Version <= MPEG1 && h.Version != 1 && h.Layer >= 1 && h.Layer <= 3 && h.Mode <= 3 && h.ModeExtension <= 3 {
		for i := range 15 * 3 {
			out := [4]byte{0xff, 0xe1 | byte(h.Version)<<3 | byte(4-h.Layer)<<1, byte(i/3)<<4 | byte(i%3)<<2, h.Mode<<6 | h.ModeExtension<<4}
			if h.CRC {
				out[1] &^= 1
			}
			if h.Padding {
				out[2] |= 2
			}
			if got, err := parseHeader(out[:]); err == nil && got.BitRate == h.BitRate && got.SampleRate == h.SampleRate {
				return append(b, out[:]...), nil
			}
		}
	}
	return b, fmt.Errorf("mp3: writing a header: %w", ErrHeader)
}

// Samples returns the samples per channel of the whole frames that payload begins with, at
// the rate of the first; 0 if there is none. A first frame of free format counts as whole.
func Samples(payload []byte) (samples, sampleRate int) {
	for {
		h, err := parseHeader(payload)
		if err != nil || h.Size > len(payload) || sampleRate != 0 && h.SampleRate != sampleRate {
			return samples, sampleRate
		}
		samples, sampleRate = samples+h.Samples, h.SampleRate
		if h.Size == 0 {
			return samples, sampleRate
		}
		payload = payload[h.Size:]
	}
}
