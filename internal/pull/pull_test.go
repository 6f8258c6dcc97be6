package pull

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/peer"
	"weir/internal/session"
	"weir/internal/stream"
)

const path = "live/x"

// TestC437_OnDemand: a thousand players at once cause one connection; all are told when the source refuses, those who
// come just after it at once; and an hour later the stream is there.
func TestC437_OnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{app}/{name}?{query}")
		a := r.origins['a']
		a.become(refuses)
		begin := time.Now()
		players := make([]*player, 1000)
		for i := range players {
			players[i] = r.mustPlay(path)
		}
		r.within(time.Second, "all are told", func() bool {
			return !slices.ContainsFunc(players, func(p *player) bool { return !p.over() })
		})
		if took := time.Since(begin); took > time.Second+100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		_, err := r.play(path)
		if session.ReasonOf(err) != session.NotFound || !strings.Contains(session.PeerText(err), "cannot be fetched") {
			t.Errorf("the next one: %v", err)
		}
		if opened, _ := a.counts(); opened != 1 {
			t.Errorf("%d connections", opened)
		}
		for _, p := range players {
			p.s.Leave()
		}
		if !slices.Equal(r.urls, []string{"rtmp://a/live/x?key=k%20y"}) {
			t.Errorf("%q", r.urls)
		}
		r.within(2*time.Second, "the failure is shown", func() bool { return r.state(path).Status == Absent })
		if s := r.state(path); s.Reason != session.NotFound || s.Tries != 1 || strings.Contains(s.Source, "k%20y") {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Hour)
		if opened, _ := a.counts(); opened != 1 {
			t.Errorf("%d connections while nobody asked", opened)
		}
		a.become(sends)
		p := r.mustPlay(path)
		if took := r.lives(time.Second, path, 'a'); took > 200*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		if p.over() {
			t.Error("the player was sent away")
		}
		p.s.Leave()
		if got, want := r.statuses(), []Status{Absent, Live}; !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
	})
}

// TestC437_Linger: a stream is fetched on while its last player may return, and not for longer.
func TestC437_Linger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}")
		a := r.origins['a']
		p := r.mustPlay(path)
		r.lives(time.Second, path, 'a')
		s := p.s
		p.s.Leave()
		time.Sleep(29 * time.Second)
		p = r.mustPlay(path)
		if p.s != s {
			t.Error("it is another stream")
		}
		time.Sleep(time.Minute)
		p.s.Leave()
		time.Sleep(29 * time.Second)
		if opened, open := a.counts(); opened != 1 || open != 1 {
			t.Errorf("%d connections, %d open", opened, open)
		}
		r.within(2*time.Second, "it ends", func() bool { return r.state(path).Status == Idle })
		if _, open := a.counts(); open != 0 || !p.over() || r.hub.Len() != 0 {
			t.Errorf("%d connections and %d streams are left", open, r.hub.Len())
		}
		p = r.mustPlay(path)
		r.lives(time.Second, path, 'a')
		p.s.Leave()
		if opened, _ := a.counts(); opened != 2 {
			t.Errorf("%d connections", opened)
		}
	})
}

// TestAlways: a stream that is always fetched is tried again and again, more seldom with time, and at once when somebody wants it;
// what changes is told once.
func TestAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/live/x")
		r.conf.OnDemand, r.always = false, []string{path}
		a := r.origins['a']
		a.become(refuses)
		r.Apply()
		time.Sleep(10 * time.Minute)
		r.within(200*time.Millisecond, "no try is under way", func() bool { return r.state(path).Status == Retrying })
		opened, _ := a.counts()
		if opened < 18 || opened > 35 {
			t.Errorf("%d tries in ten minutes", opened)
		}
		if s := r.state(path); s.Status != Retrying || s.Tries != opened || s.NextTry.Before(time.Now()) || time.Until(s.NextTry) > maxWait || s.Reason != session.NotFound {
			t.Errorf("%+v", s)
		}
		if got := r.statuses(); !slices.Equal(got, []Status{Retrying}) {
			t.Errorf("told %v", got)
		}
		if n := strings.Count(r.log.String(), "\n"); n > 3 {
			t.Errorf("%d lines: %s", n, r.log)
		}
		a.become(sends)
		p, err := r.play(path)
		for ; err != nil; p, err = r.play(path) { // a try has just failed
			time.Sleep(holdOff)
		}
		r.lives(time.Second, path, 'a')
		p.s.Leave()
		time.Sleep(time.Hour)
		if s := r.state(path); s.Status != Live || s.Err != nil || s.Tries != 0 || !s.NextTry.IsZero() {
			t.Errorf("%+v", s)
		}
		a.become(ends)
		time.Sleep(4 * time.Second)
		a.become(sends)
		r.lives(5*time.Second, path, 'a')
		if got, want := r.statuses(), []Status{Retrying, Live, Retrying, Live}; !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		if err := r.Remove(path); !errors.Is(err, ErrConfigured) {
			t.Error(err)
		}
		r.always, r.conf.Sources = nil, nil
		r.Apply()
		r.within(time.Second, "it is given up", func() bool { return len(r.List()) == 0 && r.hub.Len() == 0 })
	})
}

