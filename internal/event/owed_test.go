package event

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/session"
	"weir/internal/stream"
)

// owing is a world in which services are owed ends.
type owing struct {
	*world
	told *Subscription
}

func newOwing() *owing {
	w := newWorld()
	w.reg = session.New(session.Limits{}, session.Observer{
		Promoted: w.Promoted, Stopped: w.Ended, Closed: func(x *session.Session, e session.End) { w.Ended(x, e); w.Closed(x, e) },
	})
	return &owing{w, w.bus.Subscribe(1<<10, []string{PublishAllowed, PublishReleased, PlayAllowed, PlayReleased})}
}

// allow lets a session in.
func (w *owing) allow(x *session.Session, role session.Role, path string) {
	x.SetGrant(session.Grant{Terms: &session.Terms{By: "hook", Paired: true}})
	w.Allowed(&Session{ID: x.ID}, role, path)
}

// want compares what was told since the last call: "play.released live/a eof".
func (w *owing) want(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for {
		select {
		case e := <-w.told.C():
			line := e.Type + " " + e.Stream.Path
			if r := e.Data["reason"]; r != nil {
				line += fmt.Sprint(" ", r)
			}
			got = append(got, line)
			continue
		default:
		}
		break
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestDebts: each yes has one end, however its session leaves.
func TestDebts(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(w *owing, x *session.Session)
		want []string
	}{
		"a player": {func(w *owing, x *session.Session) {
			w.allow(x, session.Play, "live/a")
			x.Promote(session.Play, "live/a")
			x.Close(session.Slow, nil)
		}, []string{"play.allowed live/a", "play.released live/a slow"}},
		"a player that waits": {func(w *owing, x *session.Session) {
			w.allow(x, session.Play, "live/a")
			x.Promote(session.Waiting, "live/a")
			x.Close(session.NotFound, nil)
		}, []string{"play.allowed live/a", "play.released live/a not_found"}},
		"a publisher": {func(w *owing, x *session.Session) {
			w.allow(x, session.Publish, "live/a")
			x.Promote(session.Publish, "live/a")
			w.tell(stream.Started, "live/a", x)
			x.Close(session.EOF, nil)
		}, []string{"publish.allowed live/a", "publish.released live/a eof"}},
		"a publisher that is silent": {func(w *owing, x *session.Session) {
			w.allow(x, session.Publish, "live/a")
			x.Promote(session.Publish, "live/a")
			x.Close(session.Idle, nil)
		}, []string{"publish.allowed live/a", "publish.released live/a idle"}},
		"a publisher that stops, silent, and stays": {func(w *owing, x *session.Session) {
			w.allow(x, session.Publish, "live/a")
			x.Promote(session.Publish, "live/a")
			x.Promote(session.Pending, "")
			w.allow(x, session.Publish, "live/b")
			x.Promote(session.Publish, "live/b")
			x.Close(session.EOF, nil)
		}, []string{"publish.allowed live/a", "publish.released live/a unpublish", "publish.allowed live/b", "publish.released live/b eof"}},
		"refused after the yes": {func(w *owing, x *session.Session) {
			w.allow(x, session.Play, "live/a")
			w.Gone(x.ID, session.Play, session.Limit)
			w.Gone(x.ID, session.Play, session.Limit)
			x.Close(session.EOF, nil)
		}, []string{"play.allowed live/a", "play.released live/a limit"}},
		"refused while it publishes another": {func(w *owing, x *session.Session) {
			w.allow(x, session.Publish, "live/a")
			x.Promote(session.Publish, "live/a")
			w.allow(x, session.Publish, "live/b")
			w.allow(x, session.Play, "live/c")
			w.Gone(x.ID, session.Publish, session.Conflict)
			x.Close(session.EOF, nil)
		}, []string{
			"publish.allowed live/a", "publish.allowed live/b", "play.allowed live/c",
			"publish.released live/b conflict", "publish.released live/a eof", "play.released live/c eof",
		}},
		"one play after the other": {func(w *owing, x *session.Session) {
			w.allow(x, session.Play, "live/a")
			x.Promote(session.Play, "live/a")
			w.allow(x, session.Play, "live/b")
			x.Promote(session.Play, "live/b")
			x.Close(session.EOF, nil)
		}, []string{"play.allowed live/a", "play.allowed live/b", "play.released live/a unpublish", "play.released live/b eof"}},
		"let in without being asked about": {func(w *owing, x *session.Session) {
			x.SetGrant(session.Grant{Terms: &session.Terms{By: "hook", Paired: true}})
			x.Promote(session.Play, "live/a")
			x.Close(session.EOF, nil)
		}, nil},
		"the server stops": {func(w *owing, x *session.Session) {
			w.allow(x, session.Play, "live/a")
			w.Close(session.Shutdown)
			x.Close(session.Shutdown, nil)
		}, []string{"play.allowed live/a", "play.released live/a shutdown"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newOwing()
			c.do(w, w.open(t))
			w.want(t, c.want...)
			if len(w.owed) > 0 {
				t.Errorf("left: %v", w.owed)
			}
		})
	}
}

// TestDebtAtTakeover: the end of a publisher that was taken over is told once, also if its stop is told before it has ended.
func TestDebtAtTakeover(t *testing.T) {
	w := newOwing()
	first := w.open(t)
	w.allow(first, session.Publish, "live/a")
	first.Promote(session.Publish, "live/a")
	w.tell(stream.Started, "live/a", first)
	for range 16 {
		x := w.open(t)
		x.Promote(session.Publish, "live/a")
		w.tell(stream.Resumed, "live/a", x)
	}
	w.want(t, "publish.allowed live/a", "publish.released live/a takeover")
	first.Close(session.Takeover, nil)
	w.want(t)
}

// TestDebtsAreNoEvents: nobody else hears of them, and whoever does knows the starts and stops that they stand for.
func TestDebtsAreNoEvents(t *testing.T) {
	w := newOwing()
	all := w.bus.Subscribe(100, []string{"*", "play.*", "publish.*"})
	x := w.open(t)
	w.allow(x, session.Play, "live/a")
	x.Promote(session.Play, "live/a")
	x.Close(session.EOF, nil)
	y := w.open(t)
	y.Promote(session.Play, "live/a")
	y.Close(session.EOF, nil)
	var got []string
	for range 4 {
		e := <-all.C()
		got = append(got, fmt.Sprint(e.Type, " ", e.Paired))
	}
	if s := strings.Join(got, ", "); s != "play.start true, play.stop true, play.start false, play.stop false" || len(all.C()) > 0 || len(w.drain()) != 4 {
		t.Error(s)
	}
	for typ := range toldAs {
		if CheckPattern(typ) == nil || slices.Contains(Types(), typ) || ToldAs(ToldAs(typ)) != "" {
			t.Errorf("%s can be chosen", typ)
		}
	}
	for _, c := range []struct {
		patterns, starts string
		want             []string
	}{
		{"publish.stop", "", []string{PublishReleased}},
		{"publish.stop", "starts", []string{PublishAllowed, PublishReleased}},
		{"play.*", "", []string{PlayReleased}},
		{"play.start", "starts", nil},
		{"*", "starts", []string{PlayAllowed, PlayReleased, PublishAllowed, PublishReleased}},
		{"connection.stop", "starts", nil},
	} {
		if got := Owing([]string{c.patterns}, c.starts != ""); !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %v", c.patterns, c.starts, got)
		}
	}
}

