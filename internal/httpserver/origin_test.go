package httpserver

import (
	"net/http"
	"net/netip"
	"testing"

	"weir/internal/peer"
)

func TestForwardedForOfTrustedProxiesOnly(t *testing.T) {
	proxies := netip.MustParsePrefix("127.0.0.0/8")
	for _, c := range []struct {
		trusted []netip.Prefix
		header  string
		want    string
	}{
		{nil, "192.0.2.7", "127.0.0.1"},
		{[]netip.Prefix{proxies}, "", "127.0.0.1"},
		{[]netip.Prefix{proxies}, "192.0.2.7", "192.0.2.7"},
		{[]netip.Prefix{proxies}, "203.0.113.9, 192.0.2.7, 127.0.0.2", "192.0.2.7"},
		{[]netip.Prefix{proxies}, "nonsense", "127.0.0.1"},
	} {
		s := New(Config{TrustedProxies: c.trusted}, nil)
		req := &http.Request{RemoteAddr: "127.0.0.1:5000", Header: http.Header{}}
		if c.header != "" {
			req.Header.Set("X-Forwarded-For", c.header)
		}
		s.address(req)
		if got := peer.Remote(req).Addr().String(); got != c.want {
			t.Errorf("%q from a proxy trusted by %v: %s, want %s", c.header, c.trusted, got, c.want)
		}
	}
}
