package pull

import (
	"context"
	"sync/atomic"
	"time"

	"weir/av"
)

const (
	// scoutEvery is how long after a failure the first source is tried again, while another one is live.
	scoutEvery = 10 * time.Second
	// proven is how long the first source must be good before it takes the stream back.
	proven = 30 * time.Second
)

// The states of a scout.
const (
	scouting int32 = iota
	takesOver
	givenUp
)

// end is how a source ended that was live.
type end struct {
	number int
	lived  time.Duration
	err    error
}

// feedAndScout is feed of a source that is not the first, while the first one is watched. When that has been good for
// a while it takes the stream over, at a key frame, and what is returned is its end.
func (p *pull) feedAndScout(ctx context.Context, src *opened, plan *Plan) end {
	watching, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var state atomic.Int32
	back := make(chan end, 1)
	p.m.wg.Go(func() {
		e, ok := p.scout(watching, plan, &state)
		if ok {
			back <- e
		}
		close(back)
	})
	lived, err := p.feed(ctx, src, &heads{})
	if state.CompareAndSwap(scouting, givenUp) {
		stop(nil)
	}
	if e, ok := <-back; ok {
		return e
	}
	return end{src.number, lived, err}
}

// scout tries the first source again and again, and publishes from it once it is proven. It reports false if it did not.
func (p *pull) scout(ctx context.Context, plan *Plan, state *atomic.Int32) (end, bool) {
	t := time.NewTimer(scoutEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return end{}, false
		case <-t.C:
		}
		src, err := p.open(ctx, plan, 0, p.through())
		if err == nil {
			h := &heads{}
			if err = prove(src, h); err != nil {
				src.close()
			} else if state.CompareAndSwap(scouting, takesOver) {
				lived, err := p.feed(ctx, src, h)
				return end{0, lived, err}, true
			} else {
				src.close()
				return end{}, false
			}
		}
		if ctx.Err() == nil {
			p.failed(plan, end{0, 1, err})
		}
		t.Reset(scoutEvery)
	}
}

// prove reads a source for as long as it must be good.
func prove(src *opened, h *heads) error {
	var begun time.Time
	for {
		f, err := src.ReadFrame()
		if err != nil {
			return err
		}
		switch {
		case f.Type != av.Media:
			h.note(f)
		case begun.IsZero():
			begun = time.Now()
		case time.Since(begun) >= proven:
			return nil
		}
	}
}
