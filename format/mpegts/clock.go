package mpegts

import (
	"time"

	"weir/av"
)

const (
	// clockRate is that of time stamps and of the PCR's base, ticks a second.
	clockRate = 90000
	// wrap is where 33-bit time stamps begin again: after 26 h 30 min.
	wrap = 1 << 33
)

// ticks converts d to the clock of time stamps.
func ticks(d time.Duration) int64 { return av.Ticks(d, clockRate) }

// fromTicks is the inverse of ticks.
func fromTicks(t int64) time.Duration { return av.Duration(t, clockRate) }

// unwrapper makes time stamps of 33 bits into a clock that does not wrap: each is
// taken to be less than half a turn from the one before.
type unwrapper struct {
	last  int64
	known bool
}

// unwrap returns the unwrapped ticks of ts, and remembers them.
func (u *unwrapper) unwrap(ts int64) int64 {
	u.last = u.near(ts)
	u.known = true
	return u.last
}

// near returns the unwrapped ticks of ts, and does not remember them.
func (u *unwrapper) near(ts int64) int64 {
	if !u.known {
		return ts
	}
	d := (ts - u.last) & (wrap - 1)
	if d >= wrap/2 {
		d -= wrap
	}
	return u.last + d
}
