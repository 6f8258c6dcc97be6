package stream

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
)

func TestBeginsAtZeroWithHeadersAtTheFirstFramesTime(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), acfg(), keyFrame(5000), audio(5010), inter(5040))
		m.want(t, "flush vcfg0 acfg0 vK0* a10 v40")
		late := attach(t, p.Stream())
		late.want(t, "vK0* a10 v40")
		if got := len(p.Stream().Headers().Tracks); got != 2 {
			t.Fatal(got, "tracks")
		}
	})
}

func TestC192_FirstTimestampIsHuge(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), keyFrame(3_000_000_000), inter(3_000_000_040))
		m.want(t, "flush vcfg0 vK0* v40")
	})
}

func TestC160_IdenticalHeaderAgain(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), keyFrame(0), inter(40), vcfg(), keyFrame(80))
		m.want(t, "flush vcfg0 vK0* v40 vK80*")
	})
}

func TestC161_ChangedHeaderFlushesAndRaisesTheVersion(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), acfg(), keyFrame(0), audio(10))
		before := p.Stream().Headers()
		c := vcfg()
		c.Payload = append([]byte{}, avcConfig...)
		c.Payload[len(c.Payload)-1]++ // another picture parameter set
		c.DTS = ms(40)
		write(t, p, c, keyFrame(40))
		after := p.Stream().Headers()
		m.want(t, "flush vcfg0 acfg0 vK0* a10 flush vcfg40 vK40*")
		if after.Tracks[0].Version <= before.Tracks[0].Version || after.Tracks[1].Version != before.Tracks[1].Version {
			t.Fatal("versions", before.Tracks, after.Tracks)
		}
	})
}

func TestC158_AudioOnlyMayBeJoinedOnceASecond(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, acfg(), audio(0), audio(500), audio(999), audio(1000), audio(1500))
		m.want(t, "flush acfg0 a0* a500 a999 a1000* a1500")
	})
}

func TestC159_LateTracks(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), keyFrame(0))
		elapse(20 * time.Second)
		a := acfg()
		a.DTS = ms(20000)
		write(t, p, inter(20000), a, audio(20010), keyFrame(20040))
		m.want(t, "flush vcfg0 vK0* v20000 acfg20000 a20010 vK20040*")
	})
}

func TestAudioThenVideoFlipsToKeyFrames(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, acfg(), audio(0), audio(1000))
		v := vcfg()
		v.DTS = ms(2000)
		write(t, p, v, keyFrame(2000), audio(2010), audio(3500))
		m.want(t, "flush acfg0 a0* a1000* vcfg2000 vK2000* a2010 a3500")
	})
}

func TestTimelineRepairs(t *testing.T) {
	for _, c := range []struct {
		name, want string
		frames     []*av.Frame
	}{
		{"C-189 jitter and equal", "flush vcfg0 vK0* v400 v400 v400 v440", []*av.Frame{keyFrame(0), inter(400), inter(200), inter(400), inter(440)}},
		{"C-188 jump forward", "flush vcfg0 vK0* v40 v80! v120", []*av.Frame{keyFrame(0), inter(40), inter(3600040), inter(3600080)}},
		{"C-188 jump back", "flush vcfg0 vK0* v40 v80! v120", []*av.Frame{keyFrame(3600000), inter(3600040), inter(0), inter(40)}},
		{"C-186 31-bit wrap", "flush vcfg0 vK0* v33 v66! v99", []*av.Frame{keyFrame(0x7fffffd0), inter(0x7ffffff1), inter(0), inter(33)}},
		{"jump with both tracks keeps their offset", "flush vcfg0 acfg0 vK0* a10 v40 a50 v80! a90 a100 v120 a130", []*av.Frame{
			acfg(), keyFrame(0), audio(10), inter(40), audio(50), inter(7000000), audio(90), audio(7000020), inter(7000040), audio(7000050),
		}},
		{"C-191 all zero", "flush vcfg0 vK0* v0 v0", []*av.Frame{keyFrame(0), inter(0), inter(0)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, h *Hub) {
				p := publish(t, h, nil)
				m := attach(t, p.Stream())
				write(t, p, vcfg())
				write(t, p, c.frames...)
				m.want(t, c.want)
			})
		})
	}
}

