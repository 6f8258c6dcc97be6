package httpserver

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCrowd: connections are bounded as a whole, by address, and while they ask for nothing.
func TestCrowd(t *testing.T) {
	proxy := netip.MustParseAddr("198.51.100.1")
	for _, c := range []struct {
		name    string
		limits  Limits
		from    []string // addresses, one connection each; "busy N" and "idle N" and "leave N" are about the Nth
		refused []string
		ended   []int
	}{
		{"no limit", Limits{}, []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, nil, nil},
		{"at the whole limit", Limits{Connections: 2}, []string{"192.0.2.1", "127.0.0.1"}, nil, nil},
		{"above it", Limits{Connections: 2}, []string{"192.0.2.1", "127.0.0.1", "192.0.2.2", "198.51.100.1"}, []string{"connections", "connections"}, nil},
		{"room again", Limits{Connections: 1}, []string{"192.0.2.1", "leave 0", "leave 0", "192.0.2.2"}, nil, nil},
		{"at the limit of an address", Limits{ConnectionsPerAddress: 2}, []string{"192.0.2.1", "192.0.2.1", "192.0.2.2"}, nil, nil},
		{"above it", Limits{ConnectionsPerAddress: 2}, []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, []string{"connections_per_ip"}, nil},
		{"whatever they do", Limits{ConnectionsPerAddress: 2}, []string{"192.0.2.1", "busy 0", "192.0.2.1", "busy 1", "192.0.2.1"}, []string{"connections_per_ip"}, nil},
		{"IPv6 by network", Limits{ConnectionsPerAddress: 1}, []string{"2001:db8::1", "2001:db8:0:0:1::2"}, []string{"connections_per_ip"}, nil},
		{"mapped", Limits{ConnectionsPerAddress: 1}, []string{"192.0.2.1", "::ffff:192.0.2.1"}, []string{"connections_per_ip"}, nil},
		{"loopback and proxies", Limits{ConnectionsPerAddress: 1, IdlePerAddress: 1}, []string{"127.0.0.1", "127.0.0.1", "::1", "::1", "198.51.100.1", "198.51.100.1"}, nil, nil},
		{"at the limit of the idle", Limits{IdlePerAddress: 2}, []string{"192.0.2.1", "192.0.2.1", "192.0.2.2"}, nil, nil},
		{"the oldest goes", Limits{IdlePerAddress: 2}, []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, nil, []int{0}},
		{"the busy do not count", Limits{IdlePerAddress: 2}, []string{"192.0.2.1", "busy 0", "192.0.2.1", "192.0.2.1", "192.0.2.1"}, nil, []int{1}},
		{"idle again", Limits{IdlePerAddress: 1}, []string{"192.0.2.1", "busy 0", "192.0.2.1", "idle 0"}, nil, []int{1}},
		{"idle twice", Limits{IdlePerAddress: 1}, []string{"192.0.2.1", "idle 0", "idle 0"}, nil, nil},
		{"not twice", Limits{IdlePerAddress: 1}, []string{"192.0.2.1", "192.0.2.1", "192.0.2.1"}, nil, []int{0, 1}},
		{"those that left do not count", Limits{IdlePerAddress: 1}, []string{"192.0.2.1", "leave 0", "idle 0", "192.0.2.1"}, nil, nil},
	} {
		var refused []string
		var ended []int
		crowd := newCrowd(func() Limits { return c.limits }, func(a netip.Addr) bool { return a == proxy }, func(_ net.Addr, limit string) { refused = append(refused, limit) })
		var guests []*guest
		for _, what := range c.from {
			var n int
			if _, err := fmt.Sscanf(what, "busy %d", &n); err == nil {
				guests[n].Busy()
			} else if _, err := fmt.Sscanf(what, "idle %d", &n); err == nil {
				guests[n].Idle()
			} else if _, err := fmt.Sscanf(what, "leave %d", &n); err == nil {
				guests[n].Leave()
			} else {
				n := len(guests)
				a := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(what), 1000))
				guests = append(guests, crowd.enter(a, func() { ended = append(ended, n) }))
			}
		}
		if !cmp.Equal(refused, c.refused) || !cmp.Equal(ended, c.ended) {
			t.Errorf("%s: refused %q, ended %v; want %q, %v", c.name, refused, ended, c.refused, c.ended)
		}
		for _, g := range slices.DeleteFunc(guests, func(g *guest) bool { return g == nil }) {
			g.Leave()
		}
		if crowd.n != 0 || len(crowd.addresses) != 0 {
			t.Errorf("%s: %d connections of %d addresses are left", c.name, crowd.n, len(crowd.addresses))
		}
	}
}
