package hls

import (
	"bytes"
	"math"
	"slices"
	"sync"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// firstNumber is the media sequence number of the first segment. It is not 0: hls.js 1.7 takes the parts of a segment
// of that number for parts of none, may forget on a slow machine that it has them, and then loads them again and again.
const firstNumber = 1

// Rendition is one media playlist's tracks: their parts and segments. Its packager's
// lock guards all but what is said to have another.
type Rendition struct {
	p    *Packager
	name string
	// sound is the one track it carries, for a rendition of sound beside the video.
	sound *trackKey

	box     container
	tracks  []stream.TrackHeader // in force since the open segment began
	lead    trackKey
	wanting bool // waits for a frame with which a segment may begin

	// The open part: the lead's frames, the last of which has no known end yet, and when it began.
	open      []frame
	openBytes int
	// queue holds frames of other tracks, and while a segment is wanting, those of the lead
	// if it is sound.
	queue []frame
	// cuts are where the main rendition's segments began, for those that follow it.
	cuts []cut

	segments []*segment // stored ones, in order; the last is open unless it is whole
	listed   int        // the index of the first that the playlist lists
	next     uint64     // the number of the next segment
	dropped  uint64     // discontinuities before the first listed segment
	inits    []*initialization
	current  *initialization
	gopAt    time.Duration // when the present group of pictures began
	frameDur time.Duration // of the lead's last frame
	jump     bool          // the next segment is discontinuous

	version uint64        // of the playlist: counts changes
	wake    chan struct{} // closed at a change while somebody waits
	waiting bool

	leadFrames int // in the open segment
	bits       rate
	cache      cache // has a lock of its own
}

// cut is where a segment of the main rendition begins.
type cut struct {
	at   time.Duration
	jump bool
}

// last returns the newest segment, nil if there is none.
func (r *Rendition) last() *segment {
	if len(r.segments) == 0 {
		return nil
	}
	return r.segments[len(r.segments)-1]
}

// openSegment returns the segment that is being filled, nil if there is none.
func (r *Rendition) openSegment() *segment {
	if s := r.last(); s != nil && !s.whole {
		return s
	}
	return nil
}

// changed notes that the playlist is not what it was.
func (r *Rendition) changed() {
	r.version++
	r.p.dirty.Store(true)
}

// notify wakes those who wait for a change.
func (r *Rendition) notify() {
	if r.waiting {
		r.waiting = false
		close(r.wake)
		r.wake = make(chan struct{})
	}
}

// begin opens a segment at time at.
func (r *Rendition) begin(at, arrived time.Duration, tracks []stream.TrackHeader) {
	p := r.p
	s := &segment{number: r.next, date: p.date(at, arrived)}
	if changed := !sameTracks(r.tracks, tracks); changed || r.jump || r.tracks == nil {
		s.discontinuity = r.next > firstNumber && (r.jump || r.tracks != nil)
		init, err := r.box.begin(tracks, s.discontinuity)
		if err != nil {
			p.note(err)
		}
		r.tracks = tracks
		if init != nil && (r.current == nil || !bytes.Equal(r.current.data, init)) {
			r.current = &initialization{number: p.inits, data: init}
			p.inits++
			r.inits = append(r.inits, r.current)
		}
	}
	s.init = r.current
	r.next++
	if r.jump || r.wanting {
		r.queue = slices.DeleteFunc(r.queue, func(f frame) bool { return f.at < at-maxEarly })
	}
	r.jump, r.wanting = false, false
	r.gopAt = at
	if r.frameDur <= 0 {
		r.frameDur = p.frameDur
	}
	r.segments = append(r.segments, s)
	if r.sound == nil {
		for _, o := range p.renditions {
			if o.sound != nil {
				o.cuts = append(o.cuts, cut{at, s.discontinuity})
			}
		}
	}
}

func sameTracks(a, b []stream.TrackHeader) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Kind != b[i].Kind || a[i].ID != b[i].ID || a[i].Codec != b[i].Codec || a[i].Version != b[i].Version {
			return false
		}
	}
	return true
}