func TestARealGapIsNoJump(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), keyFrame(0))
		elapse(60 * time.Second)
		write(t, p, keyFrame(60000))
		m.want(t, "flush vcfg0 vK0* vK60000*")
	})
}

func TestC181_CacheBoundsDropTheStart(t *testing.T) {
	set := Default()
	set.Cache.Frames = 5
	var events eventLog
	o := Options{Settings: func(string) Settings { return set }, Notify: events.add}
	bubble(t, o, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0))
		for i := range 20 {
			write(t, p, inter(40+40*i))
		}
		m := attach(t, p.Stream())
		m.want(t, "")
		write(t, p, keyFrame(1000))
		m.want(t, "vK1000*")
		if fmt.Sprint(events.list()) != fmt.Sprint([]EventKind{Started, NoKeyFrames}) {
			t.Fatal(events.list())
		}
	})
}

func TestC180_MislabeledKeyFramesAreCorrected(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		wrong, lie := keyFrame(0), inter(40)
		wrong.Flags = 0
		lie.Flags = av.Key
		write(t, p, vcfg(), wrong, lie)
		m.want(t, "flush vcfg0 vK0* v40")
		if got := p.Stream().Stats().Mislabeled; got != 2 {
			t.Fatal(got)
		}
	})
}

func TestReaderThatFallsBehindSkipsToAKeyFrame(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		r := p.Stream().Follow(FollowOptions{})
		defer r.Close()
		write(t, p, vcfg(), keyFrame(0))
		if _, err := r.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			elapse(time.Second)
			write(t, p, inter(1000*i+1000))
		}
		write(t, p, keyFrame(20040), inter(20080))
		e, err := r.Next(t.Context())
		if err != nil || !e.IsKey() || e.DTS != ms(20040) || r.Skips() != 1 {
			t.Fatal(e, err, r.Skips())
		}
	})
}

func TestReaderWaitsAndIsWoken(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		r := p.Stream().Follow(FollowOptions{})
		got := make(chan time.Duration, 4)
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				e, err := r.Next(t.Context())
				if err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
				got <- e.DTS
			}
		})
		write(t, p, vcfg(), inter(0), keyFrame(40), inter(80))
		synctest.Wait()
		r.Close()
		wg.Wait()
		if len(got) != 2 || <-got != ms(40) {
			t.Fatal("frames before the first key frame were read")
		}
	})
}

func TestSettled(t *testing.T) {
	done := func(s *Stream) bool {
		synctest.Wait()
		select {
		case <-s.Settled():
			return true
		default:
			return false
		}
	}
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0))
		if done(p.Stream()) {
			t.Fatal("settled with video only at once")
		}
		elapse(time.Second)
		if !done(p.Stream()) {
			t.Fatal("not settled after a second")
		}
	})
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		p.Expect(true, false)
		write(t, p, vcfg(), keyFrame(0))
		if !done(p.Stream()) {
			t.Fatal("waits for audio that the metadata says is not there")
		}
	})
}

func TestLimits(t *testing.T) {
	set := Default()
	set.MaxPlayers = 1
	bubble(t, Options{Limits: Limits{Streams: 1}, Settings: func(string) Settings { return set }}, func(t *testing.T, h *Hub) {
		s, err := h.Play("live/a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Play("live/a"); !errors.Is(err, ErrTooManyPlayers) {
			t.Fatal(err)
		}
		s.Leave()
		if h.Len() != 0 {
			t.Fatal(h.Len())
		}
	})
}

// TestKeyInterval: the longest time between key frames is that of the present publisher.
func TestKeyInterval(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		is := func(s *Stream, want time.Duration) {
			t.Helper()
			if got := s.Stats().KeyInterval; got != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
		p := publish(t, h, nil)
		s := p.Stream()
		write(t, p, vcfg(), keyFrame(0), inter(40))
		is(s, 0)
		write(t, p, keyFrame(1000), inter(1040), keyFrame(4000), keyFrame(4500))
		is(s, ms(3000))
		p.Close(nil)
		p = publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0))
		is(s, 0)
		write(t, p, keyFrame(2000))
		is(s, ms(2000))
	})
}
