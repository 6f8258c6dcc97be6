package mpegts

import "weir/codec/opus"

// opusLayouts are the mappings of channel configurations 1 to 8, those of mapping
// families 0 and 1 (RFC 7845, 5.1.1.2).
var opusLayouts = [9]struct {
	coupled uint8
	mapping string
}{
	1: {0, "\x00"},
	2: {1, "\x00\x01"},
	3: {1, "\x00\x02\x01"},
	4: {2, "\x00\x01\x02\x03"},
	5: {2, "\x00\x04\x01\x02\x03"},
	6: {2, "\x00\x04\x01\x02\x03\x05"},
	7: {2, "\x00\x04\x01\x02\x03\x05\x06"},
	8: {3, "\x00\x06\x01\x02\x03\x04\x05\x07"},
}

// opusDualMono is the channel configuration of two channels that are not a stereo pair.
const opusDualMono = 0

// opusChannelCode returns the channel_config_code of an identification header; ok is
// false if it would take the codes that players do not know.
func opusChannelCode(h *opus.Head) (code byte, ok bool) {
	const nothing = 255 // the mapping family that says nothing of the channels
	switch {
	case h.Family == 0:
		return h.Channels, h.Channels == 1 || h.Channels == 2
	case h.Channels == 0 || int(h.Channels) >= len(opusLayouts):
		return 0, false
	case h.Family == nothing && h.Channels == 2 && h.Streams == 2 && string(h.Mapping) == "\x00\x01":
		return opusDualMono, true
	}
	l := &opusLayouts[h.Channels]
	return h.Channels, h.Family == 1 && h.Coupled == l.coupled && h.Streams == h.Channels-l.coupled && string(h.Mapping) == l.mapping
}

// opusHead returns the identification header that a channel_config_code stands for.
func opusHead(code byte, preSkip uint16) (h opus.Head, ok bool) {
	h = opus.Head{Channels: code, PreSkip: preSkip, InputRate: opus.SampleRate}
	switch {
	case code == opusDualMono:
		h.Channels, h.Family, h.Streams, h.Mapping = 2, 255, 2, []byte{0, 1}
	case int(code) >= len(opusLayouts):
		return h, false
	default:
		l := &opusLayouts[code]
		h.Coupled, h.Streams = l.coupled, code-l.coupled
		if code > 2 {
			h.Family, h.Mapping = 1, []byte(l.mapping)
		}
	}
	return h, true
}

// Flags of an access unit's control header (opus_control_header).
const (
	opusPrefix    = 0x7fe0 // control_header_prefix, in the upper 11 bits
	opusPrefixAll = 0xffe0
	opusStartTrim = 0x10
	opusEndTrim   = 0x08
	opusExtension = 0x04
)

// opusControlMax is the size of the longest control header that fits a PES packet.
const opusControlMax = 2 + maxPESLength/255 + 1

// opusControlSize returns the size of the control header of a packet of n bytes.
func opusControlSize(n int) int { return 2 + n/255 + 1 }

// appendOpusControl appends the control header of a packet of n bytes.
func appendOpusControl(dst []byte, n int) []byte {
	dst = append(dst, opusPrefix>>8, opusPrefix&0xff)
	for ; n >= 255; n -= 255 {
		dst = append(dst, 255)
	}
	return append(dst, byte(n))
}

// nextOpus splits off the first packet of b, which begins with its control header, and
// returns the samples to drop at its beginning. ok is false if it is not whole.
func nextOpus(b []byte) (unit, rest []byte, startTrim uint16, ok bool) {
	if len(b) < 2 || (uint16(b[0])<<8|uint16(b[1]))&opusPrefixAll != opusPrefix {
		return nil, b, 0, false
	}
	flags := b[1]
	b = b[2:]
	size := 0
	for {
		if len(b) == 0 {
			return nil, b, 0, false
		}
		x := b[0]
		b = b[1:]
		size += int(x)
		if x != 255 {
			break
		}
	}
	if flags&opusStartTrim != 0 {
		if len(b) < 2 {
			return nil, b, 0, false
		}
		startTrim = (uint16(b[0])<<8 | uint16(b[1])) & 0x1fff
		b = b[2:]
	}
	if flags&opusEndTrim != 0 {
		if len(b) < 2 {
			return nil, b, 0, false
		}
		b = b[2:]
	}
	if flags&opusExtension != 0 {
		if len(b) < 1 || len(b)-1 < int(b[0]) {
			return nil, b, 0, false
		}
		b = b[1+int(b[0]):]
	}
	if size > len(b) {
		return nil, b, 0, false
	}
	return b[:size], b[size:], startTrim, true
}
