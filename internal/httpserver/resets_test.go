package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// TestResets: a connection may take back so many requests and no more; they are forgiven with time.
func TestResets(t *testing.T) {
	now := time.Unix(1000, 0)
	c := &conn{last: now}
	for i := range maxResets {
		if !c.reset(now) {
			t.Fatalf("closed after %d", i+1)
		}
	}
	if c.reset(now) {
		t.Error("one more is allowed")
	}
	now = now.Add(time.Second)
	for i := range resetsRefill - 1 {
		if !c.reset(now) {
			t.Errorf("only %d are forgiven after a second", i)
		}
	}
	if c.reset(now) {
		t.Error("more are forgiven")
	}
}

// TestConnectionOfResetsIsClosed: who takes back one request after the other loses the connection; others do not notice.
func TestConnectionOfResetsIsClosed(t *testing.T) {
	_, addr := serveTest(t, Config{}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	var dialed atomic.Int32
	client := func(count bool) *http.Client {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if count {
				dialed.Add(1)
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}
	ask := func(c *http.Client, within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/a/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.Do(q)
		if err == nil {
			_ = a.Body.Close()
		}
		return err
	}
	healthy := make(chan error, 1)
	go func() { healthy <- ask(client(false), 2*time.Second) }()
	attacker := client(true)
	for range 2 * maxResets {
		_ = ask(attacker, 5*time.Millisecond)
	}
	if n := dialed.Load(); n < 2 {
		t.Errorf("%d requests were taken back on %d connection", 2*maxResets, n)
	}
	if err := <-healthy; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the other connection: %v", err)
	}
}
