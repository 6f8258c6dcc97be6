package httpserver

import (
	"net"
	"syscall"
	"time"
)

const (
	// A client sends nothing but requests: of what it sends over TLS, askedBurst bytes are read at once, and askedRate bytes a
	// second after that. It is many times what requestRate requests a second take, and bounds what frames of HTTP/2
	// that ask for nothing can cost, each of which is a few bytes.
	askedBurst = 16 << 10
	askedRate  = 128 << 10
	// askedPiece is read at once, so that a read waits for askedPiece/askedRate at most.
	askedPiece = 4 << 10
)

// paced is a connection below TLS that is read at a bounded rate. Proxies that are trusted carry the requests of many, and have none.
type paced struct {
	net.Conn

	paid time.Time // when the rate has caught up with what was read; for the reader only
}

// Read implements net.Conn.
func (p *paced) Read(b []byte) (int, error) {
	if d := p.next(time.Now()); d > 0 {
		time.Sleep(d)
	}
	n, err := p.Conn.Read(b[:min(len(b), askedPiece)])
	p.read(n)
	return n, err
}

// next returns how long a read that begins now has to wait.
func (p *paced) next(now time.Time) time.Duration {
	if full := now.Add(-cost(askedBurst)); p.paid.Before(full) {
		p.paid = full
	}
	return p.paid.Sub(now)
}

// read accounts for n bytes.
func (p *paced) read(n int) { p.paid = p.paid.Add(cost(n)) }

// cost is the time in which n bytes come at the rate.
func cost(n int) time.Duration { return time.Duration(n) * time.Second / askedRate }

// SyscallConn implements syscall.Conn, for what sends without net.Conn.
func (p *paced) SyscallConn() (syscall.RawConn, error) {
	if c, ok := p.Conn.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, syscall.EINVAL
}
