package flv

import (
	"encoding/binary"
	"time"

	"weir/av"
)

const (
	maxModEx  = 8
	maxTracks = 16 // in one message
	// maxNano is the largest TimestampOffsetNano: the rest of a millisecond.
	maxNano = 999_999
)

// demuxEnhanced reads ExVideoTagHeader or ExAudioTagHeader and what follows it.
func demuxEnhanced(dst []av.Frame, k av.Kind, dts time.Duration, body []byte) ([]av.Frame, error) {
	first, packet, rest := body[0], body[0]&15, body[1:]
	f := av.Frame{Kind: k, DTS: dts}
	if packet == packetModEx {
		n, next, nano, err := readModEx(rest)
		if err != nil {
			return dst, err
		}
		f.Side, rest, packet = rest[:n:n], rest[n:], next
		dts += nano
	}
	f.PTS = dts
	if k == av.Video && first>>4&7 == frameCommand && packet != packetMeta {
		if len(rest) == 0 {
			return dst, ErrShort
		}
		f.Type, f.Wire, f.Payload = av.Command, wireOf(first, packet), rest
		return append(dst, f), nil
	}
	if packet == multitrackPacket(k) {
		return demuxMultitrack(dst, f, first, rest)
	}
	f.Wire = wireOf(first, packet)
	if len(rest) < 4 {
		return dst, ErrShort
	}
	return demuxPacket(dst, f, av.Codec(binary.BigEndian.Uint32(rest)), rest[4:])
}

// demuxMultitrack reads the rest of a Multitrack message of which f is the template.
func demuxMultitrack(dst []av.Frame, f av.Frame, first byte, rest []byte) ([]av.Frame, error) {
	if len(rest) == 0 {
		return dst, ErrShort
	}
	kind, packet := rest[0]>>4, rest[0]&15
	rest = rest[1:]
	if kind > manyTracksManyCodecs || packet == multitrackPacket(f.Kind) {
		return dst, ErrReserved
	}
	f.Wire = wireOf(first, packet) | wireMultitrack
	var fourCC av.Codec
	if kind != manyTracksManyCodecs {
		if len(rest) < 4 {
			return dst, ErrShort
		}
		fourCC, rest = av.Codec(binary.BigEndian.Uint32(rest)), rest[4:]
	}
	var firstErr error
	for n := 0; n == 0 || len(rest) > 0; n++ {
		if n == maxTracks {
			return dst, firstOf(firstErr, ErrLimit)
		}
		if kind == manyTracksManyCodecs {
			if len(rest) < 4 {
				return dst, firstOf(firstErr, ErrShort)
			}
			fourCC, rest = av.Codec(binary.BigEndian.Uint32(rest)), rest[4:]
		}
		if len(rest) < 1 {
			return dst, firstOf(firstErr, ErrShort)
		}
		f.Track, rest = rest[0], rest[1:]
		size := len(rest)
		if kind != oneTrack {
			if len(rest) < 3 {
				return dst, firstOf(firstErr, ErrShort)
			}
			size, rest = uint24(rest), rest[3:]
			if size > len(rest) {
				return dst, firstOf(firstErr, ErrShort)
			}
		}
		var err error
		dst, err = demuxPacket(dst, f, fourCC, rest[:size:size])
		firstErr = firstOf(firstErr, err)
		if kind == oneTrack {
			break
		}
		rest = rest[size:]
	}
	return dst, firstErr
}

// firstOf returns the first of two errors.
func firstOf(first, err error) error {
	if first != nil {
		return first
	}
	return err
}

