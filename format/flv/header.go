package flv

import (
	"time"

	"weir/av"
)

// Enhanced says which frames get an Enhanced RTMP header. A codec has a standard legacy
// header if Annex E gives it an id: H.264, AAC, MP3, G.711, Speex and older ones.
type Enhanced uint8

// The choices.
const (
	// WhenNeeded writes a legacy header for frames that came with one and for codecs
	// that have a standard one, and an enhanced header for the others.
	WhenNeeded Enhanced = iota
	// ForPrivate is WhenNeeded, but the codec ids that no specification has (H.265 as
	// 12, AV1 as 13) become enhanced: for players that announce these FourCCs.
	ForPrivate
	// Always writes an enhanced header for every codec that has a FourCC.
	Always
	// Never writes legacy headers only.
	Never
	// AsReceived writes the header that the frame came with, OneTrack around track 0
	// included; frames that came from elsewhere as WhenNeeded does.
	AsReceived
)

// A Form says how tag headers are written for one kind of player. The zero value suits
// players about which nothing is known.
type Form struct {
	// Enhanced says which frames get an enhanced header.
	Enhanced Enhanced
	// HEVC12 writes H.265 of track 0 under the legacy codec id 12, whatever Enhanced is.
	HEVC12 bool
	// SingleTrack is for players that do not know Multitrack: other tracks than 0
	// cannot be expressed, and track 0 never stands in a Multitrack message.
	SingleTrack bool
	// NoModEx leaves out ModEx blocks: for players that do not know them.
	NoModEx bool
}

// TagTypeOf returns the type of the tag that carries f.
func TagTypeOf(f *av.Frame) TagType {
	switch f.Kind {
	case av.Audio:
		return TagAudio
	case av.Video:
		return TagVideo
	}
	return TagScript
}

// AppendHeader appends to dst the bytes of f's tag body that come before f.Payload. ok is
// false, and dst unchanged, if the form cannot express f: the codec or track has no such
// header, or the frame is of a type that the header chosen for its codec does not have
// (an end of sequence of AAC in a legacy header). Such a frame is left out rather than
// written in another form, because to older players a track in two forms is two tracks.
//
// The frame type is the one that f came with unless f.Flags say otherwise. A
// composition time of a fraction of a millisecond is rounded, unless f.Side holds it.
func AppendHeader(dst []byte, f *av.Frame, form Form) (out []byte, ok bool) {
	switch f.Kind {
	case av.Data:
		return dst, f.Type == av.Script
	case av.Audio, av.Video:
	default:
		return dst, false
	}
	if f.Type == av.Silence {
		return dst, f.Kind == av.Audio && f.Track == 0 && len(f.Payload) == 0
	}
	multitrack := f.Track != 0 || form.Enhanced == AsReceived && f.Wire&wireMultitrack != 0
	if form.SingleTrack {
		if f.Track != 0 {
			return dst, false
		}
		multitrack = false
	}
	if !multitrack {
		if f.Kind == av.Video {
			if id, ok := form.videoID(f); ok {
				return appendLegacyVideo(dst, f, id)
			}
		} else if first, ok := form.audioByte(f); ok {
			return appendLegacyAudio(dst, f, first)
		}
	}
	if form.Enhanced == Never {
		return dst, false
	}
	return appendEnhanced(dst, f, form, multitrack)
}

// videoID returns the legacy codec id under which f is written, if it is.
func (form Form) videoID(f *av.Frame) (id byte, ok bool) {
	if form.HEVC12 && f.Codec == av.H265 {
		return videoHEV, true
	}
	if f.Wire != 0 && wireEnhanced(av.Video, f.Wire) && (form.Enhanced == AsReceived || f.Type == av.Command) {
		return 0, false
	}
	_, hasFourCC := enhancedCodec(av.Video, f.Codec)
	if form.Enhanced == Always && hasFourCC {
		return 0, false
	}
	id, standard, ok := videoID(f.Codec)
	if standard {
		return id, true
	}
	if f.Wire != 0 && !wireEnhanced(av.Video, f.Wire) {
		came := wireFirst(f.Wire) & 15
		if came == videoAVC && f.Codec == av.H265 { // see isHEVCConfig
			return came, form.Enhanced == AsReceived
		}
		return came, videoCodec(came) == f.Codec && (form.Enhanced != ForPrivate || !hasFourCC)
	}
	return id, ok && !hasFourCC
}

// audioByte returns the first byte of the legacy header of f, if it is written with one.
func (form Form) audioByte(f *av.Frame) (first byte, ok bool) {
	enhanced := wireEnhanced(av.Audio, f.Wire)
	if form.Enhanced == AsReceived && enhanced {
		return 0, false
	}
	if form.Enhanced == Always {
		if _, hasFourCC := enhancedCodec(av.Audio, f.Codec); hasFourCC {
			return 0, false
		}
	}
	if f.Wire != 0 && !enhanced {
		if first := wireFirst(f.Wire); audioCodec(first>>4) == f.Codec {
			return first, true
		}
	}
	return audioByte(f.Codec)
}

func appendLegacyVideo(dst []byte, f *av.Frame, id byte) ([]byte, bool) {
	first := frameType(f)<<4 | id
	if f.Type == av.Command || f.Type == av.Media && !hasPacketType(id) {
		if len(f.Payload) == 0 {
			return dst, false // a header alone is not a body
		}
		return append(dst, first), true
	}
	if !hasPacketType(id) {
		return dst, false
	}
	var packet byte
	switch f.Type {
	case av.Media:
		packet = legacyMedia
	case av.Config:
		packet = legacyConfig
	case av.End:
		packet = legacyEnd
	default:
		return dst, false
	}
	cts, ok := compositionMillis(f.PTS - f.DTS)
	if !ok {
		return dst, false
	}
	return append(dst, first, packet, byte(cts>>16), byte(cts>>8), byte(cts)), true
}

func appendLegacyAudio(dst []byte, f *av.Frame, first byte) ([]byte, bool) {
	switch {
	case f.Codec == av.AAC && f.Type == av.Media:
		return append(dst, first, legacyMedia), true
	case f.Codec == av.AAC && f.Type == av.Config:
		return append(dst, first, legacyConfig), true
	case f.Codec != av.AAC && f.Type == av.Media && len(f.Payload) > 0:
		return append(dst, first), true
	}
	return dst, false
}

// frameType returns the frame type of a video frame.
func frameType(f *av.Frame) byte {
	came := wireFirst(f.Wire) >> 4 & 7
	switch f.Type {
	case av.Command:
		return frameCommand
	case av.Meta:
		if wireEnhanced(av.Video, f.Wire) {
			return came // ignored by players
		}
	case av.Media:
		const facts = av.Key | av.Disposable
		if f.Wire != 0 && came != frameCommand && frameFlags(came) == f.Flags&facts {
			return came
		}
		switch {
		case f.Flags&av.Key != 0:
			return frameKey
		case f.Flags&av.Disposable != 0:
			return frameDisposable
		}
		return frameInter
	default:
		if f.Wire != 0 && came != frameCommand {
			return came
		}
	}
	return frameKey
}

// compositionMillis returns d as the signed 24-bit milliseconds of the wire; ok is false
// if they do not fit.
func compositionMillis(d time.Duration) (ms int64, ok bool) {
	ms = av.Ticks(d, 1000)
	return ms, ms >= -1<<23 && ms < 1<<23
}
