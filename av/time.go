package av

import "time"

// Ticks converts d to a clock of hz ticks a second, rounding to the nearest tick.
// It is exact to half a tick for every d: the seconds and the remainder are
// converted apart, where the naive product overflows after 28 hours at 90 kHz.
func Ticks(d time.Duration, hz int64) int64 {
	s, r := int64(d/time.Second), int64(d%time.Second)
	half := int64(time.Second) / 2
	if r < 0 {
		half = -half
	}
	return s*hz + (r*hz+half)/int64(time.Second)
}

// Duration converts ticks of a clock of hz a second; it is the inverse of Ticks
// for every hz up to 1 GHz.
func Duration(ticks, hz int64) time.Duration {
	s, r := ticks/hz, ticks%hz
	half := hz / 2
	if r < 0 {
		half = -half
	}
	return time.Duration(s)*time.Second + time.Duration((r*int64(time.Second)+half)/hz)
}

// Milliseconds returns d on the 32-bit millisecond clock of RTMP and FLV, which
// wraps after 49.7 days.
func Milliseconds(d time.Duration) uint32 { return uint32(Ticks(d, 1000)) }

// Unwrapper makes timestamps of the 32-bit millisecond clock into times that go on where
// that wraps: each is taken for the nearest to the one before, and the first for the nearest
// to 0, so that it may be negative. The zero value is ready.
type Unwrapper struct{ last int64 }

// Unwrap returns the time that a timestamp stands for.
func (u *Unwrapper) Unwrap(timestamp uint32) time.Duration {
	u.last += int64(int32(timestamp - uint32(u.last)))
	return time.Duration(u.last) * time.Millisecond
}
