package mux

import (
	"weir/av"
	"weir/internal/fanout"
	"weir/internal/stream"
)

// Variant is everything that the bytes for a player depend on. Each format has a type of its own,
// with comparable values: players with equal variants share one encoder and one log.
type Variant interface {
	// Format is the name of the format. The bound on the encoders of a stream holds for each format
	// separately, so that players of one format cannot use up another's.
	Format() string
	// NewEncoder returns a new encoder.
	NewEncoder() Encoder
}

// Refuser is a Variant whose players are told why a stream ends that never began: Refuse returns the message for that, which takes the
// place of the one with which the format ends streams.
type Refuser interface {
	Refuse(cause error) []byte
}

// Encoder turns the frames of one stream into the bytes of one variant. Its methods are called one
// at a time, under the stream's lock: they must not wait or do I/O.
type Encoder interface {
	// Append encodes one frame to out. It compares e.Headers with those of the frame before, and
	// first encodes what has changed.
	Append(e *stream.Entry, out Output)
	// End encodes what is held back, and returns the message with which the format ends a stream, or
	// nothing. Players get it last, also those that wait for a first place to start.
	End(out Output) []byte
}

// Output is where an encoder puts its messages: Reserve returns an empty slice with room for n
// bytes, to which the encoder appends one message, and Commit takes the result. A fanout.Log is one.
type Output interface {
	Reserve(n int) []byte
	Commit(b []byte, m fanout.Message)
}

// Selection says which tracks of a stream a variant carries. The zero value selects the default
// tracks: track 0 of video and of sound.
type Selection struct {
	// AllTracks adds all other tracks, for players that can handle several.
	AllTracks bool
	// NoVideo and NoAudio leave out all video or all sound.
	NoVideo, NoAudio bool
}

// Wants reports whether frames of this kind and track are selected. Data always is.
func (s Selection) Wants(k av.Kind, track uint8) bool {
	switch k {
	case av.Video:
		return !s.NoVideo && (track == 0 || s.AllTracks)
	case av.Audio:
		return !s.NoAudio && (track == 0 || s.AllTracks)
	}
	return true
}

// Missing returns the codec of the first selected track of video or sound for which can reports
// false; 0 if there is none.
func (s Selection) Missing(h *stream.Headers, can func(av.Codec) bool) av.Codec {
	for i := range h.Tracks {
		if t := &h.Tracks[i]; s.Wants(t.Kind, t.ID) && t.Kind != av.Data && !can(t.Codec) {
			return t.Codec
		}
	}
	return 0
}
