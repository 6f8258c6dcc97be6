package peer

import (
	"sync"
	"time"
)

// LogLimit bounds how many lines of one sort are logged: logLines in each logWindow.
type LogLimit struct {
	mu         sync.Mutex // guards below
	since      time.Time
	lines      int
	suppressed int
}

const (
	logLines  = 10
	logWindow = 10 * time.Second
)

// Allow reports whether a line may be logged at now and, if so, how many were not since the last one.
func (l *LogLimit) Allow(now time.Time) (ok bool, suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= logWindow {
		l.since, l.lines = now, 0
	}
	if l.lines >= logLines {
		l.suppressed++
		return false, 0
	}
	l.lines++
	suppressed, l.suppressed = l.suppressed, 0
	return true, suppressed
}
