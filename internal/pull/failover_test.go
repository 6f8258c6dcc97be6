package pull

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/hops"
	"weir/internal/session"
)

// TestC438_Failover: the next source is taken when one does not answer, or is silent; players stay; the one that is good is kept,
// and when all are dead the stream's grace decides.
func TestC438_Failover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}", "rtmp://b/{path}")
		a, b := r.origins['a'], r.origins['b']
		a.become(hangs)
		p := r.mustPlay(path)
		if took := r.lives(7*time.Second, path, 'b'); took < 5*time.Second {
			t.Errorf("it took only %v", took)
		}
		a.become(sends)
		time.Sleep(10 * time.Minute)
		if s := r.state(path); s.Source[7] != 'b' {
			t.Errorf("it has gone back to %s without need", s.Source)
		}
		b.become(silent)
		r.lives(7*time.Second, path, 'a')
		time.Sleep(steady + 2*frameTime)
		a.become(breaks)
		b.become(sends)
		if took := r.lives(2*time.Second, path, 'b'); took > 100*time.Millisecond {
			t.Errorf("a connection that was lost cost %v", took)
		}
		if p.over() {
			t.Fatal("the player was sent away")
		}
		b.become(breaks)
		begin := time.Now()
		r.within(20*time.Second, "the grace ends", p.over)
		if took := time.Since(begin); took < 14*time.Second || took > 16*time.Second {
			t.Errorf("it took %v", took)
		}
		p.s.Leave()
		if n := r.fails[session.Timeout]; n != 1 {
			t.Errorf("%d of %v did not answer", n, r.fails)
		}
		if n := r.fails[session.Idle]; n != 1 {
			t.Errorf("%d of %v were silent", n, r.fails)
		}
	})
}

// TestP24_TheSameOrigin: a hundred times played and left, the origin that was good is the one that is asked.
func TestP24_TheSameOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}", "rtmp://b/{path}")
		a, b := r.origins['a'], r.origins['b']
		a.become(refuses)
		for range 100 {
			p := r.mustPlay(path)
			r.lives(time.Second, path, 'b')
			a.become(sends)
			p.s.Leave()
			r.within(32*time.Second, "it ends", func() bool { return r.state(path).Status == Idle })
		}
		if opened, _ := a.counts(); opened != 1 {
			t.Errorf("%d connections to the one that has failed", opened)
		}
		if opened, _ := b.counts(); opened != 100 {
			t.Errorf("%d connections to the other", opened)
		}
	})
}

// TestC438_PreferFirst: the first source takes the stream back once it has been good for 30 seconds, without a gap.
func TestC438_PreferFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}", "rtmp://b/{path}")
		r.conf.Prefer = preferFirst
		a, b := r.origins['a'], r.origins['b']
		a.become(refuses)
		p := r.mustPlay(path)
		r.lives(time.Second, path, 'b')
		time.Sleep(25 * time.Second)
		a.become(sends)
		time.Sleep(20 * time.Second)
		a.become(silent) // it is not good for long enough
		time.Sleep(6 * time.Second)
		a.become(sends)
		time.Sleep(25 * time.Second)
		if s := r.state(path); s.Source[7] != 'b' {
			t.Error("it has gone back too early")
		}
		begin := p.s.Stats()
		from := time.Now()
		r.lives(30*time.Second, path, 'a')
		time.Sleep(time.Second)
		if _, open := b.counts(); open != 0 {
			t.Error("the other one is still read")
		}
		n := p.s.Stats().Frames[av.Audio] - begin.Frames[av.Audio]
		if want := int64(time.Since(from) / frameTime); n < want-3 || n > want+3 {
			t.Errorf("%d frames in %v, not %d", n, time.Since(from), want)
		}
		if p.over() {
			t.Error("the player was sent away")
		}
		if n := p.s.Stats().Publishers; n != 2 {
			t.Errorf("%d publishers", n)
		}
		a.become(silent)
		r.lives(7*time.Second, path, 'b')
		p.s.Leave()
	})
}

// TestSourcesThatSendOneFrame: sources that send a frame and hang were never good: when all do it the round is over, and players are told.
func TestSourcesThatSendOneFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}", "rtmp://b/{path}")
		r.origins['a'].become(once)
		r.origins['b'].become(once)
		p := r.mustPlay(path)
		r.within(12*time.Second, "the round is over", func() bool { return slices.Contains(r.statuses(), Retrying) })
		opened := func() int {
			a, _ := r.origins['a'].counts()
			b, _ := r.origins['b'].counts()
			return a + b
		}
		if n := opened(); n != 2 {
			t.Errorf("%d connections in a round", n)
		}
		p.s.Leave()
	})
}

