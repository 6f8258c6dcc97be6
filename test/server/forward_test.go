package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/server"
	"weir/internal/session"
)

// forwardTo makes a configuration that of an edge which forwards its publishers.
func forwardTo(origin, key string) func(*server.Config) {
	return func(c *server.Config) {
		c.Edge.Origin, c.Edge.Publish, c.Edge.PublishKey = origin, "forward", key
		c.Edge.Silence = time.Second
	}
}

// asksKeys makes all streams ask publishers for the key.
func asksKeys(c *server.Config) {
	e := server.DefaultStream()
	e.Publish.Keys = []admit.Key{{Key: secret}}
	c.Streams = []server.StreamConfig{e}
}

// players are the sessions that play on a server.
func (r *running) players() []*session.Session {
	return slices.DeleteFunc(r.sessions.List(), func(s *session.Session) bool { return s.Role() != session.Play })
}

// goesOn checks that what a watcher got from a number on is in order and none of it came twice, that it has holes only before key
// frames, and that its times rise.
func (w *watcher) goesOn(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil || !slices.IsSorted(w.times) {
		t.Errorf("%v; times in order: %v", w.err, slices.IsSorted(w.times))
	}
	for i := 1; i < len(w.got); i++ {
		if w.got[i] <= w.got[i-1] || w.got[i] != w.got[i-1]+1 && w.got[i]%25 != 0 {
			t.Errorf("picture %d comes behind %d", w.got[i], w.got[i-1])
		}
	}
}

// newest is the number of the newest picture.
func (w *watcher) newest() uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.got) == 0 {
		return 0
	}
	return w.got[len(w.got)-1]
}

// TestEdgeForwards: who publishes at an edge that forwards is published at the origin, too, with the publisher's own query. Players
// at the edge play what is published there, those at another edge what the origin has; both stay while the origin is restarted, and
// while the publisher is away for a moment, when the edge does not fetch what it has sent.
func TestEdgeForwards(t *testing.T) {
	t.Parallel()
	origin := start(t, asksKeys)
	at := origin.Addr("rtmp").String()
	here := start(t, forwardTo("rtmp://"+at, ""))
	there := start(t, edgeOf("rtmp://"+at))
	stop := here.film("live/x?key="+secret, 0)
	near := here.watch("live/x")
	eventually(t, "the player at the edge gets pictures", func() bool { return near.pictures() >= 10 })
	if p := here.pushed("live/x", "live"); p.Name != "origin" || p.Origin != "edge" || !p.Enabled || p.URL != "rtmp://"+at+"/live" {
		t.Errorf("%+v", p)
	}
	far := there.watch("live/x")
	eventually(t, "the player at the other edge gets pictures", func() bool { return far.pictures() >= 30 })
	if n := len(origin.players()); n != 1 {
		t.Errorf("the origin has %d players, not the other edge alone", n)
	}
	if p := here.pulls(); len(p) > 0 {
		t.Errorf("the edge fetches what is published there: %+v", p)
	}

	// The origin is lost, and comes back.
	if err := origin.stop(); err != nil {
		t.Fatal(err)
	}
	here.pushed("live/x", "retrying")
	before := far.newest()
	origin = start(t, func(c *server.Config) { c.RTMP.Listen = at; asksKeys(c) })
	eventually(t, "the player at the other edge gets pictures again", func() bool { return far.newest() > before+50 })

	// The publisher is away for a moment; a player that comes meanwhile waits for it.
	stop()
	begun := time.Now()
	eventually(t, "its loss is noticed", func() bool {
		_, ok := here.hub.Get("live/x").Publisher()
		return !ok
	})
	late := here.watch("live/x")
	for time.Since(begun) < 2*time.Second { // longer than the edge would need to fetch the stream
		if n := len(origin.players()); n > 1 {
			t.Fatalf("the edge fetches what it has sent: the origin has %d players", n)
		}
		<-time.After(20 * time.Millisecond)
	}
	here.film("live/x?key="+secret, 5000)
	for name, w := range map[string]*watcher{"edge": near, "other edge": far, "late": late} {
		eventually(t, "the player at the "+name+" goes on", func() bool { return w.newest() >= 5030 })
		w.goesOn(t)
	}
	if p := here.pushed("live/x", "live"); p.Error != "" {
		t.Errorf("%+v", p)
	}
}