// TestStandby: who publishes here goes before what is fetched.
func TestStandby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/live/x")
		a := r.origins['a']
		p := r.mustPlay(path)
		r.lives(time.Second, path, 'a')
		encoder := *r.door
		encoder.Name = "rtmp"
		publish := func() *peer.LocalPublisher {
			pub, err := encoder.PublishLocal(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if err := pub.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
				t.Fatal(err)
			}
			return pub
		}
		pub := publish()
		r.within(time.Second, "it stands by", func() bool { return r.state(path).Status == Standby })
		time.Sleep(time.Minute)
		if opened, open := a.counts(); opened != 1 || open != 0 || p.over() {
			t.Errorf("%d connections, %d open", opened, open)
		}
		pub.Close()
		r.lives(time.Second, path, 'a')
		if p.over() {
			t.Error("the player was sent away")
		}
		p.s.Leave()
		time.Sleep(32 * time.Second)
		pub = publish() // and what is published here is not fetched at all
		defer pub.Close()
		p = r.mustPlay(path)
		time.Sleep(time.Second)
		if opened, _ := a.counts(); opened != 2 {
			t.Errorf("%d connections", opened)
		}
		p.s.Leave()
	})
}

// TestKick: the session of a pull can be listed and ended; what is always fetched comes back.
func TestKick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/live/x?key=hunter2")
		r.conf.OnDemand, r.always = false, []string{path}
		r.Apply()
		r.lives(time.Second, path, 'a')
		list := r.door.Sessions.List()
		if len(list) != 1 || list[0].Role() != session.Publish || list[0].Protocol != "pull" || list[0].UserAgent() != "rtmp://a/live/x?key=***" || list[0].ID != r.state(path).Session {
			t.Fatalf("%+v", list)
		}
		p := r.mustPlay(path)
		if !list[0].Kick(nil) {
			t.Fatal("it cannot be ended")
		}
		r.within(time.Second, "the stream ends", p.over)
		p.s.Leave()
		r.within(3*time.Second, "it comes back", func() bool {
			s := r.state(path)
			return s.Status == Live && s.Session != list[0].ID
		})
		if r.fails[session.Kicked] != 1 || strings.Contains(r.log.String(), "hunter2") {
			t.Errorf("%v\n%s", r.fails, r.log)
		}
	})
}

// TestPlansThatChange: another plan holds at once, and interrupts only what it changes; players stay.
func TestPlansThatChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}")
		a := r.origins['a']
		p := r.mustPlay(path)
		r.lives(time.Second, path, 'a')
		r.conf.Linger = time.Hour
		r.Apply()
		time.Sleep(time.Second)
		if opened, _ := a.counts(); opened != 1 {
			t.Error("a longer linger has interrupted it")
		}
		r.conf.Sources = []string{"rtmp://b/{path}"}
		r.Apply()
		r.lives(time.Second, path, 'b')
		if p.over() {
			t.Error("the player was sent away")
		}
		p.s.Leave()
		time.Sleep(50 * time.Minute)
		if r.state(path).Status != Live {
			t.Error("the longer linger does not hold")
		}
		r.conf.Linger = time.Second
		r.Apply()
		r.within(time.Second, "the shorter one holds", func() bool { return r.state(path).Status == Idle })
		r.conf.Sources = nil
		r.edge.Origin = "rtmp://c?key=k"
		r.Apply()
		p = r.mustPlay("live/a b/c#d")
		r.lives(time.Second, "live/a b/c#d", 'c')
		if got := r.urls[len(r.urls)-1]; got != "rtmp://c/live/a%20b/c%23d?key=k" {
			t.Error(got)
		}
		p.s.Leave()
	})
}

// TestAPI: a stream that the API has fetched goes before the configuration, and is gone when it is deleted.
func TestAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if p, err := r.play(path); err != nil || len(r.List()) != 0 {
			t.Errorf("without a plan: %v, %+v", err, r.List())
		} else {
			p.s.Leave()
		}
		for _, err := range []error{r.Remove(path), r.Retry(path)} {
			if !errors.Is(err, ErrNoPull) {
				t.Error(err)
			}
		}
		plan := Plan{Sources: []string{"rtmp://a/x/y"}, Tuning: DefaultConfig().Tuning}
		r.origins['a'].become(refuses)
		s, err := r.Add(path, plan)
		if err != nil || s.By != ByAPI || s.Path != path {
			t.Fatal(s, err)
		}
		if _, err := r.Add(path, plan); !errors.Is(err, ErrExists) {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		r.origins['a'].become(sends)
		if err := r.Retry(path); err != nil {
			t.Error(err)
		}
		r.lives(100*time.Millisecond, path, 'a')
		r.Apply()
		if opened, open := r.origins['a'].counts(); open != 1 {
			t.Errorf("a reload has interrupted it: %d of %d", open, opened)
		}
		if err := r.Remove(path); err != nil {
			t.Error(err)
		}
		r.within(time.Second, "it ends", func() bool { return len(r.List()) == 0 && r.hub.Len() == 0 })
		if _, err := r.Add(path, plan); err != nil {
			t.Error(err)
		}
		r.lives(time.Second, path, 'a')
	})
}

