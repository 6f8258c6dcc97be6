//go:build !linux

package intake

import "net"

// Conn is a TCP connection that is read in the ordinary way.
type Conn struct {
	*net.TCPConn
	remote net.Addr
}

// Wrap returns a Conn of a TCP connection, which may be one that a proxy speaks for; false if nc is something else.
func Wrap(nc net.Conn, _ *Poller) (*Conn, bool) {
	if proxied, ok := nc.(interface{ Socket() *net.TCPConn }); ok {
		return &Conn{proxied.Socket(), nc.RemoteAddr()}, true
	}
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		return nil, false
	}
	return &Conn{tc, tc.RemoteAddr()}, true
}

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Publishing does nothing here.
func (c *Conn) Publishing(*Pacer) (end func()) { return func() {} }

// Poller does nothing here: each connection has a goroutine that reads.
type Poller struct{}

// NewPoller returns a poller.
func NewPoller() (*Poller, error) { return new(Poller), nil }

// Close ends the poller.
func (p *Poller) Close() {}
