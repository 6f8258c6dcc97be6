package flv

import (
	"encoding/binary"
	"time"

	"weir/av"
)

// appendEnhanced appends ExVideoTagHeader or ExAudioTagHeader and, where the packet type
// has one, the composition time.
func appendEnhanced(dst []byte, f *av.Frame, form Form, multitrack bool) ([]byte, bool) {
	if f.Type == av.Command {
		if multitrack || f.Kind != av.Video {
			return dst, false
		}
	} else if _, ok := enhancedCodec(f.Kind, f.Codec); !ok {
		return dst, false
	}
	side, nano := f.Side, time.Duration(0)
	if len(side) > 0 {
		n, _, d, err := readModEx(side)
		if form.NoModEx || err != nil || n != len(side) {
			side = nil
		} else {
			nano = d
		}
	}
	cts, fits := compositionMillis(f.PTS - f.DTS - nano)
	packet, ok := packetType(f, cts)
	if !ok || !fits && f.Kind == av.Video && hasCompositionTime(f.Codec) {
		return dst, false
	}

	outer := packet
	if multitrack {
		outer = multitrackPacket(f.Kind)
	}
	first := byte(soundEx << 4)
	if f.Kind == av.Video {
		first = exVideo | frameType(f)<<4
	}
	if len(side) > 0 {
		dst = append(dst, first|packetModEx)
		dst = append(dst, side...)
		last := &dst[len(dst)-1]
		*last = *last&0xF0 | outer
	} else {
		dst = append(dst, first|outer)
	}
	if f.Type == av.Command {
		return dst, true
	}
	if multitrack {
		dst = append(dst, oneTrack<<4|packet)
	}
	fourCC := f.Codec
	if form.Enhanced == AsReceived && f.Wire&wireHEV1 != 0 && fourCC == av.H265 {
		fourCC = fourCCHEV1
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(fourCC))
	if multitrack {
		dst = append(dst, f.Track)
	}
	if f.Kind == av.Video {
		switch {
		case packet == packetCodedFrames && hasCompositionTime(f.Codec):
			dst = append(dst, byte(cts>>16), byte(cts>>8), byte(cts))
		case packet == packetTSStart && f.Wire&wireDescriptor != 0:
			dst = append(dst, descriptorTag, descriptorSize)
		}
	}
	return dst, true
}

// packetType returns the enhanced packet type of f, whose composition time is cts.
func packetType(f *av.Frame, cts int64) (packet byte, ok bool) {
	enhanced := wireEnhanced(f.Kind, f.Wire)
	came := wirePacketType(f.Wire)
	switch f.Type {
	case av.Media:
		if f.Kind == av.Audio || !hasCompositionTime(f.Codec) && !enhanced {
			return packetCodedFrames, true
		}
		if enhanced && came == packetCodedFrames || cts != 0 && hasCompositionTime(f.Codec) {
			return packetCodedFrames, true
		}
		return packetCodedFramesX, true
	case av.Config:
		if enhanced && came == packetTSStart && f.Kind == av.Video && f.Codec == av.AV1 {
			return packetTSStart, true
		}
		return packetSequenceStart, true
	case av.End:
		return packetSequenceEnd, true
	case av.Meta:
		return packetMeta, true
	case av.Command:
		if enhanced {
			return came, came != packetMeta && came != packetModEx
		}
		return packetCodedFrames, true
	}
	return 0, false
}
