package pull

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
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
		r.within(2*time.Second, "it has failed", func() bool { return r.state(path).Status == Failed })
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
