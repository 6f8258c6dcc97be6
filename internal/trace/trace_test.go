package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector takes requests in the test's process.
type collector struct {
	mu     sync.Mutex
	bodies []string
	header http.Header
	status int
	err    error
}

// RoundTrip implements http.RoundTripper.
func (c *collector) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	c.bodies, c.header = append(c.bodies, string(b)), r.Header
	return &http.Response{StatusCode: c.status, Status: fmt.Sprint(c.status), Body: io.NopCloser(strings.NewReader("{}"))}, nil
}

func (c *collector) spans(t *testing.T) (list []map[string]any) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.bodies {
		var r struct {
			ResourceSpans []struct {
				ScopeSpans []struct{ Spans []map[string]any }
			}
		}
		if err := json.Unmarshal([]byte(b), &r); err != nil {
			t.Fatal(err)
		}
		list = append(list, r.ResourceSpans[0].ScopeSpans[0].Spans...)
	}
	return list
}

// running runs f in a bubble with an exporter that is stopped at its end.
func running(t *testing.T, c *collector, change func(*Options), f func(t *testing.T, e *Exporter, log *bytes.Buffer, stop func())) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := Options{
			URL: "http://127.0.0.1:4318/v1/traces?token=hunter2", Percent: 100, Instance: "edge-1", Version: "v1", Authorization: "Bearer hunter2",
			Log: slog.New(slog.NewTextHandler(&log, nil)), Client: &http.Client{Transport: c},
		}
		if change != nil {
			change(&o)
		}
		e := New(o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		stop := sync.OnceFunc(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		f(t, e, &log, stop)
		stop()
		if strings.Contains(log.String(), "hunter2") {
			t.Error("the log has a secret in it:", log.String())
		}
	})
}

// TestRequest is what a collector gets of a session with a part, to the byte. That a collector understands it is shown in
// tools/otlp, by its own code.
func TestRequest(t *testing.T) {
	c := &collector{status: 200}
	running(t, c, nil, func(t *testing.T, e *Exporter, _ *bytes.Buffer, stop func()) {
		begin := time.Unix(1000, 5)
		e.Add(Span{Session: "abc", Name: "decide", Start: begin, End: begin.Add(time.Second), Attributes: []slog.Attr{slog.String("result", "allow")}})
		e.Add(Span{
			Session: "abc", Name: Whole, Start: begin, End: begin.Add(time.Minute), Err: "reset",
			Attributes: []slog.Attr{slog.Uint64("received", 1<<40), slog.Int("skips", 2), slog.Bool("tls", true), slog.Duration("dur", 1500*time.Millisecond), slog.Float64("x", 0.5)},
		})
		stop()
		want, err := os.ReadFile("testdata/request.json")
		if err != nil {
			t.Fatal(err)
		}
		if len(c.bodies) != 1 {
			t.Fatalf("%d requests", len(c.bodies))
		}
		if diff := cmp.Diff(strings.TrimSpace(string(want)), c.bodies[0]); diff != "" {
			t.Error(diff)
		}
		if c.header.Get("Content-Type") != "application/json" || c.header.Get("Authorization") != "Bearer hunter2" {
			t.Error(c.header)
		}
		if e.Sent() != 2 || e.Dropped() != 0 {
			t.Error(e.Sent(), e.Dropped())
		}
	})
}

// TestBatches: 512 are sent at once, fewer after five seconds at most, and the rest at the end.
func TestBatches(t *testing.T) {
	c := &collector{status: 200}
	running(t, c, nil, func(t *testing.T, e *Exporter, _ *bytes.Buffer, stop func()) {
		add := func(n int) {
			for range n {
				e.Add(Span{Session: "abc", Name: Whole})
			}
			synctest.Wait()
		}
		requests := func(want int) {
			t.Helper()
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.bodies) != want {
				t.Errorf("%d requests, not %d", len(c.bodies), want)
			}
		}
		add(511)
		requests(0)
		add(1)
		requests(1)
		add(10)
		requests(1)
		<-time.After(sendEvery)
		requests(2)
		add(3)
		stop()
		requests(3)
		if n := len(c.spans(t)); n != 525 || e.Sent() != 525 {
			t.Errorf("%d spans, %d sent", n, e.Sent())
		}
	})
}

// TestCollectorThatFails loses spans, which are counted, and says so once a minute without the secrets.
func TestCollectorThatFails(t *testing.T) {
	for name, c := range map[string]*collector{"no": {status: 503}, "gone": {err: errors.New("connection refused")}} {
		running(t, c, nil, func(t *testing.T, e *Exporter, log *bytes.Buffer, stop func()) {
			for range 24 { // two minutes
				e.Add(Span{Session: "abc", Name: Whole})
				<-time.After(sendEvery)
			}
			stop()
			if e.Sent() != 0 || e.Dropped() != 24 {
				t.Errorf("%s: %d sent, %d dropped", name, e.Sent(), e.Dropped())
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 2 {
				t.Errorf("%s: %d lines:\n%s", name, n, log)
			}
		})
	}
}

// TestNoRoom: adding never waits.
func TestNoRoom(t *testing.T) {
	e := New(Options{Percent: 100})
	for range maxWaiting + 7 {
		e.Add(Span{Session: "abc"})
	}
	if e.Dropped() != 7 {
		t.Error(e.Dropped())
	}
}

// TestPercent: all spans of a session are traced or none, and about as many sessions as wanted.
func TestPercent(t *testing.T) {
	for _, percent := range []int{0, 10, 100} {
		e := New(Options{Percent: percent})
		n := 0
		for i := range 10000 {
			if e.Wants(fmt.Sprint("session", i)) {
				n++
			}
		}
		if n < percent*90 || n > percent*110 {
			t.Errorf("%d %%: %d of 10,000", percent, n)
		}
	}
}

func TestConfig(t *testing.T) {
	for url, ok := range map[string]bool{
		"": true, "http://localhost:4318/v1/traces": true, "https://x/": true, "localhost:4318": false, "grpc://x": false, "http://": false, "http://a b?hunter2": false,
	} {
		err := (&Config{URL: url}).Validate()
		if (err == nil) != ok || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
