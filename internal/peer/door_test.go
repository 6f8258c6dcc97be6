package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/admit"
	"weir/internal/fanout"
	"weir/internal/mux"
	"weir/internal/session"
	"weir/internal/stream"
)

// counts implements Metrics.
type counts map[string]int

func (c counts) Dropped(_, reason string)         { c["dropped "+reason]++ }
func (c counts) HandshakeFailed(_, reason string) { c["handshake "+reason]++ }
func (c counts) Rejected(reason string)           { c[reason]++ }

// hall is a door and what is behind it.
type hall struct {
	*Door
	t      *testing.T
	log    record
	counts counts

	// What admission says; answer changes it while sessions are asked about.
	mu     sync.Mutex
	grant  session.Grant
	refuse error

	asked atomic.Int32
	ends  []session.End
}

// newHall makes one. It is used in a synctest bubble.
func newHall(t *testing.T, limits session.Limits, streams stream.Limits, set func(*stream.Settings)) *hall {
	h := &hall{t: t, counts: counts{}, grant: session.Grant{Entry: 3, Key: 7}}
	engine := fanout.New(fanout.Options{Workers: 1})
	hub := stream.New(stream.Options{Limits: streams, Settings: func(string) stream.Settings {
		s := stream.Default()
		if set != nil {
			set(&s)
		}
		return s
	}})
	h.Door = &Door{
		Name: "test", Log: slog.New(slog.NewJSONHandler(&h.log, nil)), Hub: hub, Engine: engine,
		Mux:      mux.NewSet(engine, func(string) fanout.SlowPolicy { return fanout.SlowPolicy{} }),
		Sessions: session.New(limits, session.Observer{Closed: func(_ *session.Session, e session.End) { h.ends = append(h.ends, e) }}),
		Metrics:  h.counts, Wait: func(string) time.Duration { return time.Second },
		Reserved: new(Reserved),
		Admit: func(context.Context, *admit.Request) (session.Grant, error) {
			h.asked.Add(1)
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.grant, h.refuse
		},
	}
	h.Reserved.AddSuffix(".flv")
	t.Cleanup(func() {
		hub.Close(nil)
		time.Sleep(time.Minute) // muxers wait a while for their next player
		synctest.Wait()
		engine.Close()
	})
	return h
}

// answer has admission say something else from now on.
func (h *hall) answer(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

// record is a log that is read while it is written.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func (h *hall) session() *session.Session {
	h.t.Helper()
	s, err := h.Sessions.Open(session.Info{Protocol: "test", Remote: netip.MustParseAddrPort("192.0.2.1:5")})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// variant has an encoder that writes nothing.
type variant int

// Format implements mux.Variant.
func (variant) Format() string { return "test" }

// NewEncoder implements mux.Variant.
func (variant) NewEncoder() mux.Encoder { return encoder{} }

type encoder struct{}

// Append implements mux.Encoder.
func (encoder) Append(*stream.Entry, mux.Output) {}

// End implements mux.Encoder.
func (encoder) End(mux.Output) []byte { return nil }

// wantRefusal checks that err refuses for a reason, which is counted once and logged in one line,
// and what the peer is told.
func (h *hall) wantRefusal(err error, reason session.Reason, path, told string) {
	h.t.Helper()
	var refusal *session.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != reason {
		h.t.Fatalf("%v (%v), want a refusal for %v", err, session.ReasonOf(err), reason)
	}
	if got := session.PeerText(err); !strings.Contains(got, told) || strings.Contains(got, "operator") {
		h.t.Errorf("the peer is told %q, want %q", got, told)
	}
	if h.counts[reason.String()] != 1 {
		h.t.Errorf("counted: %v, want one %v", h.counts, reason)
	}
	lines := strings.Split(strings.TrimSpace(h.log.String()), "\n")
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &line); err != nil || len(lines) != 1 {
		h.t.Fatalf("%d lines: %s", len(lines), &h.log)
	}
	for name, want := range map[string]any{"level": "WARN", "msg": "refused", "reason": reason.String(), "stream": path, "remote": "192.0.2.1:5"} {
		if line[name] != want {
			h.t.Errorf("the line has %s=%v, want %v", name, line[name], want)
		}
	}
}

