// Package reach decides which addresses servers may be connected to whose URLs come from elsewhere: by the API, the decision hook, and
// redirects. Names are resolved before, so that none leads into the operator's network unseen.
package reach

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"weir/internal/session"
)

// reach is how far an address can be reached from.
type reach int32

const (
	unknown reach = iota
	public        // from everywhere
	private       // from this machine or its networks
	link          // from its neighbours alone, among them the metadata services of clouds
)

// notPublic are the ranges that are neither for everybody nor known to package netip (RFC 6890 and later).
var notPublic = func() (list []netip.Prefix) {
	for _, p := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"100::/64", "2001:db8::/32", "64:ff9b:1::/48", "fec0::/10",
	} {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}()

// reachOf returns how far an address can be reached from.
func reachOf(a netip.Addr) reach {
	a = a.Unmap().WithZone("")
	if b, ok := embedded(a); ok {
		a = b
	}
	switch {
	case a.IsLinkLocalUnicast():
		return link
	case !a.IsGlobalUnicast(), a.IsPrivate():
		return private
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return private
		}
	}
	return public
}

// embedded returns the IPv4 address to which translators and tunnels lead (NAT64, RFC 6052; 6to4, RFC 3056).
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return a, false
	}
	b := a.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case netip.MustParsePrefix("2002::/16").Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return a, false
}

// ErrPrivate refuses an address. Its reason is session.Address.
var ErrPrivate = session.Because(session.Address, errors.New("it leads to an address of this machine or of a private network; pull.allow_private of the stream allows that"))

// Guard decides which addresses may be connected to for one URL, after names were resolved and for each redirect
// anew. A URL that the operator has configured may lead anywhere, but from one that everybody can reach none may lead to
// addresses here. Others may only lead to those that can be reached from everywhere.
type Guard struct {
	Open    bool // everything may be reached
	Foreign bool // the URL is not the operator's own

	first atomic.Int32

	mu    sync.Mutex // guards below
	addrs []netip.Addr
}

// maxAddrs bounds the addresses that a Guard remembers: the newest.
const maxAddrs = 32

// Reached returns the addresses that have been connected to, or tried.
func (g *Guard) Reached() []netip.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.addrs)
}

// note remembers an address.
func (g *Guard) note(a netip.Addr) {
	a = a.Unmap().WithZone("")
	g.mu.Lock()
	defer g.mu.Unlock()
	if slices.Contains(g.addrs, a) {
		return
	}
	if len(g.addrs) >= maxAddrs {
		g.addrs = slices.Delete(g.addrs, 0, 1)
	}
	g.addrs = append(g.addrs, a)
}

// Control is for a net.Dialer. It fails with ErrPrivate.
func (g *Guard) Control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return ErrPrivate
	}
	g.note(ap.Addr())
	if g.Open {
		return nil
	}
	to := reachOf(ap.Addr())
	if g.Foreign {
		if to != public {
			return ErrPrivate
		}
		return nil
	}
	g.first.CompareAndSwap(int32(unknown), int32(to))
	if to > reach(g.first.Load()) {
		return ErrPrivate
	}
	return nil
}
