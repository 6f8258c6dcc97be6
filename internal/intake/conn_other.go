//go:build !linux

package intake

import "net"

// Conn is a TCP connection, read as it always is.
type Conn struct{ *net.TCPConn }

// Wrap returns a Conn of a TCP connection; false if nc is something else.
func Wrap(nc net.Conn, _ *Poller) (*Conn, bool) {
	tc, ok := nc.(*net.TCPConn)
	return &Conn{TCPConn: tc}, ok
}

// Publishing says that a publisher is read from now on. The returned function ends that.
func (c *Conn) Publishing(*Pacer) (end func()) { return func() {} }

// Poller waits for the bytes of silent connections; here it is of no use.
type Poller struct{}

// NewPoller returns a poller.
func NewPoller() (*Poller, error) { return new(Poller), nil }

// Close ends the poller.
func (p *Poller) Close() {}
