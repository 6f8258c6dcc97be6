package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/event"
	"weir/internal/session"
	"weir/internal/stream"
)

// sent is one event as a client reads it.
type sent struct{ id, kind, data string }

// reader reads events.
type reader struct {
	t       *testing.T
	scanner *bufio.Scanner
	beats   int // comments so far
}

func newReader(t *testing.T, from *http.Response) *reader {
	t.Helper()
	t.Cleanup(func() { from.Body.Close() })
	s := bufio.NewScanner(from.Body)
	s.Buffer(nil, 1<<20)
	return &reader{t: t, scanner: s}
}

// next returns the next event; false at the end.
func (r *reader) next() (e sent, ok bool) {
	for r.scanner.Scan() {
		line := r.scanner.Text()
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			e.data = value
		case "":
			switch {
			case strings.HasPrefix(line, ":"):
				r.beats++
			case e.kind != "":
				return e, true
			}
		}
	}
	return e, false
}

// want fails unless the next event is of a kind.
func (r *reader) want(kind string) sent {
	r.t.Helper()
	e, ok := r.next()
	if !ok || e.kind != kind {
		r.t.Fatalf("%+v, %v; want %s", e, ok, kind)
	}
	return e
}

// eventRig is a rig with events, whose journal runs.
type eventRig struct {
	*rig
	bus  *event.Bus
	stop func() // ends Run, and waits for it
}

func newEventRig(t *testing.T) *eventRig {
	bus := event.NewBus()
	r := &eventRig{rig: newRig(t, func(c *Config) { c.Events = bus }), bus: bus}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	sub := bus.Subscribe(busBuffer, nil) // here, so that no event of the test comes before it
	wg.Go(func() { r.server.journal.run(ctx, sub) })
	r.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(r.stop)
	return r
}

// watch asks for events; header is names and values in turn.
func (r *eventRig) watch(query string, header ...string) *reader {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.web.URL+apiPrefix+"/events"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatal(res.Status, res.Header)
	}
	return newReader(r.t, res)
}

func (r *eventRig) publishEvent(kind string) { r.bus.Publish(event.Event{Type: kind}) }

// TestEvents: first what there is, then what happens, in order, with ids; only what was asked for; and who was away
// for a moment misses nothing.
func TestEvents(t *testing.T) {
	r := newEventRig(t)
	r.publish("live/a", "rtmp")
	c := r.watch("")
	first := c.want("snapshot")
	var s Snapshot
	if err := json.Unmarshal([]byte(first.data), &s); err != nil || len(s.Streams) != 1 || s.Streams[0].Path != "live/a" || s.TotalStreams != 1 ||
		len(s.Sessions) != 1 || s.Sessions[0].Role != "publish" || s.TotalSessions != 1 || first.id != "" {
		t.Errorf("%v %+v", err, first)
	}
	only := r.watch("?types=publish.*,server.stop")
	only.want("snapshot")
	r.bus.Publish(event.Event{Type: "publish.start", Stream: &event.Stream{Path: "live/a", Epoch: 7}, Session: &event.Session{ID: "abc", Protocol: "rtmp"}, Data: map[string]any{"n": 1}})
	r.publishEvent("play.start")
	r.publishEvent("publish.stop")
	start := c.want("publish.start")
	var e event.Event
	if err := json.Unmarshal([]byte(start.data), &e); err != nil || e.ID != start.id || e.ID == "" || e.Stream.Path != "live/a" || e.Stream.Epoch != 7 || e.Session.ID != "abc" || e.Data["n"] != 1.0 {
		t.Errorf("%v %+v", err, start)
	}
	c.want("play.start")
	stop := c.want("publish.stop")
	if got := []sent{only.want("publish.start"), only.want("publish.stop")}; got[0].id != start.id || got[1].id != stop.id {
		t.Errorf("%+v", got)
	}
	back := r.watch("", "Last-Event-ID", start.id)
	back.want("play.start")
	if e := back.want("publish.stop"); e.id != stop.id {
		t.Errorf("%+v", e)
	}
	unknown := r.watch("", "Last-Event-ID", "01NONE")
	if e := unknown.want("snapshot"); e.id != stop.id {
		t.Errorf("the snapshot has the id %q, want that of the newest event, %q", e.id, stop.id)
	}
	if a := r.ask(http.MethodHead, apiPrefix+"/events", ""); a.status != 200 || a.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	r.stop()
	for _, c := range []*reader{c, only, back, unknown} {
		if e := c.want("closed"); e.data != `{"reason":"shutdown"}` {
			t.Errorf("%+v", e)
		}
		if e, ok := c.next(); ok {
			t.Errorf("after the end: %+v", e)
		}
	}
}

