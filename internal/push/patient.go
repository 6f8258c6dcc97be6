package push

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// stallStep is how often a write looks whether some of what is written was taken.
const stallStep = stallTime / 10

// patientConn is a connection whose writes last as long as some of what is written is taken every stallTime, however slow the network
// is, and no longer than endBy allows.
type patientConn struct {
	net.Conn
	// waits is when something was taken last, in nanoseconds of Unix time, while a write waits; 0 while none does.
	waits atomic.Int64

	mu      sync.Mutex // guards below, and that deadlines are set in their order
	hurried bool       // the deadline is to be kept: the connection is being closed
	last    time.Time  // when all writes end; zero: whenever they are done
}

// SetWriteDeadline implements net.Conn. A deadline that is near is kept; one that is far is not: it starts a write.
func (c *patientConn) SetWriteDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hurried = !at.IsZero() && time.Until(at) < stallTime/2
	if !c.hurried {
		at = time.Now().Add(stallStep)
	}
	return c.set(at)
}

// set sets the deadline. mu is held.
func (c *patientConn) set(at time.Time) error {
	if !c.last.IsZero() && c.last.Before(at) {
		at = c.last
	}
	return c.Conn.SetWriteDeadline(at)
}

// endBy makes all writes, also one under way, last until then at most. Of several times the first counts.
func (c *patientConn) endBy(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.IsZero() || at.Before(c.last) {
		c.last = at
		_ = c.Conn.SetWriteDeadline(at)
	}
}

// again gives a write that has lasted for a stallStep another one. It reports false if it is to end.
func (c *patientConn) again() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.hurried || !c.last.IsZero() && !now.Before(c.last) {
		return false
	}
	return c.set(now.Add(stallStep)) == nil
}

// stalledAfter is how long nothing is taken before that is shown.
const stalledAfter = 2 * time.Second

// stuck is for how long nothing has been taken of what waits, 0 if that is not long.
func (c *patientConn) stuck() time.Duration {
	at := c.waits.Load()
	if at == 0 {
		return 0
	}
	if d := time.Since(time.Unix(0, at)); d >= stalledAfter {
		return d
	}
	return 0
}

// Write implements net.Conn.
func (c *patientConn) Write(b []byte) (n int, err error) {
	defer c.waits.Store(0)
	for taken := time.Now(); ; {
		c.waits.Store(taken.UnixNano())
		var m int
		m, err = c.Conn.Write(b[n:])
		if n += m; m > 0 {
			taken = time.Now()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(taken) >= stallTime || !c.again() {
			return n, err
		}
	}
}

// CloseWrite ends what is sent, where that can be done apart.
func (c *patientConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}
