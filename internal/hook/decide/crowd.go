package decide

import (
	"net/netip"
	"sync"

	"weir/internal/session"
)

// maxOfAddress is how many questions about players of one address are under way at once, half of all, so that none takes
// the places of the others.
const maxOfAddress = maxCalls / 2

// crowd bounds the questions about the players of each address but loopback.
type crowd struct {
	mu     sync.Mutex // guards below
	places map[netip.Addr]*places
}

// places are those of one address. The channel holds a value for each question under way.
type places struct {
	turn  chan struct{}
	users int // questions that wait or are under way; guarded by crowd.mu
}

// join returns the places of an address, nil if it is not counted; leave must be called once they are not used any more.
func (c *crowd) join(from netip.Addr) (turn chan struct{}, leave func()) {
	addr, counted := session.CountedAddr(from)
	if !counted {
		return nil, func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.places[addr]
	if p == nil {
		p = &places{turn: make(chan struct{}, maxOfAddress)}
		if c.places == nil {
			c.places = map[netip.Addr]*places{}
		}
		c.places[addr] = p
	}
	p.users++
	return p.turn, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if p.users--; p.users == 0 {
			delete(c.places, addr)
		}
	}
}
