package aac

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
)

// ADTS is the header of an ADTS frame.
type ADTS struct {
	ObjectType    uint8 // 1 to 4
	SampleRate    int   // Hz, of the core coder
	ChannelConfig uint8
	HeaderSize    int // 7, or 9 with a checksum
	Size          int // of the whole frame, header included
	// Blocks is how many raw data blocks the frame holds, 1 to 4; nearly always 1.
	Blocks int
}

// ErrADTS is returned for bytes that are not an ADTS frame.
var ErrADTS = errors.New("not an ADTS frame")

// ParseADTS parses the header that b begins with; the frame itself need not be there. It
// fails with ErrADTS or io.ErrUnexpectedEOF.
func ParseADTS(b []byte) (ADTS, error) {
	h, err := parseADTS(b)
	if err != nil {
		return ADTS{}, fmt.Errorf("aac: reading an ADTS header: %w", err)
	}
	return h, nil
}

func parseADTS(b []byte) (ADTS, error) {
	if len(b) < 7 {
		return ADTS{}, io.ErrUnexpectedEOF
	}
	rate := int(b[2] >> 2 & 15)
	if b[0] != 0xff || b[1]&0xf6 != 0xf0 || rate >= len(rates) {
		return ADTS{}, ErrADTS
	}
	h := ADTS{
		ObjectType:    b[2]>>6 + 1,
		SampleRate:    rates[rate],
		ChannelConfig: b[2]&1<<2 | b[3]>>6,
		HeaderSize:    7,
		Size:          int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5,
		Blocks:        int(b[6]&3) + 1,
	}
	if b[1]&1 == 0 {
		h.HeaderSize = 9
	}
	if h.Size < h.HeaderSize {
		return ADTS{}, ErrADTS
	}
	return h, nil
}

// Config returns the configuration that the header implies. Its channels are unknown if
// ChannelConfig is 0. FrameConfig knows more.
func (h *ADTS) Config() Config {
	return Config{ObjectType: h.ObjectType, SampleRate: h.SampleRate, ChannelConfig: h.ChannelConfig, FrameLength: 1024}
}

// FrameConfig returns the configuration that the header and the raw frame behind it imply: a
// program config element in the frame counts more than the header. ok is false if neither tells
// the channels.
func (h *ADTS) FrameConfig(raw []byte) (c Config, ok bool) {
	c = h.Config()
	if p, _ := FrameProgram(raw); p != nil {
		c.Program, c.ChannelConfig = p, 0
	}
	return c, c.ChannelConfig > 0 || c.Program != nil
}

// ADTSFrames yields the frames that b begins with, header and what follows it. It stops at what
// is not a whole frame. Nothing is allocated.
func ADTSFrames(b []byte) iter.Seq2[ADTS, []byte] {
	return func(yield func(ADTS, []byte) bool) {
		for {
			h, err := parseADTS(b)
			if err != nil || h.Size > len(b) || !yield(h, b[h.HeaderSize:h.Size:h.Size]) {
				return
			}
			b = b[h.Size:]
		}
	}
}

// IsADTS reports whether b, which should be a raw frame, is whole ADTS frames up to its last
// byte instead, as some devices send in FLV. A raw frame cannot begin so: it would
// end with its first element.
func IsADTS(b []byte) bool {
	n := 0
	for h := range ADTSFrames(b) {
		n += h.Size
	}
	return n > 0 && n == len(b)
}

// StripADTS returns the raw frame in a payload that is one ADTS frame with one raw data
// block; ok is false, and the payload returned as it is, if it is not. See ADTSFrames for
// payloads of several.
func StripADTS(payload []byte) (raw []byte, ok bool) {
	h, err := parseADTS(payload)
	if err != nil || h.Size != len(payload) || h.Blocks != 1 {
		return payload, false
	}
	return payload[h.HeaderSize:], true
}

// AppendADTS appends the header for a raw frame of size bytes, without checksum. It fails
// if ADTS cannot say what the configuration does (a type other than 1 to 4, a rate
// without index, channels other than configurations 1 to 7 or a Program), or for a size above
// 8184. Spectral band replication is left to the decoder to find.
//
// With a Program the frame has to begin with it: see Program.AppendFrame. The header then gives
// the configuration with as many channels, if there is one, although the loudspeakers are others:
// decoders go by the Program, and GStreamer's parser refuses frames whose header has none.
func (c *Config) AppendADTS(dst []byte, size int) ([]byte, error) {
	rate := slices.Index(rates[:], c.SampleRate)
	if c.ObjectType < Main || c.ObjectType > LTP || rate < 0 || c.ChannelConfig > 7 || (c.ChannelConfig == 0) != (c.Program != nil) {
		return dst, errors.New("aac: writing an ADTS header: it has no place for this configuration")
	}
	if size < 0 || size > 0x1fff-7 {
		return dst, fmt.Errorf("aac: writing an ADTS header: frame of %d bytes", size)
	}
	size += 7
	config := c.ChannelConfig
	if c.Program != nil {
		config = uint8(max(slices.Index(channels[:8], c.Program.Channels), 0))
	}
	return append(dst, 0xff, 0xf1, (c.ObjectType-1)<<6|byte(rate)<<2|config>>2,
		config<<6|byte(size>>11), byte(size>>3), byte(size<<5)|0x1f, 0xfc), nil
}
