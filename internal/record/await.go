package record

import (
	"slices"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// trackTime is for how long the frames of a stream, or of a publisher that has returned, wait for the tracks that have not come yet, so that they are in the
// file from its beginning: sound often comes a second or two after the pictures. Frames wait in the order, which bounds them.
const trackTime = 3 * time.Second

// awaited are the tracks that a stream is expected to have.
type awaited struct {
	tracks []trackID // that it had; nil before the first came
	waits  bool      // for one of them
	begun  bool      // a frame has come since it waits
	since  time.Duration
}

// complete reports whether the stream has the tracks that are recorded and that it is expected to have: at first pictures and sound, later those that it
// had before. What does not come within trackTime is not waited for any more.
func (t *taker) complete() bool {
	if t.headers == nil {
		return true
	}
	conf := t.r.config()
	var has []trackID
	for i := range t.headers.Tracks {
		h := &t.headers.Tracks[i]
		if _, ok := conf.wants(h.Kind, h.ID); ok && (h.Media || h.ConfigFrame != nil) {
			has = append(has, trackID{h.Kind, h.ID})
		}
	}
	a := &t.await
	missing := slices.ContainsFunc(a.tracks, func(k trackID) bool { return !slices.Contains(has, k) })
	if a.tracks == nil {
		missing = conf.wantsKind(av.Video) && !slices.ContainsFunc(has, trackID.isVideo) || conf.wantsKind(av.Audio) && !slices.ContainsFunc(has, trackID.isAudio)
	}
	if missing {
		if !a.waits {
			a.waits, a.begun = true, false
		}
		if (!a.begun || t.order.newest-a.since < trackTime) && t.order.count < maxItems {
			return false
		}
	}
	a.tracks, a.waits = has, false
	return true
}

func (k trackID) isVideo() bool { return k.kind == av.Video }
func (k trackID) isAudio() bool { return k.kind == av.Audio }

// covers reports whether headers have all that older ones have, and as they have it: what came under the older ones belongs under the newer as well.
func covers(newer, older *stream.Headers) bool {
	for i := range older.Tracks {
		was := &older.Tracks[i]
		if h := headerOf(newer, was.Kind, was.ID); h == nil || h.Version != was.Version {
			return false
		}
	}
	return true
}