// demuxPacket reads the body of one track: what follows FourCC, track id and size.
func demuxPacket(dst []av.Frame, f av.Frame, fourCC av.Codec, body []byte) ([]av.Frame, error) {
	packet := wirePacketType(f.Wire)
	if !definedPacket(f.Kind, packet) {
		return dst, ErrReserved
	}
	codec, ok := enhancedCodec(f.Kind, fourCC)
	if !ok {
		return dst, ErrUnknownCodec
	}
	if fourCC == fourCCHEV1 {
		f.Wire |= wireHEV1
	}
	f.Codec = codec
	switch packet {
	case packetSequenceStart:
		f.Type = av.Config
	case packetCodedFrames, packetCodedFramesX:
		if f.Kind == av.Audio {
			break
		}
		f.Flags = frameFlags(wireFirst(f.Wire) >> 4)
		if packet == packetCodedFrames && hasCompositionTime(codec) {
			if len(body) < 3 {
				return dst, ErrShort
			}
			f.PTS += compositionTime(body)
			body = body[3:]
		}
	case packetSequenceEnd:
		f.Type = av.End
	case packetMeta:
		f.Type = av.Meta
		if f.Kind == av.Audio {
			if err := checkMultichannelConfig(body); err != nil {
				return dst, err
			}
		}
	case packetTSStart:
		if codec != av.AV1 {
			return dst, ErrReserved
		}
		// Behind its tag and length the AV1 video descriptor of MPEG-TS is the first
		// four bytes of an AV1CodecConfigurationRecord.
		f.Type = av.Config
		if len(body) == 6 && body[0] == descriptorTag && body[1] == descriptorSize {
			f.Wire |= wireDescriptor
			body = body[2:]
		}
	}
	f.Payload = body
	return append(dst, f), nil
}

const (
	descriptorTag  = 0x80
	descriptorSize = 4
)

func multitrackPacket(k av.Kind) byte {
	if k == av.Video {
		return packetMultitrackV
	}
	return packetMultitrackA
}

// definedPacket reports whether a packet type carries a track's body.
func definedPacket(k av.Kind, packet byte) bool {
	if k == av.Video {
		return packet <= packetTSStart
	}
	return packet <= packetSequenceEnd || packet == packetMeta
}

// checkMultichannelConfig checks that a MultichannelConfig body is whole.
func checkMultichannelConfig(b []byte) error {
	if len(b) < 2 {
		return ErrShort
	}
	n := 2
	switch b[0] {
	case 0: // unspecified order
	case 1: // native order: a mask
		n += 4
	case 2: // custom order: a byte for each channel
		n += int(b[1])
	default:
		return ErrReserved
	}
	if len(b) < n {
		return ErrShort
	}
	return nil
}

// readModEx reads the ModEx blocks at the beginning of b: what follows a packet type of
// ModEx. It returns their length, the packet type behind them and the presentation
// offset that they hold.
func readModEx(b []byte) (n int, packet byte, nano time.Duration, err error) {
	for range maxModEx {
		if n >= len(b) {
			return 0, 0, 0, ErrShort
		}
		size := int(b[n]) + 1
		n++
		if size == 256 {
			if len(b)-n < 2 {
				return 0, 0, 0, ErrShort
			}
			size = int(binary.BigEndian.Uint16(b[n:])) + 1
			n += 2
		}
		if len(b)-n < size+1 {
			return 0, 0, 0, ErrShort
		}
		kind := b[n+size] >> 4
		if kind == 0 { // TimestampOffsetNano
			if size < 3 {
				return 0, 0, 0, ErrShort
			}
			if v := uint24(b[n:]); v <= maxNano {
				nano = time.Duration(v)
			}
		}
		packet = b[n+size] & 15
		n += size + 1
		if packet != packetModEx {
			return n, packet, nano, nil
		}
	}
	return 0, 0, 0, ErrLimit
}

// FourCC returns the first FourCC that an enhanced tag body names, known or not, for
// messages about ErrUnknownCodec. ok is false if the body is not enhanced or names none.
func FourCC(t TagType, body []byte) (fourCC av.Codec, ok bool) {
	var k av.Kind
	switch {
	case len(body) == 0:
		return 0, false
	case t == TagVideo && body[0]&exVideo != 0:
		k = av.Video
	case t == TagAudio && body[0]>>4 == soundEx:
		k = av.Audio
	default:
		return 0, false
	}
	packet, rest := body[0]&15, body[1:]
	if packet == packetModEx {
		n, next, _, err := readModEx(rest)
		if err != nil {
			return 0, false
		}
		packet, rest = next, rest[n:]
	}
	if packet == multitrackPacket(k) && len(rest) > 0 {
		rest = rest[1:]
	}
	if len(rest) < 4 {
		return 0, false
	}
	return av.Codec(binary.BigEndian.Uint32(rest)), true
}
