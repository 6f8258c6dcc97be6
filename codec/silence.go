package codec

import (
	"weir/av"
	"weir/codec/aac"
	"weir/codec/opus"
)

// Silence returns a silent frame of a track of sound, which goes on for as long as FrameDuration says
// of it; nil if none is known for its codec and configuration.
func Silence(t *av.Track) []byte {
	switch t.Codec {
	case av.AAC:
		return silentAAC(t.Config)
	case av.Opus:
		return silentOpus(t.Config)
	}
	return nil
}

// silentAAC is a raw data block whose channels have no spectrum. There is one for AAC-LC, and for
// HE-AAC, whose decoders take a block without the extension.
func silentAAC(config []byte) []byte {
	c, err := aac.ParseConfig(config)
	const lc, frame = 2, 1024
	if err != nil || c.ObjectType != lc || c.SBR || c.FrameLength != frame {
		return nil
	}
	switch c.ChannelConfig {
	case 1:
		return []byte{0x00, 0xc8, 0x00, 0x80, 0x23, 0x80}
	case 2:
		return []byte{0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80}
	}
	return nil
}

// silentOpus is a packet of one frame of 20 ms that has no energy (RFC 6716, 3.1).
func silentOpus(config []byte) []byte {
	h, err := opus.ParseHead(config)
	const fullband20, stereo = 31 << 3, 1 << 2
	if err != nil || h.Family != 0 {
		return nil
	}
	if h.Channels == 2 {
		return []byte{fullband20 | stereo, 0xff, 0xfe}
	}
	return []byte{fullband20, 0xff, 0xfe}
}
