package push

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// stallStep is how often a write looks whether some of what is written was taken.
const stallStep = stallTime / 10

// patientConn is a connection whose writes last as long as some of what is written is taken every stallTime, however slow the network
// is, and no longer than endBy allows.
type patientConn struct {
	net.Conn

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

// Write implements net.Conn.
func (c *patientConn) Write(b []byte) (n int, err error) {
	for taken := time.Now(); ; {
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
