package hls

import "time"

// slide takes segments off the playlist, and later off the memory: a segment stays available
// for its own duration and that of the longest playlist that had it (§6.2.2).
func (r *Rendition) slide() {
	window := max(r.p.settings.Window, 3)
	whole := len(r.segments) - r.listed
	length := time.Duration(0)
	for _, s := range r.segments[r.listed:] {
		length += s.duration
	}
	for ; whole > window; whole-- {
		s := r.segments[r.listed]
		if length -= s.duration; length < 3*r.p.pace.target {
			break
		}
		if s.discontinuity {
			r.dropped++
		}
		r.listed++
	}
	r.unload()
	for r.listed > window+2 {
		r.discard(r.segments[0])
		r.segments[0] = nil
		r.segments = r.segments[1:]
		r.listed--
	}
	// Initializations that no stored segment needs.
	for len(r.inits) > 1 && r.inits[0] != r.segments[0].init {
		r.inits = r.inits[1:]
	}
}

// forget drops everything but what the next run must know.
func (r *Rendition) forget() {
	for _, s := range r.segments[r.listed:] {
		if s.discontinuity {
			r.dropped++
		}
	}
	for _, s := range r.segments {
		r.discard(s)
	}
	clear(r.open)
	r.segments, r.listed, r.inits, r.current = nil, 0, nil, nil
	r.open, r.queue, r.cuts, r.tracks = nil, nil, nil, nil
	r.openBytes, r.bits, r.wanting, r.jump = 0, rate{}, true, r.next > firstNumber
	r.changed() // what is cached is of an older version; its lock must not be waited for here
	r.notify()
}