// TestTooManyWatch: one more client than may watch is refused, and gets in when another has gone.
func TestTooManyWatch(t *testing.T) {
	r := newEventRig(t)
	var all []*http.Response
	for range maxClients {
		res, err := http.Get(r.web.URL + apiPrefix + "/events")
		if err != nil || res.StatusCode != 200 {
			t.Fatal(err, res.Status)
		}
		defer res.Body.Close()
		all = append(all, res)
	}
	if a := r.ask(http.MethodGet, apiPrefix+"/events", ""); a.status != 503 || a.code() != "too_many_clients" {
		t.Errorf("%d %s", a.status, a.body)
	}
	all[0].Body.Close()
	for range 1000 { // the server notices a little later
		res, err := http.Get(r.web.URL + apiPrefix + "/events")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == 200 {
			return
		}
	}
	t.Error("nobody gets in after one has gone")
}

// TestJournal: a reader that is one event too far behind is told so, one that is as far behind as may be misses none.
func TestJournal(t *testing.T) {
	j := newJournal()
	if next, id := j.head(); next != 0 || id != "" {
		t.Error(next, id)
	}
	for i := range journalSize + 10 {
		j.add(entry{fmt.Sprint("e", i), "x", nil})
	}
	if _, _, err := j.read(9, 10); err != errBehind { //nolint:errorlint // it is that error
		t.Error(err)
	}
	all := 0
	for n := uint64(10); ; {
		list, _, err := j.read(n, 100)
		if err != nil || len(list) > 100 {
			t.Fatal(len(list), err)
		}
		if len(list) == 0 {
			break
		}
		if want := fmt.Sprint("e", n); list[0].id != want {
			t.Fatal(list[0].id, want)
		}
		n, all = n+uint64(len(list)), all+len(list)
	}
	if all != journalSize {
		t.Errorf("%d events, want %d", all, journalSize)
	}
	if _, ok := j.find("e9"); ok {
		t.Error("what is not kept is found")
	}
	if n, ok := j.find("e10"); !ok || n != 11 {
		t.Error(n, ok)
	}
	j.add(gap(3, time.Time{}))
	if next, id := j.head(); next != journalSize+11 || id != fmt.Sprint("e", journalSize+9) {
		t.Error(next, id)
	}
	j.close(errOver)
	if list, _, err := j.read(journalSize+10, 10); err != nil || len(list) != 1 || list[0].kind != "gap" {
		t.Errorf("what came before the end: %v %v", list, err)
	}
	if _, _, err := j.read(journalSize+11, 10); err != errOver { //nolint:errorlint // it is that error
		t.Error(err)
	}
}

// TestSlowClient: a client that takes nothing is disconnected, and delays nobody; silence is filled with comments.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := event.NewBus()
		hub := stream.New(stream.Options{})
		defer hub.Close(session.ErrShutdown)
		s := New(Config{Hub: hub, Sessions: session.New(session.Limits{}, session.Observer{}), Metrics: http.NotFoundHandler(), Events: bus})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Run(ctx) })
		ln := newPipeListener()
		srv := &http.Server{Handler: s}
		wg.Go(func() { _ = srv.Serve(ln) })
		ask := func() net.Conn {
			c := ln.dial()
			if _, err := c.Write([]byte("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			return c
		}
		slow, quick := ask(), ask()
		defer slow.Close()
		res, err := http.ReadResponse(bufio.NewReader(quick), nil)
		if err != nil {
			t.Fatal(err)
		}
		c := newReader(t, res)
		c.want("snapshot")
		begun := time.Now()
		wg.Go(func() {
			time.Sleep(3 * heartbeat)
			bus.Publish(event.Event{Type: "server.stop"})
		})
		c.want("server.stop")
		if c.beats != 2 && c.beats != 3 || time.Since(begun) != 3*heartbeat {
			t.Errorf("%d comments in %v", c.beats, time.Since(begun))
		}
		// The slow one was disconnected eventTime after its first answer, which is in no buffer of a pipe.
		if b := readAll(slow); strings.Contains(string(b), "server.stop") {
			t.Errorf("the slow client was sent %q", b)
		}
		cancel()
		if e := c.want("closed"); e.data != `{"reason":"shutdown"}` {
			t.Error(e)
		}
		quick.Close()
		_ = srv.Close()
		wg.Wait()
	})
}

// readAll reads what is left of a connection.
func readAll(c net.Conn) (b []byte) {
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if b = append(b, buf[:n]...); err != nil {
			return b
		}
	}
}

// pipeListener accepts connections within the program, which a fake clock can wait for.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) dial() net.Conn {
	a, b := net.Pipe()
	l.conns <- b
	return a
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
