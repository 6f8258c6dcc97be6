package record

import "time"

// clock tells the wall time of stream time: by one pair of both, taken when recording began, so that a change of the host's clock
// moves nothing.
type clock struct {
	wall   time.Time
	stream time.Duration
}

// at returns the wall time of a time of the stream.
func (c *clock) at(d time.Duration) time.Time { return c.wall.Add(d - c.stream) }

// nextMark returns the first multiple of every after t, by the clock of its zone: with 24h it is midnight.
func nextMark(t time.Time, every time.Duration) time.Time {
	mark := markBy(t, every, offsetOf(t))
	// The clock may be put forward or back between t and the mark.
	if off := offsetOf(mark); off != offsetOf(t) {
		by := markBy(t, every, off)
		for offsetOf(by) != off && by.Before(mark) {
			by = by.Add(every)
		}
		if offsetOf(by) == off {
			return by
		}
	}
	return mark
}

// markBy is nextMark where the clock is so much ahead of UTC.
func markBy(t time.Time, every, offset time.Duration) time.Time {
	base := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	past := (t.Sub(base) + offset) % every
	return t.Add(every - past)
}

func offsetOf(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}
