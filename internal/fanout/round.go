package fanout

import "time"

const (
	// restFactor: after a round that took r a worker rests restFactor*r, within the delays of Options.
	restFactor = 10
	// usualSlice is how many players are served without a pause.
	usualSlice = 256
	// leastPause is the shortest rest between two slices that is worth a timer.
	leastPause = int64(time.Millisecond)
)

// round is one pass of a worker over the players of the parts with news. A long one is cut into
// slices, and its rest is spread between them: each player is served as often, but the
// network and whoever receives see a stream instead of bursts. It is guarded by the worker's mu.
type round struct {
	underWay bool
	parts    []*part
	part     int  // the next one to serve
	player   int  // the next one within it
	budget   int  // of each of its players
	moved    bool // a player that has not been served took the place of one that had been
	busy     int64
	rested   int64
	// of the last round
	lastBusy, lastRest int64
}

// serveSlice serves some more players and reports whether that was the last of the round.
func (w *worker) serveSlice(now int64) bool {
	r := &w.round
	for left := w.e.opt.Slice; r.part < len(r.parts); {
		pt := r.parts[r.part]
		if r.player == 0 {
			r.budget = pt.begin()
		}
		for ; r.player < len(pt.players); left-- {
			if left <= 0 {
				return false
			}
			r.player = w.serveAt(pt, r.player, r.budget, now)
		}
		if r.moved {
			w.requeue(pt)
		}
		r.parts[r.part] = nil
		r.part, r.player, r.moved = r.part+1, 0, false
	}
	r.parts, r.part = r.parts[:0], 0
	return true
}

// leaves is told that the player with index i leaves a part, and that the last takes its place.
func (r *round) leaves(pt *part, i int) {
	if r.underWay && pt == r.parts[r.part] && i < r.player {
		r.moved = true
	}
}

// requeue makes a part be served in the next round too.
func (w *worker) requeue(pt *part) {
	if pt.queued.Swap(true) {
		return
	}
	w.qmu.Lock()
	w.queue = append(w.queue, pt)
	w.qmu.Unlock()
}

// restAfter returns how long to rest after a slice that took busy. Within a round that is as
// much as the last round had for it; its end makes up for the difference.
func (w *worker) restAfter(busy int64) int64 {
	r := &w.round
	r.busy += busy
	if r.underWay {
		pause := int64(0)
		if r.lastBusy > 0 {
			pause = min(busy*r.lastRest/r.lastBusy, r.lastRest-r.rested)
		}
		if pause < leastPause {
			return 0
		}
		r.rested += pause
		return pause
	}
	o := &w.e.opt
	whole := min(max(restFactor*r.busy, int64(o.MinDelay)), int64(o.MaxDelay))
	w.interval.Store(whole)
	rest := max(whole-r.rested, 0)
	r.lastBusy, r.lastRest = r.busy, whole
	r.busy, r.rested = 0, 0
	return rest
}
