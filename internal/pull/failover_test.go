package pull

import (
	"slices"
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
