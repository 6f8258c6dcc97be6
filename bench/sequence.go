package bench

import "math"

// sequence follows the numbers of frames that should come one after the other.
type sequence struct {
	last    uint32
	seen    uint64 // bit i: last-i has come
	started bool
}

// faults is what was wrong with an order.
type faults struct{ lost, repeated, reordered int64 }

// add takes note of number n. A frame that comes late is reordered and no longer lost;
// one that lies more than 63 behind the newest, or before the first, counts as repeated.
func (s *sequence) add(n uint32, f *faults) {
	if !s.started {
		s.started, s.last, s.seen = true, n, math.MaxUint64 // what lies before was not waited for
		return
	}
	if d := int32(n - s.last); d > 0 {
		f.lost += int64(d) - 1
		s.last = n
		s.seen = s.seen<<min(uint32(d), 64) | 1
		return
	}
	back := s.last - n
	if back > 63 || s.seen&(1<<back) != 0 {
		f.repeated++
		return
	}
	s.seen |= 1 << back
	f.reordered++
	f.lost--
}