// TestReview: who was let in and begins no session has its end after a while; who has a session does not.
func TestReview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOwing()
		x := w.open(t)
		w.allow(x, session.Play, "live/a")
		w.Allowed(&Session{ID: "offered"}, session.Play, "live/b")
		w.want(t, "play.allowed live/a", "play.allowed live/b")
		there := func(id string) bool { return w.reg.Get(id) != nil }
		time.Sleep(offerTime)
		w.Review(time.Now(), there)
		w.want(t)
		time.Sleep(time.Second)
		w.Review(time.Now(), there)
		w.want(t, "play.released live/b eof")
		x.Close(session.EOF, nil)
		w.want(t, "play.released live/a eof")

		// One that was asked about again meanwhile is waited for from then on, with all that is owed to it.
		w.Allowed(&Session{ID: "twice"}, session.Play, "live/c")
		time.Sleep(offerTime - time.Second)
		w.Allowed(&Session{ID: "twice"}, session.Play, "live/c")
		w.want(t, "play.allowed live/c", "play.allowed live/c")
		time.Sleep(offerTime)
		w.Review(time.Now(), there)
		w.want(t)
		time.Sleep(time.Second)
		w.Review(time.Now(), there)
		w.want(t, "play.released live/c eof", "play.released live/c eof")
	})
}