// TestC439_EachSourceIsTold: all sources of a round are told through which servers the player has come, so that none of them waits for
// this one while this one waits for it; a player that comes later has a chain of its own.
func TestC439_EachSourceIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}", "rtmp://b/{path}")
		a, b := r.origins['a'], r.origins['b']
		a.become(refuses)
		b.become(refuses)
		p, err := r.play(path, "one")
		if err != nil {
			t.Fatal(err)
		}
		r.within(time.Second, "it is told", p.over)
		p.s.Leave()
		own := hops.Entry("here", path)
		if want := []string{"one", own}; !slices.Equal(a.hops, want) || !slices.Equal(b.hops, want) {
			t.Errorf("%q, %q", a.hops, b.hops)
		}
		time.Sleep(2 * holdOff)
		b.become(sends)
		p = r.mustPlay(path)
		r.lives(2*time.Second, path, 'b')
		if want := []string{own}; !slices.Equal(a.hops, want) || !slices.Equal(b.hops, want) {
			t.Errorf("%q, %q", a.hops, b.hops)
		}
		p.s.Leave()
	})
}

// TestSource: where a stream is fetched from is known while it is, with the addresses.
func TestSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/x/y?key=k")
		p := r.mustPlay(path)
		r.lives(time.Second, path, 'a')
		if url, addrs := r.Source(path); url != "rtmp://a/x/y?key=k" || len(addrs) != 1 || addrs[0].String() != "192.0.2.7" {
			t.Error(url, addrs)
		}
		if url, addrs := r.Source("live/other"); url != "" || addrs != nil {
			t.Error(url, addrs)
		}
		r.origins['a'].become(breaks)
		p.s.Leave()
		r.within(time.Second, "it is lost", func() bool { url, _ := r.Source(path); return url == "" })
	})
}

// TestPlaces: each source is told where it was left, also after another one and in the next fetch, and is new after a change.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}", "rtmp://b/{path}")
		a, b := r.origins['a'], r.origins['b']
		p := r.mustPlay(path)
		r.lives(time.Second, path, 'a')
		first := a.place
		a.become(silent)
		r.lives(7*time.Second, path, 'b')
		second := b.place
		if first == nil || second == nil || first == second {
			t.Fatal("they have no place of their own")
		}
		a.become(sends)
		b.become(silent)
		r.lives(7*time.Second, path, 'a')
		if a.place != first {
			t.Error("the place is forgotten when it comes again")
		}
		p.s.Leave()
		r.within(32*time.Second, "it ends", func() bool { return r.state(path).Status == Idle })
		p = r.mustPlay(path)
		r.lives(time.Second, path, 'a')
		if a.place != first {
			t.Error("the place is forgotten in the next fetch")
		}
		r.mu.Lock()
		r.conf.Sources = []string{"rtmp://a/other"}
		r.mu.Unlock()
		r.Apply()
		r.within(time.Second, "the other one is fetched", func() bool { return r.state(path).Source == "rtmp://a/other" && r.state(path).Status == Live })
		if a.place == first {
			t.Error("another source has its place")
		}
		p.s.Leave()
	})
}

// TestPreferFirstBeginsWithTheFirst: after the return to the first source the next fetch begins with it; after a fetch that ended with another one it
// begins with that.
func TestPreferFirstBeginsWithTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}", "rtmp://b/{path}")
		r.conf.Prefer, r.conf.Linger = preferFirst, time.Second
		a, b := r.origins['a'], r.origins['b']
		a.become(refuses)
		again := func(from byte) {
			t.Helper()
			p := r.mustPlay(path)
			r.lives(time.Second, path, from)
			p.s.Leave()
			r.within(3*time.Second, "it ends", func() bool { return r.state(path).Status == Idle })
		}
		again('b')
		a.become(sends)
		again('b')
		p := r.mustPlay(path)
		r.lives(time.Second, path, 'b')
		r.lives(scoutEvery+proven+time.Second, path, 'a')
		p.s.Leave()
		r.within(3*time.Second, "it ends", func() bool { return r.state(path).Status == Idle })
		before, _ := b.counts()
		again('a')
		if after, _ := b.counts(); after != before {
			t.Error("the other one was asked first")
		}
	})
}

