package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"weir/av"
	"weir/internal/admit"
	"weir/internal/event"
	"weir/internal/ingest"
	"weir/internal/session"
)

// asked is a peer that asks to publish.
func asked(path, query string) *admit.Request {
	return &admit.Request{Role: session.Publish, Protocol: "test", Path: path, RawQuery: query, Remote: netip.MustParseAddrPort("192.0.2.1:1")}
}

// again is what is asked about a session that was let in.
func again(r *admit.Request, g session.Grant) *admit.Request {
	a := *r
	a.Recheck, a.Grant = true, g
	return &a
}

// TestProgramIsAskedAgain: what the key says stays when the program is asked again: the stream that it leads to, its
// end, and that the session ends with it when it is revoked.
func TestProgramIsAskedAgain(t *testing.T) {
	end := time.Now().Add(time.Hour).Round(time.Second)
	conf := configured(t)
	conf.Streams[0].Publish.Keys = []admit.Key{{ID: "cam", Key: "right", Path: "live/cam", Expires: end}}
	var denies atomic.Bool
	bitrate := int64(5)
	s, err := New(conf, Options{Admit: func(_ context.Context, r *admit.Request) (*session.Terms, error) {
		if r.Recheck && denies.Load() {
			return nil, errors.New("not any more")
		}
		return &session.Terms{By: byProgram, Bitrate: bitrate, Recheck: time.Minute}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := asked("live/x", "key=right")
	first, err := s.admit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	bitrate = 7
	now, err := s.admit(t.Context(), again(r, first))
	if err != nil {
		t.Fatal(err)
	}
	if now.Key == 0 || now.Key != first.Key || now.PathOf(r.Path) != "live/cam" || !now.Terms.Until.Equal(end) || now.Terms.KeyID != "cam" || now.Terms.Bitrate != 7 {
		t.Errorf("%+v, %+v", now, now.Terms)
	}
	x, err := s.sessions.Open(session.Info{Protocol: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer x.CloseWith(nil)
	x.SetGrant(now)
	s.endRevoked(map[uint64]bool{first.Key: true})
	if x.Kick(nil) {
		t.Error("the session outlives its key")
	}
	denies.Store(true)
	if _, err := s.admit(t.Context(), again(r, now)); session.ReasonOf(err) != session.Denied {
		t.Errorf("the program's no: %v", err)
	}
}

// TestOnlyTheHookIsAskedAgain: who was let in by a link, and by a hook that is always asked, stays when the link would
// not let it in any more; its end and its user stay the link's. The hook is asked again also where the program has
// the last word.
func TestOnlyTheHookIsAskedAgain(t *testing.T) {
	var calls atomic.Int32
	denies := atomic.Bool{}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		if denies.Load() {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer hook.Close()
	until := time.Now().Add(time.Hour).Round(time.Second)
	key := admit.SigningKey{ID: "a", Secret: "secret-of-a-0123456789"}
	conf := configured(t, signingKey("a"), "auth.hook.url="+hook.URL, "auth.hook.when=always", "auth.hook.recheck=30s",
		"streams.0.publish.auth=[signed, hook]")
	s, err := New(conf, Options{Admit: func(context.Context, *admit.Request) (*session.Terms, error) {
		return &session.Terms{By: byProgram, User: "ann"}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := asked("live/a", key.Sign(&admit.Signed{Role: session.Publish, Path: "live/a", Expires: time.Now().Add(time.Hour), Until: until}))
	first, err := s.admit(t.Context(), r)
	if err != nil || calls.Load() != 1 || first.Terms.Recheck != 30*time.Second {
		t.Fatalf("%+v, %v, after %d calls", first.Terms, err, calls.Load())
	}
	r.RawQuery = key.Sign(&admit.Signed{Role: session.Publish, Path: "live/a", Expires: time.Now().Add(-time.Hour)})
	now, err := s.admit(t.Context(), again(r, first))
	if err != nil || calls.Load() != 2 || !now.Terms.Until.Equal(until) || now.Terms.KeyID != "a" || now.Terms.User != "ann" || now.Terms.Recheck != 30*time.Second {
		t.Errorf("%+v, %v, after %d calls", now.Terms, err, calls.Load())
	}
	denies.Store(true)
	if _, err := s.admit(t.Context(), again(r, now)); session.ReasonOf(err) != session.Revoked {
		t.Errorf("the hook's no: %v", err)
	}
}

// TestProgramsStreamIsAskedAboutAgain: what the program publishes itself keeps the name that the hook gave it when the hook is
// asked again and does not repeat the name, and ends when the hook says no.
func TestProgramsStreamIsAskedAboutAgain(t *testing.T) {
	status, answer := http.StatusOK, `{"path":"live/b","user":"ann"}`
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer hook.Close()
	s, err := New(configured(t, "auth.hook.url="+hook.URL, "auth.hook.in_process=true", "auth.hook.recheck=30s", "streams.0.publish.auth=[hook]"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := &admit.Request{Role: session.Publish, Protocol: ofProgram, InProcess: true, Path: "live/a"}
	first, err := s.admit(t.Context(), r)
	if err != nil || first.PathOf(r.Path) != "live/b" {
		t.Fatalf("%+v, %v", first.Terms, err)
	}
	answer = `{"user":"bob"}`
	now, err := s.admit(t.Context(), again(r, first))
	if err != nil || now.PathOf(r.Path) != "live/b" || now.Terms.User != "bob" || now.Terms.Recheck != 30*time.Second {
		t.Errorf("%+v, %v", now.Terms, err)
	}
	status = http.StatusForbidden
	if _, err := s.admit(t.Context(), again(r, now)); session.ReasonOf(err) != session.Revoked {
		t.Errorf("the hook's no: %v", err)
	}
}

// TestConnections: a connection is one that the hook was asked about, also if the hook gives it another app, and not where nobody
// is asked.
func TestConnections(t *testing.T) {
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.FormValue("ticket") {
		case "7":
			w.Header().Set("Location", "studio")
			w.WriteHeader(http.StatusFound)
		case "8":
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer hook.Close()
	for _, c := range []struct {
		url, query, app string
		asked           bool
		refused         session.Reason
	}{
		{hook.URL, "ticket=7", "studio", true, 0}, {hook.URL, "", "live", true, 0}, {hook.URL, "ticket=8", "live", false, session.Denied}, {"", "ticket=7", "live", false, 0},
	} {
		s, err := New(configured(t, "auth.hook.format=nginx-rtmp", "auth.hook.connect_url="+c.url), Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := asked("live", c.query)
		r.Role = session.Pending
		app, ok, err := s.connects(t.Context(), r)
		if app != c.app || ok != c.asked || (err != nil) != (c.refused != 0) || err != nil && session.ReasonOf(err) != c.refused {
			t.Errorf("%+v: %s, %v, %v", c, app, ok, err)
		}
		s.Close()
	}
}

// TestEndStreamInGrace: a stream that waits for its publisher's return is ended, too.
func TestEndStreamInGrace(t *testing.T) {
	s, err := New(configured(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := s.InProcess().PublishLocal(t.Context(), "live/a")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if s.hub.Get("live/a") == nil {
		t.Fatal("there is no grace")
	}
	if !s.EndStream("live/a") || s.hub.Get("live/a") != nil {
		t.Error("the stream goes on")
	}
	if s.EndStream("live/a") {
		t.Error("it was ended twice")
	}
}

// TestWhichBitrate: the limit of the configuration is told of when it ends a publisher, and not when the publisher's
// own bound does.
func TestWhichBitrate(t *testing.T) {
	s, err := New(configured(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sub := s.events.Subscribe(10, []string{event.LimitReached})
	defer sub.Close()
	x, err := s.sessions.Open(session.Info{Protocol: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer x.CloseWith(nil)
	for _, e := range []error{
		&ingest.BitrateError{Max: 8000, Own: true}, errors.New("too many strange messages"), &ingest.BitrateError{Max: 16000},
	} {
		s.ended(x, session.End{Role: session.Publish, Reason: session.Limit, Err: e})
	}
	got := <-sub.C()
	if len(sub.C()) != 0 || got.Data["limit"] != "limits.stream_bitrate" || got.Data["max"] != 16000 {
		t.Errorf("%+v, and %d more", got.Data, len(sub.C()))
	}
}
