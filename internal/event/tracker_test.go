package event

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"weir/internal/session"
	"weir/internal/stream"
)

// world is a tracker with the registry that reports to it.
type world struct {
	*Tracker
	reg    *session.Registry
	sub    *Subscription
	opened byte
}

func newWorld() *world {
	b := NewBus()
	w := &world{Tracker: NewTracker(b), sub: b.Subscribe(1<<16, nil)}
	w.reg = session.New(session.Limits{}, session.Observer{Promoted: w.Promoted, Stopped: w.Ended, Closed: w.Ended})
	return w
}

func (w *world) open(t interface{ Fatal(...any) }) *session.Session {
	// Each has an address of its own, so that what is bounded for one address is not bounded here.
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 7 + w.opened}), 51034)
	w.opened++
	s, err := w.reg.Open(session.Info{Protocol: "rtmp", Remote: from, UserAgent: "FMLE/3.0", TLS: true, Via: []netip.Addr{netip.MustParseAddr("10.0.0.2")}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) publisher(t *testing.T, path string) *session.Session {
	s := w.open(t)
	s.Promote(session.Publish, path)
	return s
}

func (w *world) tell(kind stream.EventKind, path string, s *session.Session) {
	e := stream.Event{Kind: kind, Path: path}
	if s != nil {
		e.Session = s.ID
	}
	w.Stream(e)
}

// drain returns the events so far.
func (w *world) drain() (events []Event) {
	for {
		select {
		case e := <-w.sub.C():
			events = append(events, e)
		default:
			return events
		}
	}
}

// types writes events as "publish.start A, publish.stop A eof", with names for the sessions.
func types(events []Event, names map[*session.Session]string) string {
	var out []string
	for _, e := range events {
		line := e.Type
		for s, name := range names {
			if e.Session != nil && e.Session.ID == s.ID {
				line += " " + name
			}
		}
		if r := e.Data["reason"]; r != nil {
			line += fmt.Sprint(" ", r)
		}
		out = append(out, line)
	}
	return strings.Join(out, ", ")
}

// TestSegmentsAreOfTheirPublisher: also the last one, which is done once the publisher has gone, and those of who has taken over.
func TestSegmentsAreOfTheirPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, b := w.publisher(t, "live/a"), w.publisher(t, "live/a")
		segment := func() string {
			t.Helper()
			w.drain()
			w.Segment("live/a", map[string]any{"number": 1})
			got := w.drain()
			if len(got) != 1 || got[0].Type != SegmentDone || got[0].Stream.Path != "live/a" || got[0].Data["number"] != 1 {
				t.Fatalf("%+v", got)
			}
			if got[0].Session == nil {
				return ""
			}
			return got[0].Session.ID
		}
		w.tell(stream.Started, "live/a", a)
		if got := segment(); got != a.ID {
			t.Errorf("while A publishes: %q", got)
		}
		w.tell(stream.Waiting, "live/a", nil)
		a.Close(session.EOF, nil)
		if got := segment(); got != a.ID {
			t.Errorf("after A has gone: %q", got)
		}
		w.tell(stream.Resumed, "live/a", b)
		if got := segment(); got != b.ID {
			t.Errorf("while B publishes: %q", got)
		}
		b.Close(session.EOF, nil)
		w.tell(stream.Ended, "live/a", nil)
		if got := segment(); got != "" {
			t.Errorf("of a stream that was forgotten: %q", got)
		}
	})
}

func TestPublishLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.open(t)
		a.BytesIn.Add(1000)
		a.SetGrant(session.Grant{Entry: -1, Terms: &session.Terms{KeyID: "cam1", Label: "Front door", User: "u42", Labels: map[string]string{"plan": "pro"}}})
		a.Promote(session.Publish, "live/a")
		time.Sleep(2 * time.Second)
		w.tell(stream.Started, "live/a", a)
		a.BytesIn.Add(500)
		a.BytesOut.Add(7)
		a.Frames.Add(30)
		time.Sleep(1500 * time.Millisecond)
		w.tell(stream.Waiting, "live/a", nil)
		a.Close(session.EOF, nil)
		a.Close(session.Kicked, nil)
		time.Sleep(time.Second)
		w.tell(stream.Ended, "live/a", nil)
		got := w.drain()
		if text := types(got, map[*session.Session]string{a: "A"}); text != "stream.online, publish.start A, publish.stop A eof, stream.offline" {
			t.Fatal(text)
		}
		who := got[1].Session
		if who.Protocol != "rtmp" || who.Role != "publish" || who.Remote != "192.0.2.7:51034" || who.UserAgent != "FMLE/3.0" || who.Encoder != "FMLE/3.0" || !who.TLS || !slices.Equal(who.Via, []string{"10.0.0.2"}) ||
			who.KeyID != "cam1" || who.Label != "Front door" || who.User != "u42" || who.Labels["plan"] != "pro" {
			t.Errorf("%+v", who)
		}
		for i, e := range got {
			if e.Stream == nil || e.Stream.Path != "live/a" || e.Stream.Epoch != got[0].Stream.Epoch || e.Stream.Epoch == 0 {
				t.Errorf("%d: %+v", i, e.Stream)
			}
		}
		if d := got[2].Data; d["duration"] != 1.5 || d["bytes_received"] != uint64(500) || d["bytes_sent"] != uint64(7) || d["frames"] != uint64(30) {
			t.Errorf("%v", d)
		}
		if d := got[3].Data; d["duration"] != 2.5 {
			t.Errorf("%v", d)
		}
		if len(w.streams)+len(w.lives) != 0 {
			t.Errorf("left: %v %v", w.streams, w.lives)
		}
	})
}

// TestO06_StopBeforeStart: at a takeover the new session feeds the stream before the old one has
// ended; its start waits, also if the new one has ended meanwhile.
func TestO06_StopBeforeStart(t *testing.T) {
	w := newWorld()
	a, b, c := w.publisher(t, "live/a"), w.publisher(t, "live/a"), w.publisher(t, "live/a")
	names := map[*session.Session]string{a: "A", b: "B", c: "C"}
	w.tell(stream.Started, "live/a", a)
	w.tell(stream.Resumed, "live/a", b)
	if got := types(w.drain(), names); got != "stream.online, publish.start A" {
		t.Fatal(got)
	}
	b.Close(session.Timeout, nil)
	w.tell(stream.Resumed, "live/a", c)
	a.Close(session.Takeover, nil)
	got := w.drain()
	if text := types(got, names); text != "publish.stop A takeover, publish.takeover B, publish.start B, publish.stop B timeout, publish.start C" {
		t.Fatal(text)
	}
	if got[1].Data["previous"] != a.ID {
		t.Error(got[1])
	}
	c.Kick(nil)
	w.tell(stream.Ended, "live/a", nil) // goes before the end of the session
	c.Close(session.EOF, nil)
	if text := types(w.drain(), names); text != "publish.stop C kicked, stream.offline" {
		t.Fatal(text)
	}
}

// TestHeldStarts: a session that never ends does not hold up the others for ever.
func TestHeldStarts(t *testing.T) {
	w := newWorld()
	stuck := w.publisher(t, "live/a")
	w.tell(stream.Started, "live/a", stuck)
	for range 15 {
		w.tell(stream.Resumed, "live/a", w.publisher(t, "live/a"))
	}
	if got := types(w.drain(), nil); got != "stream.online, publish.start" {
		t.Fatal(got)
	}
	last := w.publisher(t, "live/a")
	w.tell(stream.Resumed, "live/a", last)
	if got := types(w.drain(), map[*session.Session]string{stuck: "S"}); got != "publish.stop S takeover, publish.takeover, publish.start" {
		t.Fatal(got)
	}
	stuck.Close(session.EOF, nil)
	if got := w.drain(); len(got) != 0 {
		t.Fatal(got)
	}
}

