package server_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"weir/internal/listen/listentest"
	"weir/internal/server"
)

// TestHTTPConnectionLimit: connections of HTTP and of HTTPS, whether they ask for something or not, are no
// more than configured; when some end there is room again.
func TestHTTPConnectionLimit(t *testing.T) {
	cert, key := listentest.Cert(t, t.TempDir(), 1)
	const most = 3
	r := start(t, func(c *server.Config) {
		c.Limits.Connections = most
		c.HTTP.TLS.Listen, c.HTTP.TLS.Cert, c.HTTP.TLS.Key = "127.0.0.1:0", cert, key
	})
	for _, listener := range []string{"http", "https"} {
		var all []net.Conn
		dial := func() net.Conn {
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.Addr(listener).String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			all = append(all, c)
			return c
		}
		// isOpen reports whether the server has left a connection open for a while.
		isOpen := func(c net.Conn) bool {
			_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			var ne net.Error
			if !errors.As(err, &ne) && !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			return errors.As(err, &ne) && ne.Timeout()
		}
		var open []net.Conn
		for range most {
			var c net.Conn
			r.until("there is room for the connection", func() bool { c = dial(); return isOpen(c) })
			open = append(open, c)
		}
		if isOpen(dial()) {
			t.Errorf("%s: one too many is open", listener)
		}
		_ = open[0].Close()
		r.until("there is room again", func() bool { return isOpen(dial()) })
		for _, c := range all {
			_ = c.Close()
		}
	}
	if _, body := get(t, r.adminURL("/metrics")); !strings.Contains(body, `weir_rejected_total{reason="limit"}`) {
		t.Error("it is not counted")
	}
}
