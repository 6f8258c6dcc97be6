package server

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	trimEvery = time.Second
	// trimAfter is how often sessions must have come, gone or begun for the memory that
	// their set-up used to be worth a collection.
	trimAfter = 100
)

// trim returns to the system the memory that a wave of sessions needed to come or go: handshakes
// and commands use several times what a session keeps, and a quiet server would collect that only
// after using as much again.
func (s *Server) trim(ctx context.Context) error {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	var wave wave
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if wave.over(s.sessions.Moves()) {
				runtime.GC() // empties the pools of buffers once FreeOSMemory collects again
				debug.FreeOSMemory()
			}
		}
	}
}

// wave finds the ends of waves in a count that grows.
type wave struct{ done, last uint64 }

// over reports whether a wave has ended: many sessions have changed since the last wave, and hardly
// any since the last call.
func (w *wave) over(n uint64) bool {
	still := n-w.last < trimAfter/10
	w.last = n
	if !still || n-w.done < trimAfter {
		return false
	}
	w.done = n
	return true
}
