package pull

import (
	"context"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/session"
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

// TestLateSource: a source that is opened although it has taken too long is closed, and has failed.
func TestLateSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}", "rtmp://b/{path}")
		a := r.origins['a']
		a.become(late)
		p := r.mustPlay(path)
		r.lives(2*time.Minute, path, 'b')
		if opened, open := a.counts(); opened != 1 || open != 0 || r.fails[session.Timeout] != 1 {
			t.Errorf("opened %d times, %d are open, failures %v", opened, open, r.fails)
		}
		p.s.Leave()
	})
}

// TestWhatIsShown: a pull that is not live shows no session; how many there are of each status is told of all of them; and of the failures of
// sources the log tells the first after one was live.
func TestWhatIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}")
		r.conf.OnDemand, r.always = false, []string{path}
		r.Apply()
		r.lives(time.Second, path, 'a')
		if r.state(path).Session == "" {
			t.Error("it is live, and shows no session")
		}
		if _, err := r.Add("live/idle", Plan{Sources: []string{"rtmp://b/x"}, OnDemand: true, Tuning: defaultTuning()}); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		r.Count(func(status string, n int) { got[status] = n })
		if want := map[string]int{"idle": 1, "connecting": 0, "live": 1, "retrying": 0, "failed": 0, "absent": 0, "standby": 0}; !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		r.origins['a'].become(breaks)
		time.Sleep(20 * time.Second)
		if s := r.state(path); s.Session != "" || s.Tries < 5 {
			t.Errorf("%+v", s)
		}
		if n := strings.Count(r.log.String(), "a source has failed"); n != 1 || !strings.Contains(r.log.String(), "level=WARN msg=\"a source has failed\" stream=live/x source=rtmp://a/live/x reason=eof") {
			t.Errorf("it is told %d times:\n%s", n, r.log)
		}
	})
}

// TestSameSources: which changes of a plan interrupt what is fetched.
func TestSameSources(t *testing.T) {
	plan := func(change func(p *Plan)) *Plan {
		p := Plan{Sources: []string{"rtmp://a/x"}, By: ByConfig, Tuning: defaultTuning()}
		change(&p)
		return &p
	}
	for name, c := range map[string]struct {
		change func(p *Plan)
		same   bool
	}{
		"nothing": {func(*Plan) {}, true}, "linger": {func(p *Plan) { p.Linger++ }, true}, "on demand": {func(p *Plan) { p.OnDemand = true }, true}, "by": {func(p *Plan) { p.By = ByEdge }, true},
		"silence": {func(p *Plan) { p.Silence++ }, false}, "sources": {func(p *Plan) { p.Sources = append(p.Sources, "rtmp://b/x") }, false}, "private": {func(p *Plan) { p.Private = true }, false},
		"prefer": {func(p *Plan) { p.Prefer = preferFirst }, false}, "insecure": {func(p *Plan) { p.Insecure = true }, false}, "agent": {func(p *Plan) { p.UserAgent = "x" }, false}, "headers": {func(p *Plan) { p.Headers = []string{"A: b"} }, false},
	} {
		if got := plan(func(*Plan) {}).sameSources(plan(c.change)); got != c.same {
			t.Errorf("%s: %v", name, got)
		}
	}
}
