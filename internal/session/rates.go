package session

import "time"

// RatesEvery is how often MeasureStreams is to be called.
const RatesEvery = 2 * time.Second

// rates measure what the players of each stream are sent.
type rates struct {
	sent  map[string]uint64 // since the last look, but what open sessions have been sent; by path
	bits  map[string]int64  // per second, between the last two looks
	since time.Time         // the last look
}

// settle counts what a session was sent in the role that it leaves. mu is held.
func (r *Registry) settle(s *Session, was *activity) {
	n := s.BytesOut.Load()
	if was.role == Play && n > s.counted {
		r.rates.add(was.stream, n-s.counted)
	}
	s.counted = n
}

func (t *rates) add(path string, n uint64) {
	if t.sent == nil {
		t.sent = map[string]uint64{}
	}
	t.sent[path] += n
}

// MeasureStreams takes stock of what the players of each stream have been sent. It visits every open session: call it
// each RatesEvery.
func (r *Registry) MeasureStreams(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sessions {
		r.settle(s, s.activity.Load())
	}
	t := &r.rates
	took := now.Sub(t.since).Seconds()
	bits := make(map[string]int64, len(t.sent))
	for path, n := range t.sent {
		if took > 0 && !t.since.IsZero() {
			bits[path] = int64(float64(8*n) / took)
		}
	}
	t.bits, t.sent, t.since = bits, nil, now
}

// StreamRate returns what the players of the stream at path were sent between the last two looks of MeasureStreams, in
// bits per second.
func (r *Registry) StreamRate(path string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rates.bits[path]
}

// SentOf is Sent of what belongs to the stream at path, which exists.
func (r *Registry) SentOf(protocol, path string, n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sentLocked(protocol, n)
	r.rates.add(path, n)
}
