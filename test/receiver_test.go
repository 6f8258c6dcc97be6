package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// A receiver takes the events of a hook, while it is up.
type receiver struct {
	addr    string
	srv     *http.Server
	answers time.Duration // how long it takes over an answer
	idle    time.Duration // after this time without a request it closes a connection; 0: never

	mu     sync.Mutex // guards below
	bodies [][]byte
	acked  map[string]int       // how often it has acknowledged an event, by the id of the post
	came   map[string]time.Time // when an event came first, by its id
}

// hookEvent is what the tests look at in an event.
type hookEvent struct {
	ID      string
	Seq     int
	Type    string
	Time    time.Time
	Stream  *struct{ Path string }
	Session *struct {
		ID, Protocol, Remote, User string
		KeyID                      string `json:"key_id"`
	}
	Data map[string]any
}

// path returns the event's stream; "" if it is about none.
func (e *hookEvent) path() string {
	if e.Stream == nil {
		return ""
	}
	return e.Stream.Path
}

// receive opens a receiver that ends with the test.
func receive(t *testing.T, r *receiver) *receiver {
	t.Helper()
	r.open(t)
	t.Cleanup(r.close)
	return r
}

// open makes the receiver listen, at its address if it has one.
func (r *receiver) open(t *testing.T) {
	t.Helper()
	addr := r.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	r.srv = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: r.idle}
	go func(srv *http.Server) { _ = srv.Serve(ln) }(r.srv) // ends with close
}

// close makes it refuse connections.
func (r *receiver) close() { _ = r.srv.Close() }

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(io.LimitReader(q.Body, 1<<20))
	if err != nil {
		return
	}
	now := time.Now()
	select {
	case <-time.After(r.answers):
	case <-q.Context().Done():
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.acked == nil {
		r.acked, r.came = map[string]int{}, map[string]time.Time{}
	}
	id := q.Header.Get("Webhook-Id")
	r.bodies = append(r.bodies, body)
	r.acked[id]++
	if r.came[id].IsZero() {
		r.came[id] = now
	}
	w.WriteHeader(http.StatusNoContent)
}

// events returns what has come, each event once, in the order of its first coming.
func (r *receiver) events(t *testing.T) []hookEvent {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []hookEvent
	seen := map[string]bool{}
	for _, b := range r.bodies {
		var e hookEvent
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		if !seen[e.ID] {
			list = append(list, e)
		}
		seen[e.ID] = true
	}
	return list
}

// count returns how many events of a type have come.
func (r *receiver) count(t *testing.T, typ string) (n int) {
	t.Helper()
	for _, e := range r.events(t) {
		if e.Type == typ {
			n++
		}
	}
	return n
}

// until waits for what has come to be as it should, and returns it.
func (r *receiver) until(t *testing.T, what string, ok func(list []hookEvent) bool) []hookEvent {
	t.Helper()
	var list []hookEvent
	if err := every(t.Context(), 20*time.Second, func() error {
		if list = r.events(t); !ok(list) {
			return fmt.Errorf("waited in vain: %s; the receiver has %v", what, types(list))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// types are the types of events, with the reasons of those that have one.
func types(list []hookEvent) (names []string) {
	for _, e := range list {
		if reason, ok := e.Data["reason"].(string); ok {
			names = append(names, e.Type+" "+reason)
		} else {
			names = append(names, e.Type)
		}
	}
	return names
}

// starts are the types of events that begin something, and those that end it.
var starts = map[string]string{"publish.start": "publish.stop", "play.start": "play.stop"}

// paired says what is wrong with a list of events, in which each start should have one stop after it and everything its
// names: ids, and a number higher than that of the event before it about the same stream, but for refusals, which nobody has to
// wait for. Open are the starts that have no stop.
func paired(list []hookEvent) (open int, err error) {
	seqs, running, over := map[string]int{}, map[string]bool{}, map[string]bool{}
	ids := map[string]bool{}
	for _, e := range list {
		if e.Type != "publish.rejected" {
			if e.Seq <= seqs[e.path()] {
				return 0, fmt.Errorf("%s of %q has the number %d, and comes after %d", e.Type, e.path(), e.Seq, seqs[e.path()])
			}
			seqs[e.path()] = e.Seq
		}
		if e.ID == "" || ids[e.ID] || e.Time.IsZero() {
			return 0, fmt.Errorf("an event without an id or time of its own: %+v", e)
		}
		ids[e.ID] = true
		for start, stop := range starts {
			if e.Type != start && e.Type != stop {
				continue
			}
			if e.path() == "" || e.Session == nil || e.Session.ID == "" || e.Session.Protocol == "" || e.Session.Remote == "" {
				return 0, fmt.Errorf("%s lacks something: %+v", e.Type, e.Session)
			}
			key := start + e.Session.ID
			if running[key] != (e.Type == stop) || over[key] {
				return 0, fmt.Errorf("%s of session %s: it runs: %v, it is over: %v", e.Type, e.Session.ID, running[key], over[key])
			}
			running[key], over[key] = e.Type == start, e.Type == stop
			if e.Type == stop {
				delete(running, key)
			}
		}
	}
	return len(running), nil
}

// complete says of which stream events are missing: whose numbers have a gap.
func complete(list []hookEvent) error {
	count, last := map[string]int{}, map[string]int{}
	for _, e := range list {
		count[e.path()]++
		last[e.path()] = max(last[e.path()], e.Seq)
	}
	for path, n := range count {
		if last[path] != n {
			return fmt.Errorf("of %q there are %d events, and the last has the number %d", path, n, last[path])
		}
	}
	return nil
}

// wantTypes fails the test unless these are the types, with reasons.
func wantTypes(t *testing.T, list []hookEvent, want ...string) {
	t.Helper()
	if got := types(list); !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
}
