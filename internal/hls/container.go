package hls

import (
	"time"

	"weir/av"
	"weir/internal/stream"
)

// container turns the frames of a rendition into bytes. A packager calls it under its lock.
type container interface {
	// check says why the container cannot carry a track; nil if it can.
	check(t *av.Track) error
	// begin is called before a segment whose tracks may differ from those before. It
	// returns what comes before the segment, nil if nothing does.
	begin(tracks []stream.TrackHeader, discontinuity bool) (init []byte, err error)
	// encode returns the bytes of a part: frames of all tracks, each track's in order, the lead's
	// up to end, and the texts that are due. first says that it is a segment's first.
	encode(frames []frame, texts []text, lead trackKey, end time.Duration, first bool) []byte
	ext() string
}

// trackKey names a track.
type trackKey struct {
	kind av.Kind
	id   uint8
}

// noTrack names none.
var noTrack = trackKey{av.Data, 0}

func keyOf(f *av.Frame) trackKey { return trackKey{f.Kind, f.Track} }