// TestDoorRefusals: each way to be refused has its reason, the same for all protocols.
func TestDoorRefusals(t *testing.T) {
	errOperator := errors.New("for the operator: the database is down")
	publish := func(h *hall, path string) error {
		_, err := h.Publish(t.Context(), h.session(), Ask{Path: path}, func(error) {})
		return err
	}
	play := func(h *hall, path string) error {
		v, err := h.Play(t.Context(), h.session(), Ask{Path: path}, func(string) mux.Variant { return variant(0) })
		if err == nil {
			t.Cleanup(v.Leave)
		}
		return err
	}
	for _, c := range []struct {
		name    string
		streams stream.Limits
		set     func(*stream.Settings)
		refuse  error
		before  func(h *hall) error // must succeed
		do      func(h *hall, path string) error
		path    string
		reason  session.Reason
		told    string
	}{
		{name: "no path of a stream", do: play, path: "live", reason: session.Path, told: "app/name"},
		{name: "reserved name", do: publish, path: "live/a.flv", reason: session.Path, told: "reserved"},
		{name: "path before admission", refuse: errOperator, do: publish, path: "live/..", reason: session.Path, told: "segment"},
		{name: "wrong key", refuse: session.Because(session.BadKey, errOperator), do: play, path: "live/a", reason: session.BadKey, told: "key"},
		{name: "admission without a reason", refuse: errOperator, do: play, path: "live/a", reason: session.Denied, told: "Not allowed."},
		{name: "admission with a text", refuse: &session.Refusal{Reason: session.Denied, Peer: "Come back later.", Err: errOperator}, do: publish, path: "live/a", reason: session.Denied, told: "Come back later."},
		{
			name: "second publisher", set: func(s *stream.Settings) { s.Reject = true }, before: func(h *hall) error { return publish(h, "live/a") },
			do: publish, path: "live/a", reason: session.Conflict, told: "Another publisher is live",
		},
		{
			name: "streams", streams: stream.Limits{Streams: 1}, before: func(h *hall) error { return publish(h, "live/a") },
			do: publish, path: "live/b", reason: session.Limit, told: "as many streams",
		},
		{
			name: "players", set: func(s *stream.Settings) { s.MaxPlayers = 1 }, before: func(h *hall) error { return play(h, "live/a") },
			do: play, path: "live/a", reason: session.Limit, told: "as many players",
		},
		{
			name: "variants", before: func(h *hall) error {
				for n := range 16 {
					v, err := h.ViewFor(h.session(), "live/a", variant(n))
					if err != nil {
						return err
					}
					t.Cleanup(v.Leave)
				}
				return nil
			},
			do: func(h *hall, path string) error {
				_, err := h.ViewFor(h.session(), path, variant(16))
				return err
			}, path: "live/a", reason: session.Limit, told: "too many forms",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, session.Limits{}, c.streams, c.set)
				if c.before != nil {
					if err := c.before(h); err != nil {
						t.Fatal(err)
					}
				}
				h.refuse = c.refuse
				h.wantRefusal(c.do(h, c.path), c.reason, c.path, c.told)
			})
		})
	}
}

// TestRefusalIsLoggedSafely: what a peer names a stream cannot break a line, nor make it long.
func TestRefusalIsLoggedSafely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		path := "live/\n" + strings.Repeat("x", 100_000)
		if _, err := h.Play(t.Context(), h.session(), Ask{Path: path, RawQuery: "key=hunter2"}, nil); err == nil {
			t.Fatal("let in")
		}
		if log := h.log.String(); len(log) > 2000 || strings.Count(log, "\n") != 1 || strings.Contains(log, "hunter2") {
			t.Errorf("%d bytes: %.300s", len(log), log)
		}
		if h.asked.Load() != 0 {
			t.Error("admission was asked about a path that is none")
		}
	})
}

// TestGrantStaysWithTheSession: what a peer was let in with is known as long as its session is.
func TestGrantStaysWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		s := h.session()
		if _, ok := s.Grant(); ok {
			t.Error("a grant before admission")
		}
		if _, err := h.Publish(t.Context(), s, Ask{Path: "live/a", RawQuery: "key=x"}, func(error) {}); err != nil {
			t.Fatal(err)
		}
		if g, ok := s.Grant(); !ok || g != h.grant || s.Role() != session.Publish || s.Stream() != "live/a" {
			t.Errorf("%+v, %v, in the role %v of %q", g, ok, s.Role(), s.Stream())
		}
		h.refuse = errors.New("no")
		refused := h.session()
		if _, err := h.Publish(t.Context(), refused, Ask{Path: "live/b"}, func(error) {}); err == nil {
			t.Fatal("let in")
		}
		if _, ok := refused.Grant(); ok || refused.Role() != session.Pending {
			t.Error("who was refused has a grant or a role")
		}
	})
}

