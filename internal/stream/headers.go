package stream

import (
	"bytes"

	"weir/av"
	"weir/codec"
	"weir/internal/timeline"
)

// Headers is what a player must be given before media: a snapshot that never changes.
type Headers struct {
	// Version grows with every change of any of it.
	Version uint32
	// Metadata is the publisher's own, as it came (AMF0 "onMetaData" and an object); nil if it sent none.
	Metadata []byte
	// Tracks are in the order of kind, then id.
	Tracks []TrackHeader
}

// TrackHeader is one track's.
type TrackHeader struct {
	av.Track
	// Version grows when the configuration changes.
	Version uint32
	// Config is the configuration frame; nil for codecs that have none.
	ConfigFrame *av.Frame
	// Meta is the newest frame that changes how the track is shown or heard; nil if there was none.
	Meta *av.Frame
	// Media is true once the track carried media.
	Media bool
	// Split is true if the track's pictures come in several frames, each with some of the
	// slices; see package accessunit.
	Split bool
}

// Has reports whether there is a track of this kind.
func (h *Headers) Has(k av.Kind) bool {
	for i := range h.Tracks {
		if h.Tracks[i].Kind == k {
			return true
		}
	}
	return false
}

// Descriptions returns the tracks as package av describes them.
func (h *Headers) Descriptions() []av.Track {
	tracks := make([]av.Track, len(h.Tracks))
	for i := range h.Tracks {
		tracks[i] = h.Tracks[i].Track
	}
	return tracks
}

// track is the state of one track of a stream; it lives as long as the stream.
type track struct {
	clock   timeline.Clock
	present bool // the current publisher has it
	header  TrackHeader
	nalSize int
	ended   bool // an End came since the configuration
}

// setConfig takes a configuration frame. It reports whether it differs from the one in force.
func (t *track) setConfig(f *av.Frame) bool {
	old := t.header.ConfigFrame
	if old != nil && !t.ended && t.present && old.Codec == f.Codec && bytes.Equal(old.Payload, f.Payload) {
		return false
	}
	c := *f
	tr, err := codec.Describe(f.Codec, f.Kind, f.Payload)
	if err != nil { // what cannot be parsed passes through undescribed
		tr = av.Track{Kind: f.Kind, Codec: f.Codec, Config: f.Payload}
	}
	t.header.Media = t.header.Media && t.present && len(f.Payload) > 0
	tr.ID = f.Track
	t.header.Track, t.header.ConfigFrame = tr, &c
	if t.header.Meta != nil && old != nil && old.Codec != f.Codec {
		t.header.Meta = nil
	}
	t.header.Version++
	t.nalSize = codec.NALLengthSize(f.Codec, f.Payload)
	t.present, t.ended = true, false
	return true
}

// describe takes a media frame; it reports whether the frame told something new of the
// track. A codec without a configuration record, or with an empty one, is described by
// its first frame, and by its key frames as long as the picture's size is unknown.
func (t *track) describe(f *av.Frame) bool {
	known := t.present && t.header.Codec == f.Codec
	if known && t.header.Media {
		if f.Kind != av.Video || t.header.Size.Width > 0 || !f.IsKey() {
			return false
		}
		tr, err := codec.DescribeFrame(f.Codec, f.Kind, f.Payload)
		if err != nil || tr.Size.Width == 0 {
			return false
		}
		t.header.Size = tr.Size
		return true
	}
	if !known {
		t.header.ConfigFrame, t.header.Meta, t.nalSize = nil, nil, 0
		t.header.Version++
	}
	if t.header.ConfigFrame == nil || len(t.header.ConfigFrame.Payload) == 0 {
		tr, err := codec.DescribeFrame(f.Codec, f.Kind, f.Payload)
		if err != nil { // what cannot be parsed passes through undescribed
			tr = av.Track{Kind: f.Kind, Codec: f.Codec}
		}
		tr.ID = f.Track
		t.header.Track = tr
	}
	t.present, t.header.Media, t.ended = true, true, false
	return true
}
