package stream

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"
)

// Supervision says how work beside a stream is kept going: a recording, a push to another server, a
// pull from one.
type Supervision struct {
	// Min is the wait after a failure, and doubles with each that follows, up to Max. A run that
	// lasted longer than Max counts as a success: the next failure waits for Min again. Waits are
	// up to a quarter shorter, so that what failed together does not begin again together.
	Min, Max time.Duration
	// Most, if not nil, is asked at each failure for a bound on the wait instead of Max, if it is less.
	Most func() time.Duration
	// Delay, if not nil, may return another wait for a failure, more than 0.
	Delay func(err error) time.Duration
	// Now, if not nil, ends a wait when something is received from it.
	Now <-chan struct{}
	// Failed, if not nil, is told of each failure, and when the work begins again.
	Failed func(err error, again time.Duration)
}

// Run runs work until it is done, which it says by returning nil or io.EOF, or until ctx ends, which
// work must heed. Run then returns nil, or ctx's cause. It starts no goroutine: who wants to go on
// starts one that runs it, and waits for that.
func (v Supervision) Run(ctx context.Context, work func(context.Context) error) error {
	wait := v.Min
	for {
		begun := time.Now()
		err := work(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil, errors.Is(err, io.EOF):
			return nil
		}
		if time.Since(begun) > v.Max {
			wait = v.Min
		}
		now := wait
		if v.Most != nil {
			now = min(now, v.Most())
		}
		again := now - rand.N(now/4+1)
		wait = min(2*wait, v.Max)
		if v.Delay != nil {
			if d := v.Delay(err); d > 0 {
				again = d
			}
		}
		if v.Failed != nil {
			v.Failed(err, again)
		}
		t := time.NewTimer(again)
		select {
		case <-t.C:
		case <-v.Now:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
	}
}

// Follow runs work with a follower of s, as Run does, until the stream has ended. Each time it is
// run work has a follower of its own, which is closed when it returns.
func (v Supervision) Follow(ctx context.Context, s *Stream, o FollowOptions, work func(context.Context, *Follower) error) error {
	return v.Run(ctx, func(ctx context.Context) error {
		f := s.Follow(o)
		defer f.Close()
		return work(ctx, f)
	})
}