// TestWantWhatIsPublishedHere: a player of a stream that somebody publishes here is not told that a source has failed just before.
func TestWantWhatIsPublishedHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}")
		r.always = []string{path}
		r.conf.OnDemand = false
		r.origins['a'].become(refuses)
		r.Apply()
		r.within(time.Second, "it has failed", func() bool { return r.state(path).Status == Retrying })
		pub, err := r.hub.Publish(path, stream.Info{Session: "p", Protocol: "rtmp"})
		if err != nil {
			t.Fatal(err)
		}
		if err := pub.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
			t.Fatal(err)
		}
		if p, err := r.play(path); err != nil {
			t.Error(err)
		} else {
			p.s.Leave()
		}
		pub.Close(session.ErrKicked)
	})
}

// TestCloseWhileAtWork: everything ends with the manager, whatever it is doing.
func TestCloseWhileAtWork(t *testing.T) {
	for _, does := range []behaviour{sends, refuses, hangs, silent, breaks} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, "rtmp://a/{path}", "rtmp://b/{path}")
			r.conf.Prefer = preferFirst
			r.origins['a'].become(does)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx) }()
			synctest.Wait()
			p := r.mustPlay(path)
			time.Sleep(20 * time.Second)
			stop()
			begin := time.Now()
			if err := <-done; err != nil || time.Since(begin) > 100*time.Millisecond {
				t.Errorf("%v: %v after %v", does, err, time.Since(begin))
			}
			p.s.Leave()
			if err := r.Want(requestFor(path), session.Grant{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWhoEndsALiveSource: a source that the API has opened anew, or that has changed, ends its session with the reason for that, and the
// session tells where it was fetched from.
func TestWhoEndsALiveSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a:1935/x?key=hunter2")
		var ends []string
		r.door.Sessions = session.New(session.Limits{}, session.Observer{Closed: func(s *session.Session, e session.End) {
			ends = append(ends, s.From()+" "+e.Reason.String()+": "+e.Err.Error())
		}})
		p := r.mustPlay(path)
		r.lives(time.Second, path, 'a')
		if err := r.Retry(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		r.lives(time.Second, path, 'a')
		r.mu.Lock()
		r.conf.Sources = []string{"rtmp://b/x"}
		r.mu.Unlock()
		r.Apply()
		r.lives(time.Second, path, 'b')
		if want := []string{"a:1935 kicked: it is tried again, as the API asks for it", "a:1935 config: it is tried again: its sources have changed"}; !slices.Equal(ends, want) {
			t.Errorf("the sessions end with %q, not %q", ends, want)
		}
		p.s.Leave()
	})
}

// TestMissing: a player that has waited in vain while the sources are tried is told that the stream cannot be fetched, whatever they have answered so far, and
// nothing where nobody tries.
func TestMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}", "rtmp://b/{path}", "rtmp://c/{path}")
		a, b := r.origins['a'], r.origins['b']
		a.become(hangs)
		b.become(refuses)
		r.origins['c'].become(hangs)
		if err := r.Missing(path); err != nil {
			t.Error("before anybody asks:", err)
		}
		p := r.mustPlay(path)
		for at, want := range []string{"no source has answered so far", "rtmp://b/live/x: nobody publishes it"} {
			time.Sleep(3 * time.Second)
			err := r.Missing(path)
			if session.ReasonOf(err) != session.NotFound || session.PeerText(err) != "The stream cannot be fetched from where it is at the moment." || !strings.Contains(err.Error(), want) {
				t.Errorf("%d: %v, %q", at, err, session.PeerText(err))
			}
		}
		r.within(10*time.Second, "it is dismissed", p.over)
		if err := p.s.Unbegun(); session.PeerText(err) != "The stream cannot be fetched from where it is at the moment." {
			t.Errorf("in the end: %v", err)
		}
		p.s.Leave()
		a.become(sends)
		time.Sleep(2 * holdOff)
		p = r.mustPlay(path)
		r.lives(10*time.Second, path, 'a')
		if err := r.Missing(path); err != nil {
			t.Error("while it is live:", err)
		}
		p.s.Leave()
	})
}
