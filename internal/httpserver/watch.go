package httpserver

import (
	"crypto/tls"
	"net"
	"net/http"
)

// watch follows the connections that net/http serves.
func (c *crowd) watch(nc net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		g := c.enter(nc.RemoteAddr(), func() { drop(nc) })
		if g == nil {
			drop(nc)
			return
		}
		c.mu.Lock()
		c.guests[nc] = g
		c.mu.Unlock()
		return
	case http.StateHijacked, http.StateClosed:
		c.mu.Lock()
		g := c.guests[nc]
		delete(c.guests, nc)
		c.mu.Unlock()
		if g != nil {
			g.Leave()
		}
		return
	}
	c.mu.Lock()
	g := c.guests[nc]
	c.mu.Unlock()
	switch {
	case g == nil:
	case state == http.StateActive:
		g.Busy()
	case state == http.StateIdle:
		g.Idle()
	}
}

// dropAll closes the connections that net/http serves.
func (c *crowd) dropAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for nc := range c.guests {
		drop(nc)
	}
}

// drop closes a connection at once. tls.Conn would first wait for room to send its alert.
func drop(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	_ = nc.Close()
}
