//go:build !linux

package bench

import "time"

// clock tells the time that all processes of this machine agree on.
type clock struct{ from time.Time }

// newClock returns a clock that begins with the time of day and is monotonic from then.
func newClock() clock { return clock{from: time.Now()} }

// now returns the time in nanoseconds.
func (c clock) now() int64 { return c.from.UnixNano() + int64(time.Since(c.from)) }
