package accessunit

import (
	"bytes"
	"slices"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// A Repairer turns the frames of a stream into what its players of FLV and RTMP get if it is to be
// repaired: whole access units as a Joiner makes them, and before them configuration
// frames that say the same in canonical form, also where the publisher sent none. Tracks
// that cannot be used are left out. The zero value is ready. A Repairer is not safe for
// concurrent use.
type Repairer struct {
	join    Joiner
	headers *stream.Headers
	configs []*av.Frame // the newest of each track
	out     []stream.Entry

	marks []mark
}

// mark says that players may start at the first frame of a kind from a time on.
type mark struct {
	kind av.Kind
	at   time.Duration
}

// maxMarks is how many marks wait for their frames: one that is held back and the next one's, and
// some for frames that never come.
const maxMarks = 8

// Put takes the next frame and returns those that are ready, with what a player must have before
// each; see Joiner.Put. The publisher's own configuration frames are not among them. The slice
// is valid until the next call.
func (r *Repairer) Put(e *stream.Entry) []stream.Entry {
	r.out = r.out[:0]
	if e.Headers != r.headers {
		r.take(e)
	}
	if e.Sync {
		if len(r.marks) == maxMarks {
			r.marks = r.marks[:0]
		}
		r.marks = append(r.marks, mark{e.Kind, e.DTS})
	}
	for _, t := range r.headers.Tracks {
		if t.Kind == e.Kind && t.ID == e.Track && (t.Unusable != nil || e.Type == av.Config && t.Config != nil) {
			return r.out
		}
	}
	r.add(r.join.Put(&e.Frame))
	return r.out
}

// Flush returns the pictures that are held back, as is due at the end of the stream.
func (r *Repairer) Flush() []stream.Entry {
	r.out = r.out[:0]
	r.add(r.join.Flush())
	return r.out
}

// take takes the headers of an entry, and returns the configuration frames that differ
// from those before.
func (r *Repairer) take(e *stream.Entry) {
	r.headers = e.Headers
	r.join.SetTracks(e.Headers.Tracks)
	var configs []*av.Frame
	for i := range e.Headers.Tracks {
		f := ConfigFrame(&e.Headers.Tracks[i])
		if f == nil {
			continue
		}
		configs = append(configs, f)
		same := func(o *av.Frame) bool {
			return o.Kind == f.Kind && o.Track == f.Track && o.Codec == f.Codec && bytes.Equal(o.Payload, f.Payload)
		}
		if slices.ContainsFunc(r.configs, same) {
			continue
		}
		now := stream.Entry{Frame: *f, Headers: e.Headers}
		now.DTS, now.PTS = e.DTS, e.DTS
		r.out = append(r.out, now)
	}
	r.configs = configs
}

func (r *Repairer) add(frames []av.Frame) {
	for i := range frames {
		e := stream.Entry{Frame: frames[i], Headers: r.headers}
		r.marks = slices.DeleteFunc(r.marks, func(m mark) bool {
			due := e.Type == av.Media && e.Kind == m.kind && e.DTS >= m.at
			e.Sync = e.Sync || due
			return due
		})
		r.out = append(r.out, e)
	}
}

// ConfigFrame returns the configuration frame of a track in canonical form: the publisher's own if it is
// so, else one made of the track's configuration; nil if there is none or it cannot be used.
func ConfigFrame(t *stream.TrackHeader) *av.Frame {
	switch {
	case t.Unusable != nil:
		return nil
	case t.Config == nil || t.ConfigFrame != nil && bytes.Equal(t.Config, t.ConfigFrame.Payload):
		return t.ConfigFrame
	}
	return &av.Frame{Kind: t.Kind, Type: av.Config, Codec: t.Codec, Track: t.ID, Payload: t.Config}
}