// TestWaitingCountsAsPending: a player that waits for a stream takes a place among the pending of
// its address, until the stream begins.
func TestWaitingCountsAsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{PendingPerIP: 1}, stream.Limits{}, nil)
		s := h.session()
		claimed := make(chan error, 1)
		go func() { // waited for by the receive below
			v, err := h.PlayLive(t.Context(), s, Ask{Path: "live/a"}, nil)
			if err == nil {
				v.Leave()
			}
			claimed <- err
		}()
		synctest.Wait()
		if s.Role() != session.Waiting {
			t.Fatalf("it is in the role %v", s.Role())
		}
		info := session.Info{Protocol: "test", Remote: netip.MustParseAddrPort("192.0.2.1:6")}
		if _, err := h.Sessions.Open(info); session.ReasonOf(err) != session.Limit {
			t.Errorf("a second one of the address: %v", err)
		}
		pub, err := h.Hub.Publish("live/a", stream.Info{})
		if err != nil {
			t.Fatal(err)
		}
		if err := pub.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
			t.Fatal(err)
		}
		if err := <-claimed; err != nil || s.Role() != session.Play {
			t.Fatalf("%v, in the role %v", err, s.Role())
		}
		if _, err := h.Sessions.Open(info); err != nil {
			t.Errorf("beside one that plays: %v", err)
		}
	})
}

// TestWaitIsOver: who waits in vain is told so, in the time that the stream's settings give.
func TestWaitIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		begun := time.Now()
		_, err := h.PlayLive(t.Context(), h.session(), Ask{Path: "live/a"}, func(string) mux.Variant { return variant(0) })
		if session.ReasonOf(err) != session.NotFound || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if h.Hub.Get("live/a") != nil {
			t.Error("the stream is kept for nobody")
		}
		h.Missing = func(path string) error {
			if path == "live/b" {
				return &session.Refusal{Reason: session.NotFound, Peer: "It cannot be fetched.", Err: errors.New("no answer")}
			}
			return nil
		}
		for path, want := range map[string]string{"live/a": "Nobody is publishing this stream.", "live/b": "It cannot be fetched."} {
			if _, err := h.PlayLive(t.Context(), h.session(), Ask{Path: path}, func(string) mux.Variant { return variant(0) }); session.PeerText(err) != want {
				t.Errorf("%s: %q, want %q", path, session.PeerText(err), want)
			}
		}
	})
}

// TestWantedByAPlayerOfTheStream: when a stream is to be fetched its player has joined it, and so hears at once that it cannot
// be; one that is refused then leaves it.
func TestWantedByAPlayerOfTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		refuse, why := error(nil), errors.New("it cannot be fetched")
		h.Want = func(r *admit.Request, _ session.Grant) error {
			if st := h.Hub.Get(r.Path); st == nil || st.Stats().Players != 1 {
				t.Error("the player has not joined the stream")
			}
			h.Hub.End(r.Path, why)
			return refuse
		}
		for _, refuse = range []error{nil, session.Because(session.Loop, why)} {
			begun := time.Now()
			_, err := h.PlayLive(t.Context(), h.session(), Ask{Path: "live/a"}, func(string) mux.Variant { return variant(0) })
			if took := time.Since(begun); err == nil || took > 0 || refuse != nil && session.ReasonOf(err) != session.Loop {
				t.Errorf("%v after %v", err, took)
			}
			if h.Hub.Get("live/a") != nil {
				t.Error("the stream is kept for nobody")
			}
		}
	})
}

// TestRefusedByTheSource: a player whose stream may not be fetched leaves the stream, also if that goes on.
func TestRefusedByTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		h.Want = func(*admit.Request, session.Grant) error {
			return session.Because(session.Loop, errors.New("it goes in a circle"))
		}
		_, err := h.Play(t.Context(), h.session(), Ask{Path: "live/a"}, func(string) mux.Variant { return variant(0) })
		h.wantRefusal(err, session.Loop, "live/a", "in a circle")
		if h.Hub.Get("live/a") != nil {
			t.Error("the stream is kept for nobody")
		}
	})
}