// TestO05_Rejected: a publisher that was refused, or that sent no media, has neither start nor stop.
func TestO05_Rejected(t *testing.T) {
	w := newWorld()
	w.Refused(&Session{ID: "x1", Protocol: "rtmp", Role: "publish"}, "live/a\n", &session.Refusal{
		Reason: session.Conflict, Peer: "Another one is live.", Err: errors.New("secret detail"),
	})
	a := w.publisher(t, "live/b")
	a.Close(session.EOF, nil)
	got := w.drain()
	if len(got) != 2 || got[0].Type != PublishRejected || got[1].Type != PublishRejected {
		t.Fatal(got)
	}
	if e := got[0]; e.Stream.Path != `live/a\n` || e.Session.ID != "x1" || e.Data["reason"] != "conflict" || e.Data["text"] != "Another one is live." {
		t.Errorf("%+v %v", e.Stream, e.Data)
	}
	if e := got[1]; e.Stream.Path != "live/b" || e.Session.ID != a.ID || e.Data["reason"] != "eof" {
		t.Errorf("%+v %v", e.Stream, e.Data)
	}
}

// TestPathBound: of the path of a refused publisher 255 bytes are told.
func TestPathBound(t *testing.T) {
	whole := "live/" + strings.Repeat("a", 250)
	for path, want := range map[string]string{whole: whole, whole + "a": whole[:252] + "…"} {
		w := newWorld()
		w.Refused(&Session{ID: "x1", Protocol: "rtmp", Role: "publish"}, path, &session.Refusal{Reason: session.Conflict, Err: errors.New("refused")})
		if got := w.drain(); len(got) != 1 || got[0].Stream.Path != want {
			t.Errorf("%d bytes: %+v", len(path), got)
		}
	}
}

// TestLateEnd: the end of a stream is told after its successor has begun.
func TestLateEnd(t *testing.T) {
	w := newWorld()
	a, b := w.publisher(t, "live/a"), w.publisher(t, "live/a")
	names := map[*session.Session]string{a: "A", b: "B"}
	w.tell(stream.Started, "live/a", a)
	w.tell(stream.Started, "live/a", b)
	w.tell(stream.Ended, "live/a", nil)
	a.Close(session.Kicked, nil)
	got := w.drain()
	if text := types(got, names); text != "stream.online, publish.start A, publish.stop A kicked, stream.offline, stream.online, publish.start B" {
		t.Fatal(text)
	}
	if got[3].Stream.Epoch != got[0].Stream.Epoch || got[4].Stream.Epoch <= got[0].Stream.Epoch {
		t.Errorf("epochs %d %d %d", got[0].Stream.Epoch, got[3].Stream.Epoch, got[4].Stream.Epoch)
	}
	w.tell(stream.Ended, "live/a", nil)
	b.Close(session.EOF, nil)
	if text := types(w.drain(), names); text != "publish.stop B eof, stream.offline" || len(w.streams) != 0 {
		t.Fatal(text, w.streams)
	}
}

// TestPlayers: a player that comes while nobody listens has neither start nor stop, later ones both.
func TestPlayers(t *testing.T) {
	w := newWorld()
	w.sub.Close()
	early := w.open(t)
	early.Promote(session.Play, "live/a")
	w.sub = w.bus.Subscribe(100, []string{"play.*", "player.*"})
	early.Close(session.EOF, nil)
	p := w.open(t)
	p.Promote(session.Waiting, "live/a")
	p.Promote(session.Play, "live/a")
	p.Skips.Add(1)
	p.BytesOut.Add(99)
	w.Skipped(p, 9*time.Second, 1234)
	p.Promote(session.Pending, "")
	p.Promote(session.Play, "live/b")
	p.Close(session.StreamEnded, nil)
	got := w.drain()
	if text := types(got, map[*session.Session]string{p: "P"}); text != "play.start P, player.skipped P, play.stop P unpublish, play.start P, play.stop P stream_ended" {
		t.Fatal(text)
	}
	if d := got[1].Data; d["lag"] != 9.0 || d["bytes"] != int64(1234) || d["skips"] != uint64(1) {
		t.Error(d)
	}
	if d := got[2].Data; d["bytes_sent"] != uint64(99) || d["skips"] != uint64(1) {
		t.Error(d)
	}
	if d := got[4].Data; d["bytes_sent"] != uint64(0) || d["skips"] != uint64(0) {
		t.Error(d)
	}
	if len(w.streams)+len(w.lives) != 0 {
		t.Errorf("left: %v %v", w.streams, w.lives)
	}
}

