// Package opus reads what a server must know of Opus: the identification header (RFC 7845,
// 5.1) and the first bytes of a packet (RFC 6716, 3.1 and 3.2).
package opus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// SampleRate is the rate in Hz of what a decoder gives, whatever was put in.
const SampleRate = 48000

// maxPacket is the longest duration of a packet.
const maxPacket = 120 * time.Millisecond

// Head is an identification header, OpusHead.
type Head struct {
	Channels  uint8
	PreSkip   uint16 // samples at 48 kHz to drop at the beginning
	InputRate uint32 // Hz, for information; 0 if unknown
	Gain      int16  // in 1/256 dB
	// Family tells what the channels are: 0 mono or stereo, 1 the Vorbis orders up to 8, 2
	// and 3 ambisonics (RFC 8486), 255 nothing.
	Family uint8
	// Streams and Coupled are the number of streams in a packet and how many of these, the
	// first, are stereo. Of family 0, 1 and Channels-1.
	Streams, Coupled uint8
	// Mapping has for each channel the index of its decoded channel, or 255 for silence;
	// of family 3, the demixing matrix. Empty of family 0.
	Mapping []byte
}

// Errors of this package.
var (
	// ErrHead is returned for bytes that are not an identification header of version 0 to 15.
	ErrHead = errors.New("not an identification header")
	// ErrChannels is returned for channels or streams that the mapping family does not allow.
	ErrChannels = errors.New("channels out of range")
	// ErrPacket is returned for a packet without frames or longer than 120 ms.
	ErrPacket = errors.New("duration out of range")
)

const magic = "OpusHead"

// ParseHead parses an identification header. Bytes after it are not looked at; Mapping is a
// slice of b. It fails with ErrHead, ErrChannels or io.ErrUnexpectedEOF.
func ParseHead(b []byte) (Head, error) {
	h, err := parseHead(b)
	if err != nil {
		return Head{}, fmt.Errorf("opus: reading the identification header: %w", err)
	}
	return h, nil
}

func parseHead(b []byte) (Head, error) {
	var h Head
	if n := min(len(b), len(magic)); string(b[:n]) != magic[:n] {
		return h, ErrHead
	}
	if len(b) < 19 {
		return h, io.ErrUnexpectedEOF
	}
	if b[8]&0xf0 != 0 {
		return h, ErrHead
	}
	h.Channels, h.PreSkip, h.InputRate = b[9], binary.LittleEndian.Uint16(b[10:]), binary.LittleEndian.Uint32(b[12:])
	h.Gain, h.Family = int16(binary.LittleEndian.Uint16(b[16:])), b[18]
	if h.Family == 0 {
		h.Streams, h.Coupled = 1, h.Channels-1
	} else {
		if len(b) < 21 {
			return h, io.ErrUnexpectedEOF
		}
		h.Streams, h.Coupled = b[19], b[20]
	}
	if !h.valid() {
		return h, ErrChannels
	}
	n := h.mappingSize()
	if b = b[min(len(b), 21):]; len(b) < n {
		return h, io.ErrUnexpectedEOF
	}
	if n > 0 {
		h.Mapping = b[:n:n]
	}
	if h.Family != 3 {
		for _, m := range h.Mapping {
			if int(m) >= int(h.Streams)+int(h.Coupled) && m != 255 {
				return h, ErrChannels
			}
		}
	}
	return h, nil
}

// valid reports whether the numbers of channels and streams go with the family.
func (h *Head) valid() bool {
	most := 255
	switch h.Family {
	case 0:
		most = 2
	case 1:
		most = 8
	}
	return h.Channels > 0 && int(h.Channels) <= most && h.Streams > 0 && h.Coupled <= h.Streams && int(h.Streams)+int(h.Coupled) <= 255
}

// mappingSize returns the bytes of Mapping.
func (h *Head) mappingSize() int {
	switch h.Family {
	case 0:
		return 0
	case 3:
		return 2 * int(h.Channels) * (int(h.Streams) + int(h.Coupled))
	}
	return int(h.Channels)
}

// AppendBinary appends the header, as version 1, in the form that ParseHead reads. It
// fails with ErrChannels. Streams and Coupled are not looked at in family 0.
func (h *Head) AppendBinary(b []byte) ([]byte, error) {
	check := *h
	if h.Family == 0 {
		check.Streams, check.Coupled = 1, h.Channels-1
	}
	if !check.valid() || len(h.Mapping) != h.mappingSize() {
		return b, fmt.Errorf("opus: writing the identification header: %w", ErrChannels)
	}
	b = append(append(b, magic...), 1, h.Channels)
	b = binary.LittleEndian.AppendUint16(b, h.PreSkip)
	b = binary.LittleEndian.AppendUint32(b, h.InputRate)
	b = binary.LittleEndian.AppendUint16(b, uint16(h.Gain))
	b = append(b, h.Family)
	if h.Family != 0 {
		b = append(append(b, h.Streams, h.Coupled), h.Mapping...)
	}
	return b, nil
}

// Packet is what the beginning of a packet says.
type Packet struct {
	Stereo bool
	Frames int // 1 to 48
	// Duration is that of the whole packet, at most 120 ms.
	Duration time.Duration
}

// ParsePacket reads the beginning of a packet; of one of several streams, which all last as
// long, the first's. It fails with ErrPacket or io.ErrUnexpectedEOF.
func ParsePacket(b []byte) (Packet, error) {
	p, err := parsePacket(b)
	if err != nil {
		return Packet{}, fmt.Errorf("opus: reading a packet: %w", err)
	}
	return p, nil
}

func parsePacket(b []byte) (Packet, error) {
	if len(b) < 1 {
		return Packet{}, io.ErrUnexpectedEOF
	}
	p := Packet{Stereo: b[0]&4 != 0, Frames: 1}
	switch b[0] & 3 {
	case 1, 2:
		p.Frames = 2
	case 3:
		if len(b) < 2 {
			return p, io.ErrUnexpectedEOF
		}
		p.Frames = int(b[1] & 63)
	}
	p.Duration = time.Duration(p.Frames) * frame(b[0]>>3)
	if p.Frames == 0 || p.Duration > maxPacket {
		return p, ErrPacket
	}
	return p, nil
}

// frame returns the duration of a frame by the configuration number (RFC 6716, Table 2).
func frame(config byte) time.Duration {
	switch {
	case config < 12: // SILK
		return [4]time.Duration{10, 20, 40, 60}[config&3] * time.Millisecond
	case config < 16: // hybrid
		return [2]time.Duration{10, 20}[config&1] * time.Millisecond
	}
	return 2500 * time.Microsecond << (config & 3) // CELT
}
