package pull

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/hops"
	"weir/internal/session"
)

// TestHookPull: the source that the grant of a player names is fetched, for that stream.
func TestHookPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		err := r.Want(requestFor(path), session.Grant{Terms: &session.Terms{Pull: "rtmp://b/secret/x?key=k"}})
		if err != nil {
			t.Fatal(err)
		}
		r.lives(time.Second, path, 'b')
		if s := r.state(path); s.By != ByHook || !s.OnDemand || s.Source != "rtmp://b/secret/x?key=***" {
			t.Errorf("%+v", s)
		}
		r.Apply()
		time.Sleep(time.Second)
		if opened, _ := r.origins['b'].counts(); opened != 1 {
			t.Error("a reload has interrupted it")
		}
	})
}

// TestHookPullHasItsOwnAccess: what the entry says of its sources, keys in header fields and trust in every certificate, does not hold for the
// source that a hook names; and when it is tried again it is that one, not the entry's.
func TestHookPullHasItsOwnAccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}")
		r.conf.Headers, r.conf.Insecure, r.conf.Linger = []string{"Authorization: Bearer hunter2"}, true, time.Minute
		b := r.origins['b']
		b.become(refuses)
		grant := session.Grant{Terms: &session.Terms{Pull: "rtmp://b/x/y"}}
		if err := r.Want(requestFor(path), grant); err != nil {
			t.Fatal(err)
		}
		r.within(3*time.Second, "it is given up", func() bool { return r.state(path).Status == Absent })
		if len(b.header) != 0 || b.trust {
			t.Errorf("it is told %v, trust %v", b.header, b.trust)
		}
		time.Sleep(2 * time.Second)
		b.become(sends)
		if err := r.Retry(path); err != nil {
			t.Fatal(err)
		}
		r.lives(time.Second, path, 'b')
		time.Sleep(45 * time.Second)
		if r.state(path).Status != Live {
			t.Error("the entry's linger does not hold")
		}
		p := r.mustPlay("live/own")
		r.lives(time.Second, "live/own", 'a')
		if a := r.origins['a']; a.header.Get("Authorization") != "Bearer hunter2" || !a.trust {
			t.Errorf("the entry's own source is told %v, trust %v", a.header, a.trust)
		}
		p.s.Leave()
	})
}

// TestRetryKeepsTheQuery: sources that want what the first player has sent get it again when somebody asks for another try.
func TestRetryKeepsTheQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}?{query}")
		r.origins['a'].become(refuses)
		p := r.mustPlay(path)
		r.within(3*time.Second, "it is given up", func() bool { return r.state(path).Status == Absent })
		p.s.Leave()
		time.Sleep(2 * time.Second)
		if err := r.Retry(path); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if want := "rtmp://a/live/x?key=k%20y"; !slices.Equal(r.urls, []string{want, want}) {
			t.Errorf("%q", r.urls)
		}
	})
}

// TestHops: a server is told through which others the stream goes, by the longest way; what it says of a circle, players are told.
func TestHops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}")
		a := r.origins['a']
		p, err := r.play(path, "one", "two")
		if err != nil {
			t.Fatal(err)
		}
		r.lives(time.Second, path, 'a')
		if !slices.Equal(a.hops, []string{"one", "two", hops.Entry("here", path)}) {
			t.Errorf("%q", a.hops)
		}
		again := func() {
			a.become(breaks)
			time.Sleep(500 * time.Millisecond)
			a.become(sends)
			r.lives(2*time.Second, path, 'a')
		}
		again() // the player is there
		if !slices.Equal(a.hops, []string{"one", "two", hops.Entry("here", path)}) {
			t.Errorf("%q", a.hops)
		}
		p.s.Leave()
		time.Sleep(time.Second)
		again() // it is not, and the stream lingers
		if !slices.Equal(a.hops, []string{hops.Entry("here", path)}) {
			t.Errorf("%q", a.hops)
		}
	})
}
