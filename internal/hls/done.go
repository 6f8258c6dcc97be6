package hls

import "time"

// Listener is told of segments.
type Listener interface {
	// Wanted reports whether it wants to be, now. It is called under locks, and must not wait.
	Wanted() bool
	// SegmentDone is told of a segment of the stream at path that is complete. It is called without locks.
	SegmentDone(path string, d Done)
}

// Done is a segment that is complete and can be fetched.
type Done struct {
	Rendition string // "main", or that of one sound
	Number    uint64 // media sequence number
	Name      string // the last segment of its URL's path, behind that of the stream
	File      string // where it is on disk; empty if it is in memory
	Begin     time.Time
	Duration  time.Duration
	Size      int // bytes
	// Discontinuity says that it does not go on where the one before ended.
	Discontinuity bool
}

// Tell has l told of the segments that are done from now on. It is called before the set is used.
func (set *Set) Tell(l Listener) { set.listener = l }

// done notes that a segment is complete, for tell. The packager's lock is held.
func (r *Rendition) done(s *segment) {
	if l := r.p.opt.listener; l == nil || !l.Wanted() || s.size == 0 {
		return
	}
	r.p.finished = append(r.p.finished, Done{
		Rendition: r.name, Number: s.number, Name: r.nameOf(s, -1), File: s.file, Begin: s.date, Duration: s.duration,
		Size: s.size, Discontinuity: s.discontinuity,
	})
}