// TestEdgeForwardsWithItsKey: an edge with a key of its own sends that instead of what the publisher has shown; one whose
// publishers the origin refuses goes on playing them, and says why in a sentence, without the key.
func TestEdgeForwardsWithItsKey(t *testing.T) {
	t.Parallel()
	origin := start(t, asksKeys)
	to := "rtmp://" + origin.Addr("rtmp").String()
	good, bad := start(t, forwardTo(to+"?key=toplay", secret)), start(t, forwardTo(to, "wrong&"+secret))
	good.film("live/ü%25", 0)
	good.pushed("live/ü%25", "live")
	origin.arrived("live/ü%", 10)
	bad.film("live/y", 0)
	p := bad.pushed("live/y", "refused")
	if !strings.Contains(p.Error, "the server does not allow this stream key or name to publish (NetStream.Publish.Denied") {
		t.Errorf("%q", p.Error)
	}
	if !strings.Contains(bad.log.String(), "push is refused") || !strings.Contains(bad.log.String(), "does not allow this stream key") {
		t.Error("the log does not say so")
	}
	w := bad.watch("live/y")
	eventually(t, "the edge plays it", func() bool { return w.pictures() >= 30 })
	w.goesOn(t)
}

// TestEdgeForwardTakenOver: when the stream is published at another edge after its publisher left this one, the origin has that
// one, and so have the players here, without a circle.
func TestEdgeForwardTakenOver(t *testing.T) {
	t.Parallel()
	origin := start(t, nil)
	to := "rtmp://" + origin.Addr("rtmp").String()
	first, second := start(t, forwardTo(to, "")), start(t, forwardTo(to, ""))
	stop := first.film("live/x", 0)
	first.pushed("live/x", "live")
	second.film("live/x", 5000)
	p := first.pushed("live/x", "refused")
	if !strings.Contains(p.Error, "another publisher has taken the stream over on the server") {
		t.Errorf("%q", p.Error)
	}
	stop()
	eventually(t, "its publisher is gone", func() bool {
		s := first.hub.Get("live/x")
		if s == nil {
			return true
		}
		_, ok := s.Publisher()
		return !ok
	})
	w := first.watch("live/x")
	eventually(t, "the players of the first edge get what the second has", func() bool { return w.newest() >= 5050 })
	w.goesOn(t)
	if list := first.pushes("live/x"); slices.ContainsFunc(list, func(p pushState) bool { return p.State == "live" }) {
		t.Error("what comes from the origin is sent back to it: ", fmt.Sprint(list))
	}
}

// TestPlayersFollowThePublisher: players at an edge whose publisher goes on at another edge go on with what that one sends, whether it comes
// there before it is gone here or after.
func TestPlayersFollowThePublisher(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprint("before ", before), func(t *testing.T) {
			origin := start(t, nil)
			to := "rtmp://" + origin.Addr("rtmp").String()
			first, second := start(t, forwardTo(to, "")), start(t, forwardTo(to, ""))
			stop := first.film("live/x", 0)
			first.pushed("live/x", "live")
			w := first.watch("live/x")
			eventually(t, "the player gets pictures", func() bool { return w.pictures() >= 10 })
			if before {
				second.film("live/x", 5000)
				first.pushed("live/x", "refused")
				stop()
			} else {
				stop()
				first.pushed("live/x", "away")
				second.film("live/x", 5000)
			}
			eventually(t, "the player gets what comes from the other edge", func() bool { return w.newest() >= 5050 })
			w.goesOn(t)
			if list := first.pushes("live/x"); slices.ContainsFunc(list, func(p pushState) bool { return p.State == "live" }) {
				t.Error("what comes from the origin is sent back to it: ", fmt.Sprint(list))
			}
		})
	}
}
