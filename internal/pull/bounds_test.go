package pull

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/reach"
	"weir/internal/session"
)

// TestHeads: the newest header of each track goes before the media, in the order in which they first came, and no more than 64.
func TestHeads(t *testing.T) {
	header := func(kind av.Kind, track uint8, text string) *av.Frame {
		return &av.Frame{Kind: kind, Track: track, Type: av.Config, Codec: av.H264, Payload: []byte(text)}
	}
	var h heads
	for _, f := range []*av.Frame{
		header(av.Video, 0, "old"), header(av.Video, 1, "second"), header(av.Audio, 0, "sound"), header(av.Video, 0, "new"),
		{Kind: av.Video, Type: av.Meta, Payload: []byte("meta")},
		{Kind: av.Video, Type: av.Media, Payload: []byte("media")},
	} {
		h.note(f)
	}
	var got []string
	for _, f := range h.frames {
		got = append(got, string(f.Payload))
	}
	if want := []string{"new", "second", "sound", "meta"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for i := range 100 {
		h.note(header(av.Audio, uint8(i), "more"))
	}
	if len(h.frames) != 64 {
		t.Errorf("%d are kept", len(h.frames))
	}
}

// TestPullsAreBounded: of ten thousand the one that has rested for the longest time gives way to another one; none does that works, or that
// the API has made.
func TestPullsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}")
		for i := range 10000 {
			switch i {
			case 5000, 5001: // of those that rest these are the oldest
				time.Sleep(time.Second)
			}
			p := &pull{m: r.Manager, path: fmt.Sprint("live/", i), running: i < 3000}
			p.state.Since, p.plan.By = time.Now(), ByConfig
			if i < 5000 {
				p.plan.By = ByAPI
			}
			r.pulls[p.path] = p
		}
		added := r.add("live/new")
		if added == nil || r.pulls["live/new"] != added || r.pulls["live/5000"] != nil || len(r.pulls) != 10000 {
			t.Fatalf("%d pulls", len(r.pulls))
		}
		for _, p := range r.pulls {
			p.running = true
		}
		if r.add("live/newer") != nil || len(r.pulls) != 10000 {
			t.Errorf("%d pulls", len(r.pulls))
		}
		clear(r.pulls)
	})
}

// TestForget: what rests is remembered for ten minutes, and with it the source that was good; what the API has made stays.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "rtmp://a/{path}")
		r.origins['a'].become(refuses)
		p := r.mustPlay(path)
		r.within(2*time.Second, "it is given up", func() bool { return r.state(path).Status == Absent })
		p.s.Leave()
		if _, err := r.Add("live/api", Plan{Sources: []string{"rtmp://a/x"}, OnDemand: true, Tuning: defaultTuning()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Minute - time.Second)
		r.forget()
		if len(r.List()) != 2 {
			t.Errorf("%+v", r.List())
		}
		time.Sleep(2 * time.Second)
		r.forget()
		if list := r.List(); len(list) != 1 || list[0].Path != "live/api" {
			t.Errorf("%+v", list)
		}
	})
}

// TestPullsOfTheAPIAreBounded: a thousand may be made.
func TestPullsOfTheAPIAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		plan := Plan{Sources: []string{"rtmp://a/x"}, OnDemand: true, Tuning: defaultTuning()}
		for i := range 1000 {
			if _, err := r.Add(fmt.Sprint("live/", i), plan); err != nil {
				t.Fatal(i, err)
			}
		}
		if _, err := r.Add("live/more", plan); !errors.Is(err, ErrTooMany) || len(r.List()) != 1000 {
			t.Error(err, len(r.List()))
		}
	})
}

// TestC436_WhoNamedTheSource: a source at an address that is not everybody's is connected to if the operator has named it, and else only if
// the operator allows that.
func TestC436_WhoNamedTheSource(t *testing.T) {
	for _, by := range []string{ByConfig, ByEdge, ByAPI, ByHook} {
		for _, allowed := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.conf.Private = allowed
				grant := session.Grant{}
				switch by {
				case ByConfig:
					r.conf.Sources = []string{"rtmp://a/{path}"}
				case ByEdge:
					r.edge.Origin = "rtmp://a"
				case ByAPI:
					if _, err := r.Add(path, Plan{Sources: []string{"rtmp://a/x"}, OnDemand: true, Tuning: defaultTuning()}); err != nil {
						t.Fatal(err)
					}
				case ByHook:
					grant.Terms = &session.Terms{Pull: "rtmp://a/x/y"}
				}
				if err := r.Want(requestFor(path), grant); err != nil {
					t.Fatal(err)
				}
				r.lives(time.Second, path, 'a')
				if s := r.state(path); s.By != by {
					t.Errorf("made by %s, not by %s", s.By, by)
				}
				own := by == ByConfig || by == ByEdge
				if err := r.origins['a'].let; (err == nil) != (own || allowed) || err != nil && !errors.Is(err, reach.ErrPrivate) {
					t.Errorf("named by %s, allowed %v: %v", by, allowed, err)
				}
			})
		}
	}
}

// TestBitrateOfSources: a source that sends more than a publisher may has failed.
func TestBitrateOfSources(t *testing.T) {
	for limit, good := range map[int64]bool{0: true, 1601: true, 1000: false} { // it sends 4 bytes every 20 ms
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, "rtmp://a/{path}")
			r.opt.Bitrate = func() int64 { return limit }
			p := r.mustPlay(path)
			r.lives(time.Second, path, 'a')
			time.Sleep(6 * time.Second)
			r.mu.Lock()
			if n := r.fails[session.Limit]; (n == 0) != good || n == 0 && len(r.fails) > 0 {
				t.Errorf("at most %d bit/s: %v", limit, r.fails)
			}
			r.mu.Unlock()
			p.s.Leave()
		})
	}
}
