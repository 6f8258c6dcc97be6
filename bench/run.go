package bench

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// run is what the goroutines of one measurement share.
type run struct {
	clock    clock
	window   atomic.Int32 // the window in which latencies are counted, or noWindow
	bytes    atomic.Int64 // received by all players
	started  atomic.Int64 // players that have had a video frame
	over     atomic.Int64 // players that ended or failed
	stopping atomic.Bool  // what ends now does so because the run is over
	changed  chan struct{}
	wg       sync.WaitGroup

	mu        sync.Mutex // guards below
	recorders []*recorder
}

func newRun() *run {
	r := &run{clock: newClock(), changed: make(chan struct{}, 1)}
	r.window.Store(noWindow)
	return r
}

// recorder returns a new recorder, for one goroutine.
func (r *run) recorder() *recorder {
	rec := &recorder{run: r, window: noWindow}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recorders = append(r.recorders, rec)
	return rec
}

// latency sums the recorders up; only after their goroutines have ended.
func (r *run) latency(group, window int) Spread {
	var h histogram
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.recorders {
		h.merge(&rec.latency[group][window])
	}
	return h.spread()
}

func (r *run) playerStarted() {
	r.started.Add(1)
	r.notify()
}

// playerOver notes why a player ended.
func (r *run) playerOver(p *player, err error) {
	if p.over {
		return
	}
	p.over = true
	if errors.Is(err, errFraming) {
		p.torn++
	}
	if r.stopping.Load() {
		return
	}
	p.err = err
	r.over.Add(1)
	r.notify()
}

func (r *run) notify() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// awaitStarted waits until n players have started or ended, or ctx ends, or d has passed.
func (r *run) awaitStarted(ctx context.Context, n int, d time.Duration) error {
	late := time.NewTimer(d)
	defer late.Stop()
	for r.started.Load()+r.over.Load() < int64(n) {
		select {
		case <-r.changed:
		case <-late.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// wait waits for d, or for ctx to end.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reason is why a player or publisher failed, without what differs from one to the next.
func reason(err error) string {
	var no *refusal
	var op *net.OpError
	var errno syscall.Errno
	switch {
	case err == nil:
		return "no video frame came"
	case errors.As(err, &no):
		return no.Error()
	case errors.Is(err, errStreamEnd):
		return errStreamEnd.Error()
	case errors.Is(err, errFraming):
		return err.Error()
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.As(err, &op):
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}
