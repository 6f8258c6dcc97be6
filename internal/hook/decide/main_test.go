package decide

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/internal/admit"
	"weir/internal/hook"
	"weir/internal/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter is a Metrics.
type counter struct {
	mu  sync.Mutex
	all map[string]int
	// failed is how many questions the service failed to answer.
	failed int
}

func (c *counter) Failed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed++
}

func (c *counter) Decided(result string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]int{}
	}
	c.all[result]++
}

func (c *counter) check(t *testing.T, want map[string]int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !reflect.DeepEqual(c.all, want) {
		t.Errorf("results %v, want %v", c.all, want)
	}
}

// rig is a client with what it is seen to do.
type rig struct {
	*Client
	counter
	log bytes.Buffer
}

func newRig(t testing.TB, url string, change func(*Config)) *rig {
	t.Helper()
	r := &rig{}
	conf := DefaultConfig()
	conf.URL, conf.Timeout = url, 10*time.Second
	if change != nil {
		change(&conf)
	}
	r.Client = New(Options{
		Log: slog.New(slog.NewTextHandler(&r.log, nil)), Metrics: &r.counter, Server: hook.Server{ID: "a1", Name: "edge-1"},
		MayRename: func(from, to string) bool { return strings.HasPrefix(to, "live/") },
	})
	t.Cleanup(r.Close)
	use(t, r.Client, conf)
	return r
}

func use(t testing.TB, c *Client, conf Config) {
	t.Helper()
	p, err := NewPlan(conf)
	if err != nil {
		t.Fatal(err)
	}
	c.Use(p)
}

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func publisher(query string) *admit.Request {
	return &admit.Request{
		Role: session.Publish, Protocol: "rtmp", Session: "s1", Remote: netip.MustParseAddrPort("203.0.113.7:51234"),
		Path: "live/asked", RawQuery: query,
	}
}

func player(query string) *admit.Request {
	r := publisher(query)
	r.Role, r.Protocol = session.Play, "http-flv"
	return r
}
