package pull

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestPlayerThatComesAtTheEnd: a pull goes on for a player that comes after it was decided that it ends for want of players, or after its sources
// have failed, and before it has stopped; without one it stops.
func TestPlayerThatComesAtTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		comes bool
	}{
		"unwatched": {errUnwatched, false}, "unwatched, one comes": {errUnwatched, true},
		"failed": {nil, false}, "failed, one comes": {nil, true},
		"removed, one comes": {errRemoved, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, "rtmp://a/{path}")
			p := r.add(path)
			p.running, p.closing, p.cancel, p.asked, p.failedAsked = true, c.err == errUnwatched, func(error) {}, 1, 1
			if c.comes {
				if err := p.want(nil); err != nil {
					t.Fatal(err)
				}
			}
			ctx := p.rest(c.err)
			if goes := c.comes && c.err != errRemoved; (ctx != nil) != goes || p.running != goes {
				t.Errorf("%s: it goes on: %v", name, ctx != nil)
			}
			if ctx != nil {
				if ctx.Err() != nil || p.closing {
					t.Errorf("%s: %v", name, context.Cause(ctx))
				}
				p.rest(errRemoved)
			}
		})
	}
}

// TestRemoveWhatIsFetchedAlways: once the API gives up a stream that it has had fetched on demand, it is fetched as the configuration says: always.
func TestRemoveWhatIsFetchedAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if _, err := r.Add(path, Plan{Sources: []string{"rtmp://b/x"}, OnDemand: true, Tuning: defaultTuning()}); err != nil {
			t.Fatal(err)
		}
		r.conf.Sources, r.conf.OnDemand, r.always = []string{"rtmp://a/{path}"}, false, []string{path}
		r.Apply()
		time.Sleep(time.Minute)
		if err := r.Remove(path); err != nil {
			t.Fatal(err)
		}
		r.lives(time.Second, path, 'a')
		if s := r.state(path); s.By != ByConfig || s.OnDemand {
			t.Errorf("%+v", s)
		}
	})
}

// TestAllSourcesAfterOneThatWasGood: when a source ends that was good for a while all others are tried before there is a wait, also those
// that had failed before it.
func TestAllSourcesAfterOneThatWasGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}", "rtmp://b/{path}")
		a, b := r.origins['a'], r.origins['b']
		a.become(breaks)
		p := r.mustPlay(path)
		r.lives(time.Second, path, 'b')
		time.Sleep(steady + 2*frameTime)
		a.become(sends)
		b.become(breaks)
		if took := r.lives(2*time.Second, path, 'a'); took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		p.s.Leave()
	})
}
