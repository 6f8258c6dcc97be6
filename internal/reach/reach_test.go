package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"weir/internal/session"
)

// TestReach: addresses that are not for everybody, in all their forms.
func TestReach(t *testing.T) {
	for text, want := range map[string]reach{
		"8.8.8.8": public, "2606:4700::1111": public, "172.15.255.255": public, "172.32.0.0": public, "100.63.255.255": public, "100.128.0.0": public,
		"::ffff:8.8.8.8": public, "64:ff9b::808:808": public, "2002:808:808::1": public,
		"127.0.0.1": private, "127.255.255.254": private, "::1": private, "10.0.0.1": private, "172.16.0.1": private, "172.31.255.255": private, "192.168.1.1": private,
		"0.0.0.0": private, "0.1.2.3": private, "::": private, "100.64.0.1": private, "100.127.255.255": private, "224.0.0.1": private, "255.255.255.255": private,
		"240.0.0.1": private, "198.19.255.255": private, "198.20.0.0": public, "192.0.2.255": private, "198.51.100.7": private, "203.0.113.255": private, "100::1": private, "fec0::1%eth0": private, "2001:db8::1%eth0": private, "198.18.0.1": private, "192.0.0.8": private, "fd00::1": private, "fc00::1": private, "ff02::1": private, "fec0::1": private,
		"::ffff:127.0.0.1": private, "::ffff:10.0.0.1": private, "64:ff9b::7f00:1": private, "64:ff9b:1::1": private, "2002:7f00:1::1": private, "2001:db8::1": private,
		"169.254.169.254": link, "fe80::1": link, "fe80::1%eth0": link, "::ffff:169.254.169.254": link, "64:ff9b::a9fe:a9fe": link, "2002:a9fe:a9fe::1": link,
		"2002:a00:1::1": private, "64:ff9b::c0a8:1": private, "2a00:1450::1": public, "3ffe::1": public, "3fff::1": private, "4000::1": private, "5f00::1": private, "1fff::1": private,
		"::7f00:1": private, "::808:808": private, "::a9fe:a9fe": link, "::ffff:0:7f00:1": private, "::ffff:0:808:808": private, "::ffff:0:a9fe:a9fe": link,
		"2001:0:7f00:1::": private, "2001:0:808:808::f7f7:f7f7": private, "2001:0:808:808::5601:5601": link, "2001:0:a9fe:a9fe::": link, "2001:2::1": private, "2001:200::1": public,
	} {
		if got := reachOf(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// TestC436_Guard: a source of the operator's may be anywhere, but leads no farther inwards than it is; others are in public only.
func TestC436_Guard(t *testing.T) {
	const pub, loop, lan, meta = "8.8.8.8:80", "127.0.0.1:80", "10.0.0.1:80", "169.254.169.254:80"
	for _, c := range []struct {
		foreign bool
		asked   []string
		last    bool // the last of asked may be reached
	}{
		{false, []string{loop}, true},
		{false, []string{lan, loop}, true},
		{false, []string{meta, meta}, true},
		{false, []string{lan, pub, loop}, true},
		{false, []string{pub, pub}, true},
		{false, []string{pub, loop}, false},
		{false, []string{pub, lan}, false},
		{false, []string{pub, meta}, false},
		{false, []string{lan, meta}, false},
		{true, []string{pub}, true},
		{true, []string{loop}, false},
		{true, []string{lan}, false},
		{true, []string{pub, meta}, false},
		{true, []string{"nonsense"}, false},
	} {
		g := &Guard{Foreign: c.foreign}
		var err error
		for _, a := range c.asked {
			err = g.Control("tcp", a, nil)
		}
		if (err == nil) != c.last || err != nil && session.ReasonOf(err) != session.Address {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestReached: what was tried is remembered, each address once and the newest ones; and where everything may be reached nothing is refused.
func TestReached(t *testing.T) {
	g := &Guard{Open: true, Foreign: true}
	for _, a := range []string{"127.0.0.1:80", "[::ffff:127.0.0.1]:1935", "[fe80::1%eth0]:80"} {
		if err := g.Control("tcp", a, nil); err != nil {
			t.Error(a, err)
		}
	}
	if got := g.Reached(); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1")}) {
		t.Error(got)
	}
	for i := range 100 {
		_ = g.Control("tcp", fmt.Sprintf("10.0.0.%d:80", i), nil)
	}
	if got := g.Reached(); len(got) != maxAddrs || got[maxAddrs-1] != netip.MustParseAddr("10.0.0.99") {
		t.Error(got)
	}
}
