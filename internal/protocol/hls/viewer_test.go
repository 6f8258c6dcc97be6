package hls

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/admit"
	"weir/internal/hls"
	"weir/internal/peer"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/stream"
)

// noMetrics counts nothing.
type noMetrics struct{}

func (noMetrics) Dropped(_, _ string)         {}
func (noMetrics) HandshakeFailed(_, _ string) {}
func (noMetrics) Rejected(_ string)           {}

// rig is HLS over a hub in which live/a is live. It is used in a synctest bubble.
type rig struct {
	*HLS
	t       *testing.T
	refused error // what admission says
	grant   session.Grant
	asked   int // how often it was asked
}

func newRig(t *testing.T, limits session.Limits) *rig {
	t.Helper()
	hub := stream.New(stream.Options{Settings: func(string) stream.Settings { return stream.Default() }})
	t.Cleanup(func() { hub.Close(nil) })
	pub, err := hub.Publish("live/a", stream.Info{Session: "p"})
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second) // the tracks are known
	r := &rig{t: t}
	var mu sync.Mutex
	r.HLS = New(protocol.Env{Door: &peer.Door{
		Name: "hls", Log: slog.New(slog.DiscardHandler), Hub: hub, Sessions: session.New(limits, session.Observer{}),
		Metrics: noMetrics{}, Wait: func(string) time.Duration { return time.Second },
		Admit: func(context.Context, *admit.Request) (session.Grant, error) {
			mu.Lock()
			defer mu.Unlock()
			r.asked++
			return r.grant, r.refused
		},
	}}, func(string) (hls.Settings, bool) { return hls.Default(), true })
	t.Cleanup(func() { r.viewers.close(session.ErrShutdown) })
	return r
}

func (r *rig) request(addr, query string) *http.Request {
	req := httptest.NewRequest(http.MethodGet, "/live/a/x.m3u8?"+query, nil)
	req.RemoteAddr = addr + ":1"
	return req
}

// playlist asks for the media playlist, as /live/a has it.
func (r *rig) playlist(addr, query string, silence time.Duration) (*viewer, error) {
	req := r.request(addr, query)
	return r.viewer(req, "live/a", req.URL.Query(), silence)
}

// media asks for a segment.
func (r *rig) media(addr string) { r.asks(r.request(addr, ""), "live/a") }

func (r *rig) token() string { return "v=" + r.tokens.issue("live/a", grant, 0, time.Now()) }

// wantSessions fails unless there are n sessions.
func (r *rig) wantSessions(n int, when string) {
	r.t.Helper()
	if got := r.env.Sessions.Len(); got != n {
		r.t.Errorf("%d sessions %s, want %d", got, when, n)
	}
}

// grant is what the viewers are let in with.
var grant = session.Grant{Entry: -1, Key: 1<<63 + 7}

const addrA, addrB = "192.0.2.1", "192.0.2.2"

// TestViewerCountsWithItsFirstMedia: playlists make no session; the first media does, of the viewer at
// that address, once however much is asked for.
func TestViewerCountsWithItsFirstMedia(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		a := r.token()
		for range 3 {
			if v, err := r.playlist(addrA, a, 0); v != nil || err != nil {
				t.Errorf("%v, %v before media was asked for", v, err)
			}
		}
		r.media(addrB)
		r.wantSessions(0, "after playlists, and media asked for by another address")
		for range 3 {
			r.media(addrA)
		}
		r.wantSessions(1, "after media")
		if r.asked != 0 {
			t.Errorf("admission was asked %d times for an id that proves it", r.asked)
		}
		if v, err := r.playlist(addrA, a, 0); v == nil || err != nil {
			t.Errorf("%v, %v", v, err)
		}
		r.wantSessions(1, "after the next playlist")
		s := r.env.Sessions.List()[0]
		if g, ok := s.Grant(); !ok || g != grant {
			t.Errorf("the session has %+v, want the grant of admission", g)
		}
		if s.Role() != session.Play || s.Stream() != "live/a" || s.Remote != netip.MustParseAddrPort(addrA+":1") {
			t.Errorf("%v of %q at %v", s.Role(), s.Stream(), s.Remote)
		}
	})
}

