package httpserver

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"weir/internal/session"
)

// Limits bound the open connections that have not become players; 0 is no limit. Loopback and
// trusted proxies are exempt from those per address. IPv6 addresses of one /64 count as one.
type Limits struct {
	// Connections is how many may be open at once. A connection beyond that is closed.
	Connections int
	// ConnectionsPerAddress is how many one address may have open. A connection beyond that is
	// closed.
	ConnectionsPerAddress int
	// IdlePerAddress is how many idle connections one address may have. Beyond that the one that
	// has been idle for longest is closed, as HTTP clients expect.
	IdlePerAddress int
}

// crowd counts the open connections.
type crowd struct {
	limits  func() Limits
	exempt  func(netip.Addr) bool
	refused func(remote net.Addr, limit string)

	mu        sync.Mutex // guards below, and the fields that say so; a leaf
	n         int
	addresses map[netip.Addr]*address
	guests    map[net.Conn]*guest // net/http's
}

// address counts the connections of one client address.
type address struct {
	of   netip.Addr
	n    int
	idle list.List // of *guest, the one that has been idle for longest first
}

// guest is one connection, idle at first.
type guest struct {
	crowd   *crowd
	address *address // nil if exempt
	end     func()
	idle    *list.Element // guarded by crowd.mu; nil while a request is answered
	gone    bool          // guarded by crowd.mu
}

func newCrowd(l func() Limits, exempt func(netip.Addr) bool, refused func(net.Addr, string)) *crowd {
	return &crowd{limits: l, exempt: exempt, refused: refused, addresses: map[netip.Addr]*address{}, guests: map[net.Conn]*guest{}}
}

// enter counts a connection, which end closes. It returns nil if a limit refuses it.
func (c *crowd) enter(remote net.Addr, end func()) *guest {
	g, oldest, limit := c.add(remote, end)
	if limit != "" && c.refused != nil {
		c.refused(remote, limit)
	}
	if oldest != nil {
		oldest.end()
	}
	return g
}

// add is the part of enter that needs the lock.
func (c *crowd) add(remote net.Addr, end func()) (g, oldest *guest, limit string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	limits := c.limits()
	if limits.Connections > 0 && c.n >= limits.Connections {
		return nil, nil, "connections"
	}
	g = &guest{crowd: c, end: end}
	if of, ok := c.counted(remote); ok {
		a := c.addresses[of]
		if a == nil {
			a = &address{of: of}
		}
		if limits.ConnectionsPerAddress > 0 && a.n >= limits.ConnectionsPerAddress {
			return nil, nil, "connections_per_ip"
		}
		a.n++
		g.address, c.addresses[of] = a, a
	}
	c.n++
	return g, g.rest(), ""
}

// counted returns the address under which a peer is counted; false if the peer is exempt.
func (c *crowd) counted(remote net.Addr) (netip.Addr, bool) {
	ap, err := netip.ParseAddrPort(remote.String())
	if err != nil || c.exempt(ap.Addr()) {
		return netip.Addr{}, false
	}
	return session.CountedAddr(ap.Addr())
}

// Busy implements http1.Guest.
func (g *guest) Busy() {
	if g.address == nil {
		return
	}
	g.crowd.mu.Lock()
	defer g.crowd.mu.Unlock()
	g.rouse()
}

// Idle implements http1.Guest.
func (g *guest) Idle() {
	if g.address == nil {
		return
	}
	g.crowd.mu.Lock()
	oldest := g.rest()
	g.crowd.mu.Unlock()
	if oldest != nil {
		oldest.end()
	}
}

// rest makes a connection idle. It returns the connection to close for it, if any. mu is held.
func (g *guest) rest() (oldest *guest) {
	a := g.address
	if a == nil || g.gone || g.idle != nil {
		return nil
	}
	g.idle = a.idle.PushBack(g)
	if limit := g.crowd.limits().IdlePerAddress; limit <= 0 || a.idle.Len() <= limit {
		return nil
	}
	oldest = a.idle.Front().Value.(*guest)
	oldest.rouse() // so that it is not chosen twice
	return oldest
}

// rouse takes a connection off the idle ones. mu is held.
func (g *guest) rouse() {
	if g.idle != nil {
		g.address.idle.Remove(g.idle)
		g.idle = nil
	}
}

// Leave says that the connection has ended, or has become a player. Only the first call counts.
func (g *guest) Leave() {
	c := g.crowd
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.gone {
		return
	}
	g.gone = true
	c.n--
	g.rouse()
	if a := g.address; a != nil {
		if a.n--; a.n == 0 {
			delete(c.addresses, a.of)
		}
	}
}

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
