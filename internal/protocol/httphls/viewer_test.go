package httphls

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
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

// newTestHLS returns HLS over a hub in which live/a is live. It is used in a synctest bubble.
func newTestHLS(t *testing.T, admit peer.Admission) *HLS {
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
	return New(protocol.Env{Door: &peer.Door{
		Name: "hls", Log: slog.New(slog.DiscardHandler), Hub: hub, Sessions: session.New(session.Limits{}, session.Observer{}),
		Metrics: noMetrics{}, Admit: admit, Wait: func(string) time.Duration { return time.Second },
		RefusalLog: new(peer.LogLimit), SkipLog: new(peer.LogLimit),
	}}, func(string) (hls.Settings, bool) { return hls.Default(), true })
}

// TestViewerEntersOnce: however many requests of a viewer come at the same time, it is admitted
// once and has one session, which ends when it is silent.
func TestViewerEntersOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var admitted atomic.Int32
		open := make(chan struct{})
		p := newTestHLS(t, func(context.Context, *peer.Request) (session.Grant, error) {
			admitted.Add(1)
			<-open
			return session.Grant{}, nil
		})
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				r := httptest.NewRequest("GET", "/live/a/x.m3u8?_HLS_msn=1", nil)
				r.RemoteAddr = "192.0.2.1:1"
				if _, err := p.viewer(r, "live/a", "", 0); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := admitted.Load(); n != 1 {
			t.Errorf("admitted %d times", n)
		}
		close(open)
		wg.Wait()
		if n := p.env.Sessions.Len(); n != 1 {
			t.Errorf("%d sessions", n)
		}
		time.Sleep(silentTime + 2*time.Second)
		p.viewers.sweep(time.Now())
		if n := p.env.Sessions.Len(); n != 0 {
			t.Errorf("%d sessions of a silent viewer", n)
		}
		time.Sleep(rememberTime)
		p.viewers.sweep(time.Now())
		if n := len(p.viewers.byKey); n != 0 {
			t.Errorf("%d viewers are remembered", n)
		}
	})
}

// TestSilence: a viewer that asks once in a long target duration is not silent.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestHLS(t, func(context.Context, *peer.Request) (session.Grant, error) { return session.Grant{}, nil })
		r := httptest.NewRequest("GET", "/live/a/x.m3u8", nil)
		if _, err := p.viewer(r, "live/a", "", 90*time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(80 * time.Second)
		p.viewers.sweep(time.Now())
		if n := p.env.Sessions.Len(); n != 1 {
			t.Errorf("%d sessions", n)
		}
		time.Sleep(20 * time.Second)
		p.viewers.sweep(time.Now())
		if n := p.env.Sessions.Len(); n != 0 {
			t.Errorf("%d sessions afterwards", n)
		}
	})
}

// TestRefusedIsNotKept: who is not let in is not remembered, under whatever id it asks.
func TestRefusedIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTestHLS(t, func(context.Context, *peer.Request) (session.Grant, error) { return session.Grant{}, errors.New("no") })
		for range 10 {
			r := httptest.NewRequest("GET", "/live/a/x.m3u8", nil)
			if _, err := p.viewer(r, "live/a", newToken(), 0); err == nil {
				t.Error("let in")
			}
		}
		if len(p.viewers.byKey) != 0 || p.env.Sessions.Len() != 0 {
			t.Errorf("%d viewers, %d sessions", len(p.viewers.byKey), p.env.Sessions.Len())
		}
	})
}

// TestNobodyEntersAfterTheEnd: who comes while the server stops leaves no session.
func TestNobodyEntersAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		p := newTestHLS(t, func(context.Context, *peer.Request) (session.Grant, error) { <-open; return session.Grant{}, nil })
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := p.viewer(httptest.NewRequest("GET", "/live/a/x.m3u8", nil), "live/a", "", 0); err == nil {
				t.Error("let in")
			}
		})
		synctest.Wait()
		p.viewers.close(session.ErrShutdown)
		close(open)
		wg.Wait()
		if n := p.env.Sessions.Len(); n != 0 {
			t.Errorf("%d sessions", n)
		}
		v := newViewer("live/a", newToken(), "")
		if err := p.viewers.add(v); err == nil {
			t.Error("added")
		}
	})
}