// TestIDsThatAreThrownAway: 20,000 viewers that ask for playlists alone, from loopback, cost no session and
// no memory that grows; media that is asked for once is one viewer.
func TestIDsThatAreThrownAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{Connections: 10})
		for range 20000 {
			if _, err := r.playlist("127.0.0.1", r.token(), 0); err != nil {
				t.Fatal(err)
			}
		}
		r.wantSessions(0, "of 20,000 who asked for playlists")
		kept := 0
		for i := range r.newcomers.buckets {
			kept += len(r.newcomers.buckets[i].list)
		}
		if kept > newcomersInBucket || len(r.viewers.byKey) != 0 {
			t.Errorf("%d newcomers and %d viewers of one address are kept", kept, len(r.viewers.byKey))
		}
		r.media("127.0.0.1")
		r.wantSessions(1, "after one request for media")
	})
}

// TestNewcomerThatGaveWay: who is forgotten because others came is served, and counts when it plays.
func TestNewcomerThatGaveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		a := r.token()
		if _, err := r.playlist(addrA, a, 0); err != nil {
			t.Fatal(err)
		}
		for range newcomersInBucket {
			if _, err := r.playlist(addrA, r.token(), 0); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.playlist(addrA, a, 0); err != nil {
			t.Fatal(err)
		}
		for range newcomersInBucket {
			r.media(addrA)
		}
		r.wantSessions(newcomersInBucket, "after as much media")
		v, err := r.playlist(addrA, a, 0)
		if err != nil || v == nil || "v="+v.key.token != a {
			t.Errorf("%v, %v", v, err)
		}
	})
}

// TestViewerBehindACache: who reloads its playlist for long plays, although somebody else asks for
// the media.
func TestViewerBehindACache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		a := r.token()
		for at := time.Duration(0); at < 10*time.Second; at += 2 * time.Second {
			if v, err := r.playlist(addrA, a, 0); v != nil || err != nil {
				t.Errorf("after %v: %v, %v", at, v, err)
			}
			time.Sleep(2 * time.Second)
		}
		if v, err := r.playlist(addrA, a, 0); v == nil || err != nil {
			t.Errorf("%v, %v", v, err)
		}
		r.wantSessions(1, "of a viewer that reloads")
	})
}

// TestLimitOfAnAddress: limits.connections_per_ip holds for viewers. One too many is refused its next
// playlist, once it has asked for media, and gets in when there is room.
func TestLimitOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{ConnectionsPerIP: 2})
		var tokens []string
		for range 3 {
			a := r.token()
			tokens = append(tokens, a)
			if _, err := r.playlist(addrA, a, 0); err != nil {
				t.Fatal(err)
			}
			r.media(addrA)
		}
		r.wantSessions(2, "of one address")
		_, err := r.playlist(addrA, tokens[2], 0)
		if _, ok := errors.AsType[*session.LimitError](err); !ok || session.ReasonOf(err) != session.Limit {
			t.Errorf("the third: %v", err)
		}
		if _, err := r.playlist(addrB, r.token(), 0); err != nil {
			t.Error(err)
		}
		r.media(addrB)
		r.wantSessions(3, "of two addresses")
		time.Sleep(31 * time.Second)
		r.viewers.sweep(time.Now())
		r.wantSessions(0, "of the silent")
		if v, err := r.playlist(addrA, tokens[2], 0); v == nil || err != nil {
			t.Errorf("%v, %v when there is room", v, err)
		}
	})
}

