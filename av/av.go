// Package av is Weir's neutral media model: the frame, the codec names, the
// description of a track, and exact conversion between clocks. It knows no
// container, no wire format and no bitstream.
package av

import "time"

// Kind says what a frame or track carries.
type Kind uint8

// The kinds of track.
const (
	Video Kind = iota
	Audio
	Data
)

// String returns "video", "audio" or "data".
func (k Kind) String() string {
	switch k {
	case Video:
		return "video"
	case Audio:
		return "audio"
	case Data:
		return "data"
	}
	return "unknown"
}

// Type says what a frame is to its track.
type Type uint8

// The types of frame.
const (
	// Media is an access unit (video) or one or more audio frames.
	Media Type = iota
	// Config is a codec configuration (sequence header); Payload is the
	// decoder configuration record in the form ISO/IEC 14496-15 or the
	// codec's own specification gives it.
	Config
	// End is an end of sequence: the decoder is flushed, the stream goes on.
	End
	// Meta changes how media is shown or heard: Enhanced RTMP's video Metadata
	// packet (HDR colour) or audio MultichannelConfig.
	Meta
	// Silence is Enhanced RTMP's zero-length audio message.
	Silence
	// Command is a video info or command frame (FLV frame type 5): no picture.
	Command
	// Script is a data message (Kind Data): an AMF name and values.
	Script
)

// Flags are facts about one frame.
type Flags uint8

// The frame flags.
const (
	// Key marks a frame at which a decoder may start.
	Key Flags = 1 << iota
	// Disposable marks a frame that no other frame refers to.
	Disposable
	// Discontinuity marks the first frame after a change of publisher or a
	// jump of the source's clock. Only internal/stream sets it.
	Discontinuity
)

// Frame is one access unit of video, one audio packet or one data message of
// one track. A frame is passed by pointer and never changed once it has been
// written to a stream: every reader shares it and its Payload.
type Frame struct {
	Kind  Kind
	Type  Type
	Flags Flags
	// Track is the source's track id within Kind; 0 is the default track.
	// (Kind, Track) names a track within a stream.
	Track uint8
	// Codec is the coding format, also on every Media frame, so that a codec
	// without configuration record is known by its first frame.
	Codec Codec
	// Wire is what the source's tag header said beyond the neutral fields. It is
	// opaque outside format/flv; 0 means that the writer chooses.
	Wire uint32
	// DTS and PTS are the decoding and presentation times. From a demuxer they
	// are on the source's clock; once written to a stream, on the stream's
	// timeline, which begins at 0. PTS-DTS is exact and may be negative.
	DTS, PTS time.Duration
	// Arrived is the monotonic time (since process start) at which the last byte of
	// the frame came in; 0 if unknown.
	Arrived time.Duration
	// Payload is the coded data without any tag header. For the
	// length-prefixed codecs (H264, H265, VVC) NAL units with the length size
	// of the configuration; for Script the AMF0 values, the name first.
	Payload []byte
	// Side holds the source's Enhanced RTMP ModEx blocks as received, so that
	// players of the same wire format get them back; nil for nearly all frames.
	Side []byte
}

// IsKey reports whether f is a media frame flagged as key.
func (f *Frame) IsKey() bool { return f.Type == Media && f.Flags&Key != 0 }

// Size is the track's picture size in pixels after cropping.
type Size struct{ Width, Height int }

// Track describes one elementary stream as far as its configuration record or
// its first frames tell. Unknown facts are zero.
type Track struct {
	Kind  Kind
	ID    uint8
	Codec Codec
	// Config is the decoder configuration record as received; nil for codecs that have none.
	Config []byte

	// Video.
	Profile string // as people write it: "High", "Main 10"
	Level   string // "3.1"
	Size    Size
	// FrameRate in frames per second as the bitstream declares it; 0 if it does not.
	FrameRate float64

	// Audio.
	SampleRate int // Hz
	Channels   int
}
