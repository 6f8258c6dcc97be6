package httpserver

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"weir/internal/peer"
)

// TestO20_ClientBehindProxies has the viewer's address from each header, walked from the right over trusted addresses, and
// from trusted proxies alone.
func TestO20_ClientBehindProxies(t *testing.T) {
	const own, both = "127.0.0.0/8", "127.0.0.0/8 10.0.0.0/8 2001:db8:1::/48"
	for _, c := range []struct {
		trusted, header string
		fields          []string // Name: value
		want            string   // the viewer, then the proxies
	}{
		{"", "auto", []string{"X-Forwarded-For: 192.0.2.7"}, "127.0.0.1"},
		{"10.0.0.0/8", "auto", []string{"X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7", "X-Real-Ip: 192.0.2.7"}, "127.0.0.1"},
		{own, "auto", nil, "127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: 192.0.2.7"}, "192.0.2.7 127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: 203.0.113.9, 192.0.2.7, 127.0.0.2"}, "192.0.2.7 127.0.0.2 127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 192.0.2.7"}, "192.0.2.7 127.0.0.1"},
		{both, "auto", []string{"X-Forwarded-For: 192.0.2.7,10.0.0.9"}, "192.0.2.7 10.0.0.9 127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: 192.0.2.7,10.0.0.9"}, "10.0.0.9 127.0.0.1"},
		{both, "auto", []string{"X-Forwarded-For: 10.0.0.8, 10.0.0.9"}, "10.0.0.8 10.0.0.9 127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: 192.0.2.7:61000"}, "192.0.2.7 127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: [2001:db8::7]:61000"}, "2001:db8::7 127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: 2001:db8::7"}, "2001:db8::7 127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: ::ffff:192.0.2.7"}, "192.0.2.7 127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: nonsense"}, "127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: 192.0.2.7, nonsense"}, "127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: nonsense, 192.0.2.7"}, "192.0.2.7 127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: 203.0.113.9, unknown, 127.0.0.2"}, "127.0.0.2 127.0.0.1"},
		{own, "auto", []string{"Forwarded: for=192.0.2.7;proto=http;by=203.0.113.43"}, "192.0.2.7 127.0.0.1"},
		{own, "auto", []string{`Forwarded: For="[2001:db8:cafe::17]:4711"`}, "2001:db8:cafe::17 127.0.0.1"},
		{own, "auto", []string{"Forwarded: for=203.0.113.9, for=192.0.2.7;host=\"a,b;c\", for=127.0.0.3"}, "192.0.2.7 127.0.0.3 127.0.0.1"},
		{own, "auto", []string{"Forwarded: for=203.0.113.9", "Forwarded: for=192.0.2.7"}, "192.0.2.7 127.0.0.1"},
		{own, "auto", []string{"Forwarded: for=_hidden"}, "127.0.0.1"},
		{own, "auto", []string{"Forwarded: for=203.0.113.9, proto=https"}, "127.0.0.1"},
		{own, "auto", []string{`Forwarded: for="192.0.2.7, for=203.0.113.9`}, "127.0.0.1"},
		{own, "auto", []string{"X-Real-Ip: 192.0.2.7"}, "192.0.2.7 127.0.0.1"},
		{own, "auto", []string{"X-Real-Ip: 203.0.113.9", "X-Real-Ip: 192.0.2.7"}, "192.0.2.7 127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: 192.0.2.7", "Forwarded: for=203.0.113.9", "X-Real-Ip: 203.0.113.9"}, "192.0.2.7 127.0.0.1"},
		{own, "auto", []string{"Forwarded: for=192.0.2.7", "X-Real-Ip: 203.0.113.9"}, "192.0.2.7 127.0.0.1"},
		// A header that the proxy does not set is the viewer's own.
		{own, "x-real-ip", []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "X-Real-Ip: 192.0.2.7"}, "192.0.2.7 127.0.0.1"},
		{own, "forwarded", []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: for=192.0.2.7", "X-Real-Ip: 203.0.113.9"}, "192.0.2.7 127.0.0.1"},
		{own, "x-forwarded-for", []string{"Forwarded: for=203.0.113.9", "X-Real-Ip: 203.0.113.9"}, "127.0.0.1"},
		{own, "auto", []string{"X-Forwarded-For: " + strings.Repeat("127.0.0.9,", 21) + "127.0.0.9"}, "127.0.0.9" + strings.Repeat(" 127.0.0.9", 15) + " 127.0.0.1"},
	} {
		var proxies []netip.Prefix
		for p := range strings.FieldsSeq(c.trusted) {
			proxies = append(proxies, netip.MustParsePrefix(p))
		}
		s := New(Config{Policy: func() *Policy { return &Policy{TrustedProxies: proxies, ProxyHeader: c.header} }}, nil)
		req := &http.Request{RemoteAddr: "127.0.0.1:5000", Header: http.Header{}}
		for _, f := range c.fields {
			name, value, _ := strings.Cut(f, ": ")
			req.Header.Add(name, value)
		}
		req = s.address(req)
		got := peer.Remote(req).Addr().String()
		for _, v := range peer.Via(req) {
			got += fmt.Sprint(" ", v)
		}
		if got != c.want {
			t.Errorf("%q from a proxy trusted by %q, %s: %s, want %s", c.fields, c.trusted, c.header, got, c.want)
		}
	}
}
