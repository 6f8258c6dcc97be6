package session

import "time"

const (
	// MeasureEvery is how often Measure is to be called.
	MeasureEvery = 500 * time.Millisecond
	// egressOver is the time over which what is sent is measured.
	egressOver = 2 * time.Second
)

// egress measures what is sent to all peers.
type egress struct {
	past []sent // those of egressOver, the oldest first
	rate int64  // bits per second
}

// sent is how many bytes had been sent at a time.
type sent struct {
	at    time.Time
	bytes uint64
}

// Measure takes stock of what has been sent, for Limits.Egress. It visits every open session: call it
// each MeasureEvery while that limit is set.
func (r *Registry) Measure(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	is := sent{at: now}
	for _, t := range r.totals {
		is.bytes += t.BytesOut
	}
	for _, s := range r.sessions {
		is.bytes += s.BytesOut.Load()
	}
	e := &r.egress
	for len(e.past) > 0 && now.Sub(e.past[0].at) > egressOver {
		e.past = e.past[1:]
	}
	e.rate = 0
	if len(e.past) > 0 {
		if first := e.past[0]; is.bytes > first.bytes && now.After(first.at) {
			e.rate = int64(float64(is.bytes-first.bytes) * 8 / now.Sub(first.at).Seconds())
		}
	}
	e.past = append(e.past, is)
}

// Egress returns what was sent over the last two seconds by the newest Measure, in bits per second.
func (r *Registry) Egress() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.egress.rate
}