// TestViewerEntersOnce: however many requests of a viewer come at the same time, it has one
// session, which ends when it is silent.
func TestViewerEntersOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := r.playlist(addrA, "_HLS_msn=1", 0); err != nil {
					t.Error(err)
				}
				r.media(addrA)
			})
		}
		wg.Wait()
		r.wantSessions(1, "of 50 requests")
		time.Sleep(30 * time.Second)
		r.viewers.sweep(time.Now())
		r.wantSessions(1, "of a viewer that was silent for half a minute")
		time.Sleep(time.Nanosecond)
		r.viewers.sweep(time.Now())
		r.wantSessions(0, "of a silent viewer")
		time.Sleep(2*time.Minute - 1)
		r.viewers.sweep(time.Now())
		if n := len(r.viewers.byKey); n != 1 {
			t.Errorf("%d viewers are remembered for two minutes", n)
		}
		time.Sleep(time.Nanosecond)
		r.viewers.sweep(time.Now())
		if n := len(r.viewers.byKey); n != 0 {
			t.Errorf("%d viewers are remembered for longer", n)
		}
	})
}

// TestSilence: a viewer that asks once in a long target duration is not silent.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		a := r.token()
		for range 2 {
			if _, err := r.playlist(addrA, a, 90*time.Second); err != nil {
				t.Fatal(err)
			}
			r.media(addrA)
		}
		time.Sleep(80 * time.Second)
		r.viewers.sweep(time.Now())
		r.wantSessions(1, "within its silence")
		time.Sleep(20 * time.Second)
		r.viewers.sweep(time.Now())
		r.wantSessions(0, "afterwards")
		if v, err := r.playlist(addrA, a, 0); v == nil || err != nil {
			t.Errorf("%v, %v of a player that was paused", v, err)
		}
		r.wantSessions(1, "of a player that was paused")
	})
}

// TestRefusedIsNotKept: who is not let in is not remembered, under whatever id it asks.
func TestRefusedIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		old := r.token()
		time.Sleep(121 * time.Second)
		r.refused = errors.New("no")
		forged := []byte(r.token())
		forged[len(forged)-1] ^= 1
		for _, query := range []string{"", old, string(forged), "v=" + strings.Repeat("a", shortToken), "v=x", "v=" + r.tokens.issue("live/b", grant, 0, time.Now()), "key=x"} {
			if _, err := r.playlist(addrA, query, 0); err == nil {
				t.Errorf("let in with %q", query)
			}
			r.media(addrA)
		}
		if len(r.viewers.byKey) != 0 || r.env.Sessions.Len() != 0 {
			t.Errorf("%d viewers, %d sessions", len(r.viewers.byKey), r.env.Sessions.Len())
		}
	})
}

// TestO24_SentAway: who was sent away by the operator is refused for a minute, however often it asks, and then
// comes back as somebody new. Who was sent away for another reason does not come back while it goes on asking.
func TestO24_SentAway(t *testing.T) {
	for _, c := range []struct {
		cause  error
		reason session.Reason
		back   bool
	}{
		{nil, session.Kicked, true},
		{session.Becausef(session.Revoked, "the key was revoked"), session.Revoked, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, session.Limits{})
			a := r.token()
			if _, err := r.playlist(addrA, a, 0); err != nil {
				t.Fatal(err)
			}
			r.media(addrA)
			old := r.env.Sessions.List()[0]
			old.Kick(c.cause)
			r.wantSessions(0, "after the kick")
			for at := time.Duration(0); at < time.Minute; at += 3 * time.Second {
				if _, err := r.playlist(addrA, a, 0); session.ReasonOf(err) != c.reason {
					t.Errorf("after %v: %v", at, err)
				}
				r.media(addrA)
				time.Sleep(3 * time.Second)
				r.viewers.sweep(time.Now())
			}
			_, err := r.playlist(addrA, a, 0)
			if (err == nil) != c.back {
				t.Errorf("after a minute: %v", err)
			}
			if now := r.env.Sessions.List(); c.back && (len(now) != 1 || now[0].ID == old.ID) || !c.back && len(now) != 0 {
				t.Errorf("%v sessions after a minute", now)
			}
		})
	}
}

