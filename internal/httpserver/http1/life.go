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
		for {
			err := c.receive()
			switch {
			case err == nil:
				return
			case !errors.Is(err, os.ErrDeadlineExceeded):
				cancel()
				return
			case !l.outlives(c):
				return
			}
		}
	})
}

// outlives removes the read deadline of a request whose handler still waits, so that its connection is watched for as long as that. It reports
// false if the deadline is meant: that of the next request, or of a connection that is handed over.
func (l *life) outlives(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.private {
		return false
	}
	c.readBy = time.Time{}
	return c.tcp.SetReadDeadline(c.readBy) == nil
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