// TestPlayersEnds: who wants the ends of players alone is told of them.
func TestPlayersEnds(t *testing.T) {
	w := newWorld()
	w.sub.Close()
	w.sub = w.bus.Subscribe(100, []string{PlayStop})
	p := w.open(t)
	p.Promote(session.Play, "live/a")
	p.Close(session.EOF, nil)
	if text := types(w.drain(), map[*session.Session]string{p: "P"}); text != "play.stop P eof" {
		t.Error(text)
	}
}

// TestTakeoverIsForgotten: a stream that ends before the one who took it over has sent media is not taken over by the next
// publisher, also if players keep the stream known.
func TestTakeoverIsForgotten(t *testing.T) {
	w := newWorld()
	w.open(t).Promote(session.Play, "live/a")
	a := w.publisher(t, "live/a")
	w.tell(stream.Started, "live/a", a)
	a.Close(session.Takeover, nil)
	w.tell(stream.Ended, "live/a", nil)
	w.tell(stream.Started, "live/a", w.publisher(t, "live/a"))
	const want = "play.start, stream.online, publish.start, publish.stop takeover, stream.offline, stream.online, publish.start"
	if text := types(w.drain(), nil); text != want {
		t.Error(text)
	}
}

// TestDisconnected: what a connection did is told in all, whatever its role.
func TestDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.open(t)
		a.BytesIn.Add(500)
		a.BytesOut.Add(7)
		time.Sleep(1500 * time.Millisecond)
		w.Disconnected(a, "live", session.End{Reason: session.Kicked})
		got := w.drain()
		if len(got) != 1 || got[0].Type != Disconnect || got[0].Session.ID != a.ID || got[0].Session.Role != "pending" {
			t.Fatal(got)
		}
		const want = "map[app:live bytes_received:500 bytes_sent:7 duration:1.5 reason:kicked]"
		if d := fmt.Sprint(got[0].Data); d != want {
			t.Errorf("%s, want %s", d, want)
		}
	})
}

func TestLimitIsToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for range 5 {
			w.Limit("limits.streams", 10)
		}
		w.Limit("limits.connections", 0)
		time.Sleep(time.Minute)
		w.Limit("limits.streams", 10)
		got := w.drain()
		if len(got) != 3 {
			t.Fatal(got)
		}
		for i, want := range []string{"map[limit:limits.streams max:10 refused:1]", "map[limit:limits.connections refused:1]", "map[limit:limits.streams max:10 refused:5]"} {
			if fmt.Sprint(got[i].Data) != want {
				t.Errorf("%d: %v", i, got[i].Data)
			}
		}
	})
}

func TestHealth(t *testing.T) {
	w := newWorld()
	a := w.publisher(t, "live/a")
	w.tell(stream.Started, "live/a", a)
	w.drain()
	w.Health("live/a", false, map[string]any{"finding": "stalled"})
	w.Health("live/a", true, nil)
	w.Health("live/none", true, nil)
	got := w.drain()
	if types(got, nil) != "publisher.unhealthy, publisher.healthy, publisher.healthy" || got[0].Session.ID != a.ID || got[0].Data["finding"] != "stalled" ||
		got[0].Stream.Epoch == 0 || got[2].Session != nil {
		t.Error(got)
	}
}

// TestO07_Lifecycles: whatever sessions and streams do, and in whatever order it is told, each start has
// one stop after it, on one stream they alternate, and each publisher has either both or one rejection.
func TestO07_Lifecycles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		paths := []string{"live/a", "live/b"}
		queues := map[string][]stream.Event{} // told later, in the order of each stream
		started := map[string]bool{}
		var open []*session.Session
		attempts := map[string]int{} // how often a session became a publisher
		reasons := session.Reasons()
		pick := func() *session.Session {
			return open[rapid.IntRange(0, len(open)-1).Draw(t, "session")]
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			path := rapid.SampledFrom(paths).Draw(t, "path")
			switch op := rapid.IntRange(0, 7).Draw(t, "op"); {
			case op == 0 || len(open) == 0:
				open = append(open, w.open(t))
			case op == 1:
				pick().Promote(session.Play, path)
			case op <= 3:
				if s := pick(); s.Role() != session.Publish {
					s.Promote(session.Publish, path)
					attempts[s.ID]++
				}
			case op == 4: // its first media
				if s := pick(); s.Role() == session.Publish {
					kind := stream.Resumed
					if p := s.Stream(); !started[p] {
						kind, started[p] = stream.Started, true
					}
					queues[s.Stream()] = append(queues[s.Stream()], stream.Event{Kind: kind, Path: s.Stream(), Session: s.ID})
				}
			case op == 5 && started[path]:
				started[path] = false
				queues[path] = append(queues[path], stream.Event{Kind: stream.Ended, Path: path})
			case op == 6:
				i := rapid.IntRange(0, len(open)-1).Draw(t, "closed")
				open[i].Close(rapid.SampledFrom(reasons).Draw(t, "reason"), nil)
				open = append(open[:i], open[i+1:]...)
			case op == 7:
				pick().Promote(session.Pending, "")
			}
			for p, q := range queues {
				for len(q) > 0 && rapid.Bool().Draw(t, "told") {
					w.Stream(q[0])
					q = q[1:]
				}
				queues[p] = q
			}
		}
		for _, s := range open {
			s.Close(session.Shutdown, nil)
		}
		for p, q := range queues {
			for _, e := range q {
				w.Stream(e)
			}
			if started[p] {
				w.Stream(stream.Event{Kind: stream.Ended, Path: p})
			}
		}
		check(t, w, attempts)
	})
}