// TestO09_TenMinutes: about a viewer who plays for ten minutes, a playlist and a part each 200 ms, admission is asked once.
func TestO09_TenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		if _, err := r.playlist(addrA, "token=x", 0); err != nil { // the multivariant playlist, which has the id in it
			t.Fatal(err)
		}
		a := r.token()
		for range 10 * time.Minute / (200 * time.Millisecond) {
			if _, err := r.playlist(addrA, a, 0); err != nil {
				t.Fatal(err)
			}
			r.media(addrA)
			time.Sleep(200 * time.Millisecond)
			r.viewers.sweep(time.Now())
		}
		r.wantSessions(1, "after ten minutes")
		if r.asked != 1 {
			t.Errorf("admission was asked %d times", r.asked)
		}
	})
}

// TestLongQueries: what a viewer was admitted with is not kept, however long it is.
func TestLongQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		query := "key=" + strings.Repeat("x", 28<<10)
		if _, err := r.playlist(addrA, query, 0); err != nil {
			t.Fatal(err)
		}
		r.media(addrA)
		if _, err := r.playlist(addrB, query+"&"+r.token(), 0); err != nil {
			t.Fatal(err)
		}
		r.media(addrB)
		r.wantSessions(2, "")
		for key := range r.viewers.byKey {
			if n := len(fmt.Sprint(key)); n > 150 {
				t.Errorf("%d bytes are kept", n)
			}
		}
		if r.asked != 1 {
			t.Errorf("admission was asked %d times", r.asked)
		}
	})
}

// TestRememberedAreBounded: viewers without a session give way, the oldest first.
func TestRememberedAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		for i := range 8193 {
			v, err := r.enter(viewerKey{"live/a", fmt.Sprint("v", i)}, grant, session.Info{Protocol: "hls", Remote: netip.MustParseAddrPort(addrA + ":1")})
			if err != nil {
				t.Fatal(err)
			}
			v.end(nil)
			if i == 0 {
				time.Sleep(time.Second)
			}
		}
		r.viewers.sweep(time.Now())
		if n := len(r.viewers.byKey); n != 8192 || r.viewers.get(viewerKey{"live/a", "v0"}) != nil {
			t.Errorf("%d are remembered, want 8192 without the oldest", n)
		}
	})
}

// TestNobodyEntersAfterTheEnd: who comes while the server stops leaves no session.
func TestNobodyEntersAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		if _, err := r.playlist(addrA, r.token(), 0); err != nil {
			t.Fatal(err)
		}
		r.viewers.close(session.ErrShutdown)
		r.media(addrA)
		r.wantSessions(0, "after the end")
		if _, err := r.enter(viewerKey{"live/a", "x"}, grant, session.Info{Protocol: "hls"}); !errors.Is(err, session.ErrShutdown) {
			t.Error(err)
		}
	})
}

// TestSharedViewers: requests of one viewer are alike, those with another key are not.
func TestSharedViewers(t *testing.T) {
	a := netip.MustParseAddr(addrA)
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"key=a&_HLS_msn=1", "_HLS_msn=2&_HLS_part=3&key=a", true},
		{"_HLS_skip=YES", "", true},
		{"v=wrong", "", true},
		{"key=a", "", false},
		{"key=a", "key=b", false},
		{"token=x&key=a", "key=a", false},
	} {
		var got [2]string
		for i, q := range []string{c.a, c.b} {
			got[i] = sharedToken(a, httptest.NewRequest(http.MethodGet, "/live/a/x.m3u8?"+q, nil).URL.Query())
		}
		if (got[0] == got[1]) != c.same {
			t.Errorf("%q and %q: %q", c.a, c.b, got)
		}
	}
}
