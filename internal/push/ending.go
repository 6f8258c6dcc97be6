package push

import (
	"context"
	"time"
)

// makeWay is how long a target that ends may go on when the next one of its name waits for it, which is a new broadcast.
const makeWay = 2 * time.Second

// ending is a target that is being ended.
type ending struct {
	stop context.CancelCauseFunc // makes it end within endTime
	done <-chan struct{}
}

// wait waits until it has ended; nil has. It does not take longer than makeWay and endTime, and once ctx ends only endTime.
func (e *ending) wait(ctx context.Context) {
	if e == nil {
		return
	}
	t := time.NewTimer(makeWay)
	defer t.Stop()
	select {
	case <-e.done:
		return
	case <-t.C:
	case <-ctx.Done():
	}
	e.stop(errRemoved)
	<-e.done
}