// push takes a frame of one of the rendition's tracks.
func (r *Rendition) push(f frame) {
	if keyOf(&f.Frame) != r.lead {
		r.enqueue(f)
		return
	}
	s := r.openSegment()
	if s == nil {
		r.first(f)
		return
	}
	last := r.open[len(r.open)-1]
	if f.at <= last.at { // each frame lasts a while, however short
		f.at = last.at + time.Microsecond
	}
	if d := f.at - last.at; d <= r.p.pace.hole() {
		r.frameDur = d
	} else if r.p.pace.part > 0 { // a hole: the last frame lasts as long as its part may
		r.endPart(min(r.open[0].at+r.p.pace.part, r.latest(s)))
	} else {
		r.endPart(r.lastEnd())
	}
	key := f.IsKey() || f.Kind == av.Audio
	if r.endsSegment(s, &f, key) {
		r.fit(f.at)
		r.end(min(f.at, r.latest(s)))
		r.first(f)
		return
	}
	if key && f.Kind == av.Video {
		r.gopAt = f.at
	}
	r.endsPart(&f)
	r.open = append(r.open, f)
	r.openBytes += len(f.Payload)
}

// endsSegment reports whether segment s ends before frame f.
func (r *Rendition) endsSegment(s *segment, f *frame, key bool) bool {
	p := r.p
	d := s.duration + r.openFor(f.at)
	switch {
	case r.sound != nil:
		return len(r.cuts) > 0 && f.at >= r.cuts[0].at
	case f.Kind == av.Audio:
		return r.jump || d+r.frameDur > p.settings.Segment
	case key && (r.jump || p.settings.ripe(d, f.at-r.gopAt)):
		return true
	case p.pace.tooLong(d, r.frameDur):
		if !key {
			p.irregular(d)
		}
		return true
	}
	return false
}

// latest is where segment s must end so that it is not longer than the target duration, although its
// last frame may be.
func (r *Rendition) latest(s *segment) time.Duration {
	n := len(r.open)
	if n == 0 {
		return 0
	}
	end := r.open[0].at + r.p.pace.target + time.Second/2 - slack - s.duration
	return max(end, r.open[n-1].at+time.Millisecond)
}

// openFor is how long the open part lasts if it ends at time at.
func (r *Rendition) openFor(at time.Duration) time.Duration {
	if len(r.open) == 0 {
		return 0
	}
	return at - r.open[0].at
}

// endsPart ends the open part, if it is full, before frame f.
func (r *Rendition) endsPart(f *frame) {
	r.fit(f.at)
	d, n := r.openFor(f.at), len(r.open)
	if n > 0 && (r.p.pace.full(d, r.frameDur) || r.openBytes+len(f.Payload) > maxPartBytes || n >= maxPartFrames) {
		r.endPart(f.at)
	}
}

// fit keeps the open part within the part target if its last frame lasts until at: that frame
// gets a part of its own or, where the part would be too short without it, is cut short,
// and what is left of its time is a hole.
func (r *Rendition) fit(at time.Duration) {
	pace, n := &r.p.pace, len(r.open)
	if pace.part == 0 || n < 2 || r.openFor(at) <= pace.part {
		return
	}
	last := r.open[n-1]
	if r.openFor(last.at) < pace.leastPart() {
		r.endPart(r.open[0].at + pace.part)
		return
	}
	r.open = r.open[:n-1]
	r.endPart(last.at)
	r.open = append(r.open, last)
	r.openBytes = len(last.Payload)
}

// lastEnd is where the open part's last frame may be thought to end, if it is not known.
func (r *Rendition) lastEnd() time.Duration {
	last, pace := r.open[len(r.open)-1].at, &r.p.pace
	end := last + min(r.frameDur, pace.hole())
	if pace.part > 0 {
		end = min(end, r.open[0].at+pace.part)
	}
	return max(end, last+time.Millisecond)
}