// TestWhatPeersShow is kept where somebody wants it: what the connection came with beside what the stream was asked for with.
func TestWhatPeersShow(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHall(t, session.Limits{}, stream.Limits{}, nil)
			h.Keeps = func() bool { return keeps }
			app := "studio"
			h.Connects = func(context.Context, *admit.Request) (string, bool, error) { return app, true, nil }
			s := h.session()
			ask := Ask{Path: "live", RawQuery: "ticket=7", TCURL: "rtmp://host/live", PageURL: "https://example.com/"}
			if got, err := h.Connect(t.Context(), s, ask); got != app || err != nil {
				t.Fatal(got, err)
			}
			if got, ok := s.Connected(); got != app || !ok {
				t.Error(got, ok)
			}
			ask.Path, ask.RawQuery = "studio/a", "token=8"
			if _, err := h.Publish(t.Context(), s, ask, func(error) {}); err != nil {
				t.Fatal(err)
			}
			want := session.Shown{Path: "studio/a", Query: "token=8", ConnectQuery: "ticket=7", TCURL: "rtmp://host/live", PageURL: "https://example.com/"}
			if got := s.Shown(); keeps != (got != nil) || keeps && *got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			app = "no//app"
			_, err := h.Connect(t.Context(), h.session(), Ask{Path: "live"})
			h.wantRefusal(err, session.Path, "live", "not valid")
		})
	}
}

// TestRequestOfAViewer: what is asked about one without a session is what is asked about one with a session.
func TestRequestOfAViewer(t *testing.T) {
	d := &Door{Name: "test"}
	via := []netip.Addr{netip.MustParseAddr("10.0.0.2")}
	r := httptest.NewRequest("GET", "/live/a.flv?token=x", nil)
	r = r.WithContext(WithVia(r.Context(), via))
	r.RemoteAddr, r.TLS = "192.0.2.1:5", &tls.ConnectionState{}
	r.Header.Set("User-Agent", strings.Repeat("x", 200))
	r.Header.Set("Referer", "https://example.com/")
	r.Header.Set("Authorization", "bearer t")
	got := d.Request(r, "live/a")
	want := &admit.Request{
		Role: session.Play, Protocol: "test", Remote: netip.MustParseAddrPort("192.0.2.1:5"), Via: via, TLS: true,
		UserAgent: session.Printable(strings.Repeat("x", 200), 128), PageURL: "https://example.com/", URL: "https://example.com/live/a.flv", Path: "live/a", RawQuery: "token=x",
		Credential: admit.Credential{Kind: "bearer", Token: "t"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	s, err := session.New(session.Limits{}, session.Observer{}).Open(d.Info(r, nil))
	if err != nil {
		t.Fatal(err)
	}
	ask := AskOf(r, "live/a")
	want.Session = s.ID
	if got := d.RequestOf(s, session.Play, &ask); !reflect.DeepEqual(got, want) {
		t.Errorf("with a session: %+v, want %+v", got, want)
	}
}

// TestFailAnswersByReason: the status of a viewer that gets nothing, and whether it may come again.
func TestFailAnswersByReason(t *testing.T) {
	for reason, want := range map[session.Reason]struct {
		status int
		retry  string
	}{
		session.NotFound: {404, "5"}, session.StreamEnded: {404, "5"}, session.Path: {404, "5"},
		session.Limit: {503, "5"}, session.Shutdown: {503, "5"}, session.Throttled: {429, "60"},
		session.Unsupported: {406, ""}, session.BadKey: {403, ""}, session.Address: {403, ""}, session.Denied: {403, ""},
	} {
		w := httptest.NewRecorder()
		new(Door).Fail(w, session.Because(reason, errors.New("for the operator")))
		body := w.Body.String()
		if w.Code != want.status || w.Header().Get("Retry-After") != want.retry || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v: %d %v", reason, w.Code, w.Header())
		}
		if strings.Contains(body, "operator") || strings.TrimSpace(body) == "" {
			t.Errorf("%v: the viewer is told %q", reason, body)
		}
	}
}

// TestEndOfPlayer: the engine's causes have their reasons, and others stay what they are.
func TestEndOfPlayer(t *testing.T) {
	for cause, want := range map[error]session.Reason{
		fanout.ErrEnded: session.StreamEnded, fanout.ErrSlow: session.Slow, fanout.ErrBacklog: session.Slow,
		fanout.ErrStalled: session.Stalled, fanout.ErrEngineClosed: session.Shutdown, session.ErrKicked: session.Kicked,
		errors.New("odd"): session.Internal,
	} {
		if got := session.ReasonOf(EndOfPlayer(cause)); got != want {
			t.Errorf("%v: %v, want %v", cause, got, want)
		}
	}
	if err := EndOfPlayer(nil); session.ReasonOf(err) != session.EOF {
		t.Errorf("a player that left: %v", err)
	}
}
