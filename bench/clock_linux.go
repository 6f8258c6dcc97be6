package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock tells the time that all processes of this machine agree on.
type clock struct {
	base int64
	from time.Time
}

// newClock returns a clock of CLOCK_MONOTONIC. It is read once; later readings are the
// runtime's, of the same clock but without a system call.
func newClock() clock {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil { // it is always there
		return clock{base: time.Now().UnixNano(), from: time.Now()}
	}
	return clock{base: ts.Nano(), from: time.Now()}
}

// now returns the time in nanoseconds.
func (c clock) now() int64 { return c.base + int64(time.Since(c.from)) }
