package mux

import (
	"weir/av"
	"weir/format/flv"
)

// Format is a wire format with a log of its own.
type Format uint8

// The formats.
const (
	// RTMP is chunked RTMP messages.
	RTMP Format = iota
	// FLV is FLV tags without the file's header.
	FLV
	// WebSocketFLV is FLV tags, each in a binary WebSocket frame.
	WebSocketFLV
	// TS is MPEG-TS: tables go before each key frame, so that nothing need precede it.
	TS
	// WebSocketTS is MPEG-TS, the packets of each frame in a binary WebSocket frame.
	WebSocketTS
)

// Variant is everything that what is encoded depends on.
type Variant struct {
	Format Format
	// StreamID and ChunkSize are those of RTMP messages.
	StreamID  uint32
	ChunkSize int
	// Publish writes metadata as a publisher does, behind @setDataFrame.
	Publish bool
	// Form says how FLV tag headers are written.
	Form flv.Form
	// AllTracks sends tracks beside the default ones too, for players that know Multitrack.
	AllTracks bool
	// NoVideo and NoAudio leave that media out.
	NoVideo, NoAudio bool
}

// wants reports whether the variant carries frames of this kind and track.
func (v *Variant) wants(k av.Kind, track uint8) bool {
	switch k {
	case av.Video:
		return !v.NoVideo && (track == 0 || v.AllTracks)
	case av.Audio:
		return !v.NoAudio && (track == 0 || v.AllTracks)
	}
	return true
}

// Missing returns the codec of the first track of kind video or audio that variant v would
// carry but a player that knows only what can reports cannot decode; 0 if there is none.
func (v *Variant) Missing(tracks []av.Track, can func(av.Codec) bool) av.Codec {
	for i := range tracks {
		if t := &tracks[i]; v.wants(t.Kind, t.ID) && t.Kind != av.Data && !can(t.Codec) {
			return t.Codec
		}
	}
	return 0
}
