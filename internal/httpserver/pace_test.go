package httpserver

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/fanout"
)

// TestPaced: what a client sends over TLS is read as it comes up to a bound, and at a rate after that; what it did not send
// for a while it may send at once later.
func TestPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		c := &paced{Conn: server}
		go func() {
			b := make([]byte, 144<<10)
			_, _ = client.Write(b)
			time.Sleep(time.Minute)
			_, _ = client.Write(b)
		}()
		read := func(n int) time.Duration {
			from := time.Now()
			if _, err := io.ReadFull(c, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			return time.Since(from)
		}
		if d := read(16 << 10); d != 0 {
			t.Errorf("the first bytes took %v", d)
		}
		// The last piece is waited for by who reads the next one.
		if d, want := read(128<<10), time.Second-time.Second/32; d != want {
			t.Errorf("the bytes of a second took %v, want %v", d, want)
		}
		time.Sleep(time.Minute)
		if d := read(16 << 10); d != 0 {
			t.Errorf("a minute later they took %v", d)
		}
		if d, want := read(128<<10), time.Second-time.Second/32; d != want {
			t.Errorf("the bytes after them took %v, want %v", d, want)
		}
	})
}

// TestWhoIsPaced: all that speak TLS are, but the proxies that are trusted, and what is sent to them takes the same way.
func TestWhoIsPaced(t *testing.T) {
	for _, c := range []struct {
		trusted string
		want    bool
	}{{"127.0.0.2/32", true}, {"127.0.0.1/32", false}} {
		policy := &Policy{TrustedProxies: []netip.Prefix{netip.MustParsePrefix(c.trusted)}}
		conns := make(chan net.Conn, 1)
		_, addr := serveTest(t, Config{Policy: func() *Policy { return policy }}, func(_ http.ResponseWriter, r *http.Request) { conns <- connOf(r).Conn })
		newHTTP2(t, addr, 65535).ask(1, "/a/x")
		nc := (<-conns).(*tls.Conn).NetConn()
		raw, ok := nc.(*fanout.TLSConn)
		if !ok {
			t.Fatalf("the engine cannot send to a %T", nc)
		}
		if _, got := raw.Conn.(*paced); got != c.want {
			t.Errorf("%s is trusted: paced %v", c.trusted, got)
		}
	}
}

// deadlines is a response writer that notes what deadlines are set.
type deadlines struct {
	http.ResponseWriter
	set int
}

// SetWriteDeadline is for http.ResponseController.
func (d *deadlines) SetWriteDeadline(time.Time) error {
	d.set++
	return nil
}

// Write implements http.ResponseWriter.
func (d *deadlines) Write(b []byte) (int, error) { return len(b), nil }

// TestNoDeadlineForWhatWasTakenBack: net/http would keep the connection of a request that was taken back until its deadline.
func TestNoDeadlineForWhatWasTakenBack(t *testing.T) {
	d := new(deadlines)
	ctx, cancel := context.WithCancel(context.Background())
	times := DefaultTimes()
	a := &answer{ResponseWriter: d, request: ctx, control: http.NewResponseController(d), times: &times}
	if _, _ = a.Write([]byte("a")); d.set != 1 {
		t.Fatalf("%d deadlines for an answer", d.set)
	}
	cancel()
	a.set = time.Time{}
	_, _ = a.Write([]byte("a"))
	if a.extend(); d.set != 1 {
		t.Errorf("%d deadlines", d.set)
	}
}
