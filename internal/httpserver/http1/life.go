package http1

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// life is the context of a request. It ends with the connection or the answer. The connection is
// watched only once a handler asks for Done; most never do.
type life struct {
	conn *conn
	base context.Context //nolint:containedctx // it is a context itself

	mu      sync.Mutex      // guards below
	inner   context.Context //nolint:containedctx // the same
	cancel  context.CancelFunc
	ended   bool
	private bool // no new watch may begin
}

// Deadline implements context.Context.
func (l *life) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (l *life) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner == nil {
		l.inner, l.cancel = context.WithCancel(context.Background())
		switch {
		case l.ended:
			l.cancel()
		case !l.private:
			l.watch()
		}
	}
	return l.inner.Done()
}

// Err implements context.Context.
func (l *life) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.inner != nil:
		return l.inner.Err()
	case l.ended:
		return context.Canceled
	}
	return nil
}

// Value implements context.Context.
func (l *life) Value(key any) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner != nil {
		if v := l.inner.Value(key); v != nil {
			return v
		}
	}
	return l.base.Value(key)
}

// watch reads ahead, to notice the connection's end. mu is held.
func (l *life) watch() {
	c, cancel := l.conn, l.cancel
	c.ahead = true
	c.reader.Go(func() {
		// The read deadline is still that of the request, and may pass while the handler waits.
		if err := c.receive(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			cancel()
		}
	})
}

// keep allows no new watch. One that has begun goes on: what it reads is the next request.
func (l *life) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.private = true
}

// end ends the context, as the answer has ended.
func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.private, l.ended = true, true
	l.conn = nil // a player that the request began may keep the context
	if l.cancel != nil {
		l.cancel()
	}
}
