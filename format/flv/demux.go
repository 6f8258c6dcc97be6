package flv

import (
	"time"

	"weir/av"
)

// A Demuxer turns the tag bodies of one source into frames. The zero value is ready.
// It is not safe for concurrent use.
type Demuxer struct {
	hevc bool // codec id 7 carries H.265
}

// Demux appends the frames of one tag body to dst and returns it: one frame for most
// bodies, several for a multitrack message of more than one track, none with most
// errors. dts is the time of the tag or message, which the caller has unwrapped.
//
// The frames' Payload and Side are slices of body, which the caller gives up; nothing
// else of body is kept. Script frames hold AMF0 values: the format byte of
// TagScriptAMF3 is taken off.
//
// Errors are ErrShort for a body that ends within its own header, ErrReserved for a tag
// type, packet type or multitrack type that is not defined, ErrUnknownCodec for a FourCC
// that is not known, and ErrLimit for more than 8 ModEx blocks or 16 tracks. A track's
// error does not keep back the other tracks of its message: the frames that could be
// read come with the first error. No error concerns the bodies that follow. A legacy
// codec id that is not known is not an error; its frames pass through under a codec of
// their own.
func (d *Demuxer) Demux(dst []av.Frame, t TagType, dts time.Duration, body []byte) ([]av.Frame, error) {
	switch t {
	case TagVideo:
		if len(body) == 0 {
			return dst, ErrShort
		}
		if body[0]&exVideo != 0 {
			return demuxEnhanced(dst, av.Video, dts, body)
		}
		return d.legacyVideo(dst, dts, body)
	case TagAudio:
		if len(body) == 0 { // Enhanced RTMP v2, silence message
			return append(dst, av.Frame{Kind: av.Audio, Type: av.Silence, DTS: dts, PTS: dts}), nil
		}
		if body[0]>>4 == soundEx {
			return demuxEnhanced(dst, av.Audio, dts, body)
		}
		return legacyAudio(dst, dts, body)
	case TagScript, TagScriptAMF3:
		// Some peers leave out the format byte of type 15.
		if t == TagScriptAMF3 && len(body) > 0 && body[0] == 0 {
			body = body[1:]
		}
		if len(body) == 0 {
			return dst, ErrShort
		}
		return append(dst, av.Frame{Kind: av.Data, Type: av.Script, DTS: dts, PTS: dts, Payload: body}), nil
	}
	return dst, ErrReserved
}

// legacyVideo reads VIDEODATA (Annex E.4.3).
func (d *Demuxer) legacyVideo(dst []av.Frame, dts time.Duration, body []byte) ([]av.Frame, error) {
	if len(body) < 2 {
		return dst, ErrShort
	}
	first := body[0]
	id := first & 15
	f := av.Frame{Kind: av.Video, Codec: videoCodec(id), DTS: dts, PTS: dts}
	if first>>4 == frameCommand {
		f.Type, f.Wire, f.Payload = av.Command, wireOf(first, 0), body[1:]
		return append(dst, f), nil
	}
	if !hasPacketType(id) {
		f.Wire, f.Payload = wireOf(first, 0), body[1:]
		f.Flags = frameFlags(first >> 4)
		return append(dst, f), nil
	}
	if len(body) < 5 {
		return dst, ErrShort
	}
	f.Wire, f.Payload = wireOf(first, body[1]), body[5:]
	f.PTS += compositionTime(body[2:])
	switch body[1] {
	case legacyConfig:
		f.Type = av.Config
		if id == videoAVC {
			d.hevc = isHEVCConfig(f.Payload)
		}
	case legacyMedia:
		f.Flags = frameFlags(first >> 4)
	case legacyEnd:
		f.Type = av.End
	default:
		return dst, ErrReserved
	}
	if id == videoAVC && d.hevc {
		f.Codec = av.H265
	}
	return append(dst, f), nil
}

// legacyAudio reads AUDIODATA (Annex E.4.2).
func legacyAudio(dst []av.Frame, dts time.Duration, body []byte) ([]av.Frame, error) {
	if len(body) < 2 {
		return dst, ErrShort
	}
	first := body[0]
	f := av.Frame{Kind: av.Audio, Codec: audioCodec(first >> 4), DTS: dts, PTS: dts}
	if f.Codec != av.AAC {
		f.Wire, f.Payload = wireOf(first, 0), body[1:]
		return append(dst, f), nil
	}
	f.Wire, f.Payload = wireOf(first, body[1]), body[2:]
	switch body[1] {
	case legacyConfig:
		f.Type = av.Config
	case legacyMedia:
	default:
		return dst, ErrReserved
	}
	return append(dst, f), nil
}

// frameFlags returns the flags of a media frame of this frame type.
func frameFlags(frameType byte) av.Flags {
	switch frameType & 7 {
	case frameKey, frameGeneratedKey:
		return av.Key
	case frameDisposable:
		return av.Disposable
	}
	return 0
}

// compositionTime reads the signed 24-bit milliseconds at the beginning of b.
func compositionTime(b []byte) time.Duration {
	ms := int32(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8) >> 8
	return time.Duration(ms) * time.Millisecond
}

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