// first takes a lead frame while no segment is open.
func (r *Rendition) first(f frame) {
	if r.wanting && f.Kind == av.Video && !f.IsKey() {
		return
	}
	if r.sound != nil {
		if len(r.cuts) == 0 { // the main rendition's segment has not begun
			r.enqueue(f)
			return
		}
		if queue := r.queue; len(queue) > 0 {
			r.queue = nil
			for _, q := range queue {
				r.push(q)
			}
			r.push(f)
			return
		}
		for len(r.cuts) > 0 && (f.at >= r.cuts[0].at || r.wanting) {
			if f.at < r.cuts[0].at { // from before the segment
				return
			}
			r.jump = r.jump || r.cuts[0].jump
			r.cuts = r.cuts[1:]
			r.wanting = false
		}
	}
	tracks := r.p.tracksOf(r)
	r.begin(f.at, f.Arrived, tracks)
	r.open = append(r.open[:0], f)
	r.openBytes = len(f.Payload)
}

// enqueue keeps a frame until its part or segment comes.
func (r *Rendition) enqueue(f frame) {
	drop := 0
	for drop < len(r.queue) && (len(r.queue)-drop >= maxQueued || f.at-r.queue[drop].at > maxQueuedTime) {
		drop++
	}
	if drop > 0 {
		r.queue = append(r.queue[:0], r.queue[drop:]...)
	}
	r.queue = append(r.queue, f)
}

// endPart ends the open part at time end: the lead's frames, and what there is of the other
// tracks until then.
func (r *Rendition) endPart(end time.Duration) { r.endPartWith(end, end) }

// endPartWith is endPart with the other tracks' frames until another time.
func (r *Rendition) endPartWith(end, until time.Duration) {
	s := r.openSegment()
	if s == nil || len(r.open) == 0 {
		return
	}
	begin := r.open[0].at
	independent := r.open[0].IsKey() || r.open[0].Kind == av.Audio
	keep := r.queue[:0]
	frames := r.open
	for _, f := range r.queue {
		if f.at < until && r.carries(&f) {
			frames = append(frames, f)
		} else {
			keep = append(keep, f)
		}
	}
	clear(r.queue[len(keep):])
	r.queue = keep
	lead := len(r.open)
	var texts []text
	if r.sound == nil {
		texts = r.p.textsUntil(end)
	}
	data := r.box.encode(frames, texts, r.lead, end, len(s.parts) == 0)
	s.parts = append(s.parts, &part{duration: end - begin, independent: independent, data: s.store(data, r.p.opt.pages)})
	s.duration += end - begin
	s.size += len(data)
	r.leadFrames += lead
	clear(frames)
	r.open, r.openBytes = frames[:0], 0
	r.changed()
}

// carries reports whether a frame is of a track as the open segment has it: the first
// frames of a new configuration wait for the next segment.
func (r *Rendition) carries(f *frame) bool {
	for i := range r.tracks {
		t := &r.tracks[i]
		if t.Kind == f.Kind && t.ID == f.Track && t.Version == f.version {
			return true
		}
	}
	return false
}

// end ends the open segment at time end.
func (r *Rendition) end(end time.Duration) { r.endWith(end, end) }

// endWith is end with the other tracks' frames until another time.
func (r *Rendition) endWith(end, until time.Duration) {
	s := r.openSegment()
	if s == nil {
		return
	}
	r.endPartWith(end, until)
	s.whole = true
	r.keep(s)
	r.bits.add(s, r.leadFrames)
	r.leadFrames = 0
	r.slide()
	r.changed()
}

// stop ends the open segment where its last frame does: something else comes next. Sound
// that lasts longer goes with it, since no later segment would carry it.
func (r *Rendition) stop() {
	if len(r.open) > 0 {
		r.endWith(r.lastEnd(), math.MaxInt64)
	} else {
		r.end(0)
	}
	r.wanting, r.jump = true, true
	r.cuts = nil
	keep := r.queue[:0] // of the tracks as they were, nothing more will be carried
	for _, f := range r.queue {
		if !r.carries(&f) {
			keep = append(keep, f)
		}
	}
	clear(r.queue[len(keep):])
	r.queue = keep
}

// cache is a rendition's playlists as text. Its lock is not the packager's.
type cache struct {
	mu   sync.Mutex // guards below
	made map[cacheKey]*Text
}