// check holds the events to what is promised of them.
func check(t *rapid.T, w *world, attempts map[string]int) {
	begun := map[string]string{} // type of start and subject → path
	publishing, last := map[string]string{}, ""
	done := map[string]int{} // rejections and stops of a session
	for _, e := range w.drain() {
		if e.ID <= last || e.Stream == nil || e.Stream.Path == "" || e.Session != nil && (e.Session.ID == "" || e.Session.Protocol == "" || e.Session.Role == "") {
			t.Fatalf("%+v %+v %+v after %s", e, e.Stream, e.Session, last)
		}
		last = e.ID
		key := e.Type + " " + e.Subject()
		switch start := StartOf(e.Type); {
		case StopOf(e.Type) != "":
			if _, twice := begun[key]; twice {
				t.Fatalf("%s twice", key)
			}
			begun[key] = e.Stream.Path
		case start != "":
			key = start + " " + e.Subject()
			if path, ok := begun[key]; !ok || path != e.Stream.Path {
				t.Fatalf("%s %s: began on %q", e.Type, e.Subject(), path)
			}
			delete(begun, key)
		}
		switch e.Type {
		case PublishStart:
			if other := publishing[e.Stream.Path]; other != "" {
				t.Fatalf("%s starts while %s publishes", e.Session.ID, other)
			}
			if _, online := begun[StreamOnline+" "+e.Stream.Path]; !online {
				t.Fatal("a publisher without a stream")
			}
			publishing[e.Stream.Path] = e.Session.ID
		case PublishStop:
			publishing[e.Stream.Path] = ""
			done[e.Session.ID]++
		case PublishRejected:
			done[e.Session.ID]++
		case StreamOffline:
			if publishing[e.Stream.Path] != "" {
				t.Fatal("a stream ends before its publisher")
			}
		}
	}
	if len(begun) > 0 {
		t.Fatalf("no stop: %v", begun)
	}
	for id, n := range attempts {
		if done[id] != n {
			t.Fatalf("%s: %d attempts, %d ends", id, n, done[id])
		}
	}
	if len(w.streams)+len(w.lives) != 0 {
		t.Fatalf("left: %v %v", w.streams, w.lives)
	}
}

// TestNamed: what is told of a stream beside its own events has the session whose media it is, also while the stop of the one
// before has not come.
func TestNamed(t *testing.T) {
	w := newWorld()
	named := func(want string) {
		t.Helper()
		s, who := w.Named("live/a")
		if s.Path != "live/a" || (who == nil) != (want == "") || who != nil && (who.ID != want || who.Role != "publish") {
			t.Errorf("%+v, %+v; want the session %q", s, who, want)
		}
	}
	named("")
	first := w.publisher(t, "live/a")
	named("")
	w.tell(stream.Started, "live/a", first)
	named(first.ID)
	second := w.publisher(t, "live/a")
	w.tell(stream.Resumed, "live/a", second)
	named(second.ID)
	first.Close(session.Takeover, nil)
	named(second.ID)
	second.Close(session.EOF, nil)
	named("")
}
