package http1

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// life is the context of a request. Its end is that of the connection or of the answer. Nobody
// watches the connection until somebody asks for Done: handlers that wait for nothing do not.
type life struct {
	conn *conn

	mu      sync.Mutex      // guards below
	inner   context.Context //nolint:containedctx // the same
	cancel  context.CancelFunc
	ended   bool
	private bool // nobody begins to watch any more
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
		return l.inner.Value(key)
	}
	return nil
}

// watch reads ahead, to see the connection's end. mu is held.
func (l *life) watch() {
	c, cancel := l.conn, l.cancel
	c.ahead = true
	c.reader.Go(func() {
		// The deadline is that of the request that came: it may pass while the handler waits.
		if err := c.receive(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			cancel()
		}
	})
}

// keep says that nobody begins to watch any more. Who does goes on: what it reads is the next request.
func (l *life) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.private = true
}

// end ends the context with the answer.
func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.private, l.ended = true, true
	l.conn = nil // the context may live on in what the request began, such as a player
	if l.cancel != nil {
		l.cancel()
	}
}
