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

// notPublic are the ranges that are neither for everybody nor known to package netip (RFC 6890 and later). 2001::/23 is what protocols use,
// Teredo's tunnels among it.
var notPublic = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "3fff::/20",
)

// global is all that is given to networks of IPv6: nothing outside it is for everybody.
var global = netip.MustParsePrefix("2000::/3")

// tunnels are where translators and tunnels have IPv4 addresses in those of IPv6, at the bytes at: NAT64 (RFC 6052), 6to4 (RFC 3056), and
// forms that nobody uses any more but routers may know: IPv4-compatible and IPv4-translated addresses (RFC 4291, RFC 6145), and
// Teredo (RFC 4380), whose second address is written with its bits inverted.
var tunnels = []struct {
	netip.Prefix
	at       []int
	inverted int  // the place of one that is inverted; 0: none
	open     bool // it leads to addresses that are for everybody, if they are
}{
	{netip.MustParsePrefix("64:ff9b::/96"), []int{12}, 0, true},
	{netip.MustParsePrefix("2002::/16"), []int{2}, 0, true},
	{netip.MustParsePrefix("::/96"), []int{12}, 0, false},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), []int{12}, 0, false},
	{netip.MustParsePrefix("2001::/32"), []int{4, 12}, 12, false},
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, p := range texts {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

// reachOf returns how far an address can be reached from.
func reachOf(a netip.Addr) reach {
	a = a.Unmap().WithZone("")
	for i := range tunnels {
		if t := &tunnels[i]; t.Contains(a) {
			to := private
			if t.open {
				to = public
			}
			b := a.As16()
			for _, at := range t.at {
				inner := [4]byte(b[at:])
				for j := range inner {
					if at == t.inverted {
						inner[j] = ^inner[j]
					}
				}
				to = max(to, reachOf(netip.AddrFrom4(inner)))
			}
			return to
		}
	}
	switch {
	case a.IsLinkLocalUnicast():
		return link
	case !a.IsGlobalUnicast(), a.IsPrivate(), a.Is6() && !global.Contains(a):
		return private
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return private
		}
	}
	return public
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
