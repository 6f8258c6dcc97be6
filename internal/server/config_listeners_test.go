package server

import (
	"strings"
	"testing"

	"weir/internal/listen"
)

func TestCollide(t *testing.T) {
	for pair, want := range map[string]bool{
		":80 :80": true, ":80 127.0.0.1:80": true, "0.0.0.0:80 [::1]:80": true, "[::]:80 10.0.0.1:80": true,
		"localhost:80 127.0.0.1:80": true, "[::ffff:10.0.0.1]:80 10.0.0.1:80": true, ":080 :80": true,
		":80 :81": false, "127.0.0.1:80 127.0.0.2:80": false, ":0 :0": false, "127.0.0.1:0 127.0.0.1:0": false, " :80": false, " ": false,
	} {
		a, b, _ := strings.Cut(pair, " ")
		if collide(a, b) != want || collide(b, a) != want {
			t.Errorf("%q and %q: not %v", a, b, want)
		}
	}
}

// TestListenersForTLSCollideOnceTheyOpen has addresses that are in nobody's way without a certificate.
func TestListenersForTLSCollideOnceTheyOpen(t *testing.T) {
	c := Default()
	c.HTTP.Listen = ""
	c.HTTP.TLS = listen.TLSConfig{Listen: c.Admin.Listen}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.HTTP.TLS.Cert, c.HTTP.TLS.Key = "c", "k"
	const advice = "; give each a port of its own"
	want := "127.0.0.1:8088 is taken twice: admin.listen has 127.0.0.1:8088 too" + advice +
		"\n127.0.0.1:8088 is taken twice: http.tls.listen has 127.0.0.1:8088 too" + advice
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("%v, not %s", err, want)
	}
}
