package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/internal/event"
	"weir/internal/hook"
)

func TestMain(m *testing.M) {
	if helper := os.Getenv("DELIVER_TEST_HELPER"); helper != "" {
		runHelper(helper)
		return
	}
	goleak.VerifyTestMain(m)
}

// counts is a Metrics that counts.
type counts struct {
	mu           sync.Mutex
	calls, fails int
	dropped      map[string]int
}

func (c *counts) HookCalled(_, _ string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
}

func (c *counts) HookBegins(hook string) { c.HookDropped(hook, 0) }

func (c *counts) HookFailed(string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails++
}

func (c *counts) HookDropped(hook string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped == nil {
		c.dropped = map[string]int{}
	}
	c.dropped[hook] += n
}

var testServer = hook.Server{ID: "a1", Name: "edge-1"}

// fake is a sender of a test.
type fake struct {
	f func(ctx context.Context, v []envelope, tries int) result
}

func (f *fake) send(ctx context.Context, items []*item, tries int) result {
	var all []envelope
	for _, it := range items {
		var v envelope
		if err := json.Unmarshal(it.body, &v); err != nil {
			return result{err: err, final: true}
		}
		all = append(all, v)
	}
	return f.f(ctx, all, tries)
}

func (*fake) close() {}

// fixture is hooks with senders of the test.
type fixture struct {
	*Deliverer
	bus     *event.Bus
	metrics *counts
}

// newFixture starts hooks, with sender, if it is not nil, as the sender of each.
func newFixture(t *testing.T, list []Config, sender sender) *fixture {
	t.Helper()
	f := &fixture{bus: event.NewBus(), metrics: &counts{}}
	d := &Deliverer{
		opt:  Options{Log: slog.New(slog.DiscardHandler), Bus: f.bus, Metrics: f.metrics, Server: testServer},
		host: newHost(), short: make(chan struct{}, maxCommands), long: make(chan struct{}, maxLong), applying: make(chan struct{}, 1),
	}
	c, err := d.Prepare(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.made {
		if sender != nil {
			r.sender = sender
		}
		if err := r.open(); err != nil {
			t.Fatal(err)
		}
	}
	c.Apply()
	d.wg.Wait()
	f.Deliverer = d
	return f
}

func post(url string) Config {
	c := DefaultConfig()
	c.URL = url
	return c
}

// publishEvent is an event about a publisher of a stream.
func publishEvent(typ, path, session string) event.Event {
	return event.Event{
		Type: typ, Stream: &event.Stream{Path: path, Epoch: 1},
		Session: &event.Session{ID: session, Protocol: "rtmp", Role: "publish", Remote: "192.0.2.7:51034"},
	}
}

func itemOf(typ, path string, size int) *item {
	return &item{typ: typ, stream: path, key: path, rank: rankOf(typ), body: make([]byte, size), id: fmt.Sprint(typ, path)}
}

var discard = slog.New(slog.DiscardHandler)

// copyDir copies the files of a directory to another one.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// runHelper is the test's program as another process, which is killed.
func runHelper(what string) {
	bus := event.NewBus()
	conf := DefaultConfig()
	switch what {
	case "command":
		conf.Run = []string{"sleep", "1000"}
	case "journal":
		conf.URL, conf.Directory = os.Getenv("DELIVER_TEST_URL"), os.Getenv("DELIVER_TEST_DIR")
	}
	d, err := New([]Config{conf}, Options{Log: discard, Bus: bus, Metrics: &counts{}, Server: testServer})
	if err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		e := publishEvent(event.PublishStart, fmt.Sprint("live/", i%10), fmt.Sprint(os.Getpid(), "-", i))
		e.Session.User = os.Getenv("DELIVER_TEST_MARK")
		if i >= 10 { // the session before it on its stream ends first
			bus.Publish(publishEvent(event.PublishStop, e.Stream.Path, fmt.Sprint(os.Getpid(), "-", i-10)))
		}
		bus.Publish(e)
		if what == "command" {
			<-time.After(time.Hour)
		}
		for d.List()[0].Queue > 1000 {
			<-time.After(time.Millisecond)
		}
	}
}
