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
	for i := range 20 {
		if !c.reset(now) {
			t.Fatalf("closed after %d", i+1)
		}
	}
	if c.reset(now) {
		t.Error("one more is allowed")
	}
	now = now.Add(time.Second)
	for i := range 4 {
		if !c.reset(now) {
			t.Errorf("only %d are forgiven after a second", i)
		}
	}
	if c.reset(now) {
		t.Error("more are forgiven")
	}
}

// TestRequestsHaveTurns: a burst is answered at once, and what comes after it at a rate.
func TestRequestsHaveTurns(t *testing.T) {
	now := time.Unix(1000, 0)
	c := &conn{}
	for i := range 60 {
		if d := c.next(now); d > 0 {
			t.Fatalf("request %d waits for %v", i+1, d)
		}
	}
	for i := range 3 {
		if d, want := c.next(now), time.Duration(i+1)*5*time.Millisecond; d != want {
			t.Errorf("request %d after the burst waits for %v, want %v", i+1, d, want)
		}
	}
	now = now.Add(time.Second / 2)
	for i := range 60 {
		if d := c.next(now); d > 0 {
			t.Fatalf("later request %d waits for %v", i+1, d)
		}
	}
	if c.next(now) <= 0 {
		t.Error("more than a burst is saved up")
	}
}

// TestResetsOfWhatIsAnsweredAtOnce: taking back requests whose answers are ready at once ends the connection too.
func TestResetsOfWhatIsAnsweredAtOnce(t *testing.T) {
	var answered atomic.Int32
	_, addr := serveTest(t, Config{}, func(http.ResponseWriter, *http.Request) { answered.Add(1) })
	c := newHTTP2(t, addr, 65535)
	go func() { _ = c.end() }() // what is not read would hold up what is sent
	var err error
	for id := uint32(1); err == nil; id += 2 {
		if id > 100_000 {
			t.Fatal("the connection is open after 50,000 resets")
		}
		err = errors.Join(c.send(1, 4|1, id, headers("/a/x")), c.send(3, 0, id, []byte{0, 0, 0, 8}))
	}
	if n := answered.Load(); n > 260 {
		t.Errorf("%d requests were answered", n)
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
	for range 40 {
		_ = ask(attacker, 5*time.Millisecond)
	}
	if n := dialed.Load(); n < 2 {
		t.Errorf("40 requests were taken back on %d connection", n)
	}
	if err := <-healthy; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the other connection: %v", err)
	}
}
