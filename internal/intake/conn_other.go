//go:build !linux

package intake

import "net"

// Conn is a TCP connection that is read in the ordinary way.
type Conn struct{ *net.TCPConn }

// Wrap returns a Conn of a TCP connection; false if nc is something else.
func Wrap(nc net.Conn, _ *Poller) (*Conn, bool) {
	tc, ok := nc.(*net.TCPConn)
	return &Conn{TCPConn: tc}, ok
}

// Publishing does nothing here.
func (c *Conn) Publishing(*Pacer) (end func()) { return func() {} }

// Poller does nothing here: each connection has a goroutine that reads.
type Poller struct{}

// NewPoller returns a poller.
func NewPoller() (*Poller, error) { return new(Poller), nil }

// Close ends the poller.
func (p *Poller) Close() {}
