package httpserver

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	// maxResets is how many requests of an HTTP/2 connection may be taken back before they were answered, and
	// resetsRefill how many more each second. A browser takes one back now and then; an attacker
	// takes back hundreds of thousands a second, each of which costs a goroutine.
	maxResets    = 20
	resetsRefill = 5
	// Over an HTTP/2 connection requests are answered at once as long as they come at requestRate a second; requestBurst
	// more may come at any time. Others wait their turn, so that who asks only to take back at once what it asked for is
	// seen to do so. Proxies that are trusted carry the requests of many.
	requestRate  = 200
	requestBurst = 60
)

// conn is a connection as its requests know it.
type conn struct {
	net.Conn

	mu     sync.Mutex // guards below
	resets float64    // not forgiven yet
	last   time.Time
	turn   time.Time // of the next request, if each has its part of a second
}

// wait waits until it is the turn of a request. It reports false if the request was taken back before.
func (c *conn) wait(ctx context.Context) bool {
	d := c.next(time.Now())
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// next returns how long a request that comes now has to wait.
func (c *conn) next(now time.Time) time.Duration {
	const each = time.Second / requestRate
	c.mu.Lock()
	defer c.mu.Unlock()
	if full := now.Add(-requestBurst * each); c.turn.Before(full) {
		c.turn = full
	}
	c.turn = c.turn.Add(each)
	return c.turn.Sub(now)
}

// reset counts a request that was taken back. It reports false if there were too many.
func (c *conn) reset(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resets = max(0, c.resets-resetsRefill*now.Sub(c.last).Seconds()) + 1
	c.last = now
	return c.resets <= maxResets
}
