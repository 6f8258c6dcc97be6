package httpserver

import (
	"net"
	"sync"
	"time"
)

const (
	// maxResets is how many requests of an HTTP/2 connection may be taken back before they were answered, and
	// resetsRefill how many more each second. A browser takes one back now and then; an attacker
	// takes back hundreds of thousands a second, each of which costs a goroutine.
	maxResets    = 100
	resetsRefill = 5
)

// conn is a connection as its requests know it.
type conn struct {
	net.Conn

	mu     sync.Mutex // guards below
	resets float64    // not forgiven yet
	last   time.Time
}

// reset counts a request that was taken back. It reports false if there were too many.
func (c *conn) reset(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resets = max(0, c.resets-resetsRefill*now.Sub(c.last).Seconds()) + 1
	c.last = now
	return c.resets <= maxResets
}
