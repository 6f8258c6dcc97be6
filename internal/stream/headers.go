package stream

import (
	"bytes"
	"time"

	"weir/av"
	"weir/codec"
	"weir/internal/timeline"
)

// Headers is what a player must be given before media: a snapshot that never changes.
type Headers struct {
	// Version grows with every change.
	Version uint32
	// Metadata is the publisher's own, as it came (AMF0 "onMetaData" and an object); nil if it sent none.
	Metadata []byte
	// Tracks are in the order of kind, then id.
	Tracks []TrackHeader
}

// TrackHeader is the header of one track.
type TrackHeader struct {
	// Track describes the track. Its Config is the configuration in the form that its
	// codec's specification gives it: the publisher's own if that can be used, else one made of
	// what is in band; nil for codecs that have none, and if Unusable.
	av.Track
	// Version grows when the codec or the configuration changes in what matters to players.
	Version uint32
	// ConfigFrame is the publisher's configuration frame, its payload as it came, which
	// players of the publisher's own format get; nil if it sent none.
	ConfigFrame *av.Frame
	// Unusable says why formats that need the configuration cannot carry the track; nil if
	// they can. They leave the track out and play the others.
	Unusable error
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

// track is the state of one track of a stream; it lives as long as the stream.
type track struct {
	clock   timeline.Clock
	present bool          // the current publisher has it
	heard   time.Duration // when its newest media came, or else the track
	header  TrackHeader
	derive  codec.Deriver
	derived bool // the configuration is made of what is in band
	nalSize int
	ended   bool // an End came since the configuration
	pieces  pieces

	unusable time.Duration // arrival of the first media frame while the track could not be used
	told     bool          // an event has said so

	figures figures // of the present publisher
}

// setConfig takes a configuration frame. It reports whether the frame is to be passed on, which it
// is not if it repeats the one in force, and whether it changes what matters to players.
func (t *track) setConfig(f *av.Frame) (pass, differs bool) {
	old, known := t.header.ConfigFrame, t.present && t.header.Codec == f.Codec
	if old != nil && !t.ended && known && bytes.Equal(old.Payload, f.Payload) {
		return false, false
	}
	if !known {
		t.derive, t.header.Split = codec.Deriver{}, false
	}
	c := *f
	t.header.ConfigFrame = &c
	if t.header.Meta != nil && old != nil && old.Codec != f.Codec {
		t.header.Meta = nil
	}
	config, err := t.derive.Record(f.Codec, f.Kind, f.Payload)
	derived := err == nil && !bytes.Equal(config, f.Payload)
	switch {
	case err != nil && known && t.derived:
		config = t.header.Config // the configuration found in band stays in force
		derived, err = true, nil
	case err == nil && known && t.header.Unusable == nil && codec.SameCoding(f.Codec, t.header.Config, config):
		config = t.header.Config
	}
	differs = !known || (t.header.Unusable == nil) != (err == nil) || !bytes.Equal(config, t.header.Config)
	t.header.Media = t.header.Media && t.present && len(f.Payload) > 0
	t.present, t.ended, t.derived = true, false, derived
	if differs {
		t.set(f, config, err)
	}
	return true, differs
}

// set takes a new configuration; with err the track has none, and err says why.
func (t *track) set(f *av.Frame, config []byte, err error) {
	tr := av.Track{Kind: f.Kind, Codec: f.Codec}
	if err == nil { // a track that cannot be described passes through
		if tr, _ = codec.Describe(f.Codec, f.Kind, config); tr.Config == nil {
			tr.Config = config
		}
	}
	tr.ID = f.Track
	t.header.Track, t.header.Unusable = tr, nil
	if err != nil && codec.NeedsConfig(f.Codec) {
		t.header.Unusable = err
	}
	t.header.Version++
	t.nalSize = codec.NALLengthSize(f.Codec, config)
}

// describe takes a media frame; it reports whether the frame told something new about the track. A
// codec without a configuration record, or with an empty one, is described by its first frame, and
// by its key frames as long as the picture's size is unknown. A configuration that is missing is
// looked for in each frame; one that was found in band may change with each key frame.
func (t *track) describe(f *av.Frame) bool {
	known := t.present && t.header.Codec == f.Codec
	changed := !known || !t.header.Media
	if !known {
		t.header.ConfigFrame, t.header.Meta, t.header.Split = nil, nil, false
		t.derive, t.derived = codec.Deriver{}, false
		var err error
		if codec.NeedsConfig(f.Codec) {
			err = codec.ErrNoConfig
		}
		t.set(f, nil, err)
	}
	switch {
	case t.header.Unusable != nil || t.derived && f.IsKey():
		changed = t.look(f) || changed
	case f.Kind == av.Video && t.header.Size.Width == 0 && f.IsKey(), changed && len(t.header.Config) == 0:
		changed = t.peek(f) || changed
	}
	t.present, t.header.Media, t.ended = true, true, false
	return changed
}

// look searches a media frame for the configuration; it reports whether it has found a new one.
func (t *track) look(f *av.Frame) bool {
	config := t.derive.Frame(f.Codec, f.Payload)
	if config == nil {
		again := !t.header.Media || f.Kind == av.Video && f.IsKey()
		return t.header.Unusable != nil && again && t.peek(f)
	}
	if t.header.Unusable == nil && codec.SameCoding(f.Codec, t.header.Config, config) {
		return false
	}
	t.set(f, config, nil)
	t.derived = true
	return true
}

// peek describes the track by a media frame where it is not described yet; it reports whether that
// told something new.
func (t *track) peek(f *av.Frame) bool {
	tr, err := codec.DescribeFrame(f.Codec, f.Kind, f.Payload)
	if err != nil {
		return false
	}
	old := t.header.Track
	if tr.Config, tr.ID = old.Config, old.ID; old.Size.Width == 0 && len(old.Config) > 0 {
		size := tr.Size
		tr = old // the configuration has precedence
		tr.Size = size
	}
	was := &t.header.Track
	if same := tr.Profile == was.Profile && tr.Size == was.Size && tr.SampleRate == was.SampleRate && tr.Channels == was.Channels; same {
		return false
	}
	t.header.Track = tr
	return true
}

// pieces follows a video track whose pictures come in several frames of one time.
type pieces struct {
	begun  bool
	at     time.Duration // DTS of the newest frame
	prefix bool          // it is a key frame without a picture, to which the next one belongs
}

// continues takes the next frame of video, placed in time; picture is false if there is none in
// it. It reports whether the frame goes on with the picture of the one before, and whether players that
// are to have the whole picture start earlier than at this frame.
func (p *pieces) continues(f *av.Frame, picture bool, nalSize int) (split, inside bool) {
	if p.begun && f.DTS == p.at {
		split = codec.ContinuesPicture(f.Codec, f.Payload, nalSize)
		inside = split || p.prefix
	}
	p.begun, p.at, p.prefix = true, f.DTS, f.IsKey() && !picture && (f.Codec == av.H264 || f.Codec == av.H265)
	return split, inside
}

// unusableTime is how long a configuration may be missing before an event says so.
const unusableTime = time.Second

// complains reports true once, at a media frame, if the track cannot be used.
func (t *track) complains(arrived time.Duration) bool {
	switch {
	case t.header.Unusable == nil:
		t.unusable = 0
	case t.unusable == 0:
		t.unusable = max(arrived, 1)
	case !t.told && arrived-t.unusable >= unusableTime:
		t.told = true
		return true
	}
	return false
}