// TestEachFailureIsTold: with several sources the log, the state and what is told have the error of each of them, and no secret.
func TestEachFailureIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/x?key=hunter2", "rtmp://b/x", "rtmp://c/x")
		r.origins['a'].become(refuses)
		r.origins['b'].become(breaks)
		r.origins['c'].become(hangs)
		p := r.mustPlay(path)
		r.within(7*time.Second, "it has failed", func() bool { return r.state(path).Status == Failed })
		s := r.state(path)
		want := []struct {
			source string
			reason session.Reason
		}{{"rtmp://a/x?key=***", session.NotFound}, {"rtmp://b/x", session.EOF}, {"rtmp://c/x", session.Timeout}}
		if len(s.Failures) != len(want) {
			t.Fatalf("%+v", s.Failures)
		}
		for i, w := range want {
			if f := s.Failures[i]; f.Source != w.source || f.Reason != w.reason || f.Err == nil {
				t.Errorf("%+v, want %+v", f, w)
			}
		}
		const text = "rtmp://a/x?key=***: nobody publishes it; rtmp://b/x: the server has closed the connection instead of answering; rtmp://c/x: "
		reason, why := s.Why()
		if reason != session.Timeout || !strings.HasPrefix(why, text) || !strings.Contains(r.log.String(), text) || strings.Contains(r.log.String(), "hunter2") {
			t.Errorf("%v %q\n%s", reason, why, r.log)
		}
		p.s.Leave()
		r.origins['b'].become(sends)
		time.Sleep(2 * holdOff)
		p = r.mustPlay(path)
		r.lives(10*time.Second, path, 'b')
		if s := r.state(path); len(s.Failures) != 2 || s.Failures[0].Source != want[0].source || s.Failures[1].Source != want[2].source || s.Err != nil {
			t.Errorf("while one is live: %+v", s)
		}
		p.s.Leave()
	})
}

// TestBackupIsTold: that another source than the first is live is shown, counted, and told with why, and so is the return.
func TestBackupIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}", "rtmp://b/{path}")
		r.conf.Prefer = preferFirst
		r.origins['a'].become(refuses)
		p := r.mustPlay(path)
		r.lives(time.Second, path, 'b')
		s := r.state(path)
		if reason, text := s.Why(); !s.Backup || reason != session.NotFound || text != "rtmp://a/live/x: nobody publishes it" || r.OnBackup() != 1 {
			t.Errorf("%+v: %v %q, %d", s, reason, text, r.OnBackup())
		}
		if want := `level=WARN msg="the stream is fetched from a source that stands in for the first one"`; !strings.Contains(r.log.String(), want) {
			t.Error(r.log)
		}
		r.origins['a'].become(sends)
		r.lives(scoutEvery+proven+time.Second, path, 'a')
		if s := r.state(path); s.Backup || r.OnBackup() != 0 || time.Since(s.Since) > 100*time.Millisecond || len(s.Failures) != 0 {
			t.Errorf("after the return: %+v, %d", s, r.OnBackup())
		}
		r.origins['a'].become(silent)
		r.lives(7*time.Second, path, 'b')
		p.s.Leave()
		r.within(time.Minute, "it ends", func() bool { return r.state(path).Status == Idle })
		if s := r.state(path); s.Backup || r.OnBackup() != 0 {
			t.Errorf("at rest: %+v", s)
		}
	})
}

// TestTriesWhilePlayersWait: while players wait for a stream's return, its source is tried each two seconds, and when they have left as seldom as before.
func TestTriesWhilePlayersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/live/x")
		r.conf.OnDemand, r.always = false, []string{path}
		a := r.origins['a']
		r.Apply()
		r.lives(time.Second, path, 'a')
		p := r.mustPlay(path)
		time.Sleep(time.Minute)
		a.become(breaks)
		r.within(time.Second, "it is lost", func() bool { return r.state(path).Status == Retrying })
		for tries := 0; tries < 5; tries++ {
			before, _ := a.counts()
			r.within(maxWaitWatched+200*time.Millisecond, "the next try", func() bool { n, _ := a.counts(); return n > before })
		}
		if p.over() {
			t.Fatal("the player was sent away")
		}
		p.s.Leave()
		time.Sleep(10 * time.Minute)
		before, _ := a.counts()
		time.Sleep(10 * time.Minute)
		if n, _ := a.counts(); n-before > 35 {
			t.Errorf("%d tries in ten minutes without players", n-before)
		}
	})
}
