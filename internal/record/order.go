package record

import (
	"time"

	"weir/av"
	"weir/internal/stream"
)

// item is a frame on its way into a file.
type item struct {
	av.Frame
	headers *stream.Headers // in force
	at      time.Duration   // its place in the order of all tracks
}

// order puts the frames of several tracks into one order: that in which they are shown, pictures by the key frame before them. Then what comes
// before a key frame belongs to the file before it, and what comes after it, of every track, to the next.
type order struct {
	tracks []*lane
	newest time.Duration
	count  int
}

// lane is what waits of one track.
type lane struct {
	kind  av.Kind
	id    uint8
	items []item
	last  time.Duration // of the newest
	delay time.Duration // how long after it is decoded the newest key frame is shown
}

const (
	// maxWait is for how long frames wait for those of a track that has sent none.
	maxWait = time.Second
	// maxItems bounds what waits.
	maxItems = 4096
)

// put takes a frame.
func (o *order) put(f *av.Frame, h *stream.Headers) {
	l := o.lane(f)
	it := item{Frame: *f, headers: h, at: f.PTS}
	if f.Kind == av.Video {
		if f.IsKey() {
			l.delay = min(max(f.PTS-f.DTS, 0), maxWait)
		}
		it.at = f.DTS + l.delay
	}
	it.at = max(it.at, l.last)
	l.last = it.at
	o.newest = max(o.newest, it.at)
	l.items = append(l.items, it)
	o.count++
}

func (o *order) lane(f *av.Frame) *lane {
	for _, l := range o.tracks {
		if l.kind == f.Kind && l.id == f.Track {
			return l
		}
	}
	l := &lane{kind: f.Kind, id: f.Track}
	o.tracks = append(o.tracks, l)
	return l
}

// next returns the next frame of a track, nil if none waits.
func (o *order) next(kind av.Kind, id uint8) *item {
	for _, l := range o.tracks {
		if l.kind == kind && l.id == id && len(l.items) > 0 {
			return &l.items[0]
		}
	}
	return nil
}

// take returns the next frame whose turn it is: none of another track can come that belongs before it, or has come for too long. With
// all it is the next one in any case.
func (o *order) take(all bool) (it item, ok bool) {
	var first *lane
	missing := false
	for _, l := range o.tracks {
		if len(l.items) == 0 {
			missing = missing || l.kind != av.Data && o.newest-l.last <= maxWait
			continue
		}
		if first == nil || l.items[0].at < first.items[0].at || l.items[0].at == first.items[0].at && l.kind < first.kind {
			first = l
		}
	}
	if first == nil || missing && !all && o.count < maxItems && o.newest-first.items[0].at <= maxWait {
		return item{}, false
	}
	it = first.items[0]
	first.items[0] = item{}
	if first.items = first.items[1:]; len(first.items) == 0 {
		first.items = nil
	}
	o.count--
	return it, true
}
