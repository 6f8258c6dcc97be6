package stream

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
)

// history writes down a hub's events, each with the second in which it came.
type history struct {
	mu   sync.Mutex
	list []Event
}

func (l *history) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, e)
}

func (l *history) count(k EventKind) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.list {
		if e.Kind == k {
			n++
		}
	}
	return n
}

func TestGraceIsForBrokenConnectionsAndGraceAfterStopForStops(t *testing.T) {
	kicked := errors.New("kicked")
	for _, c := range []struct {
		name      string
		cause     error
		grace     time.Duration // 0: the stream ends at once
		afterStop time.Duration // of the settings
	}{
		{"broken", nil, 15 * time.Second, 5 * time.Second},
		{"stopped", ErrUnpublished, 5 * time.Second, 5 * time.Second},
		{"stopped, no grace", ErrUnpublished, 0, 0},
		{"kicked", kicked, 0, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, with(func(s *Settings) { s.GraceAfterStop = c.afterStop }), func(t *testing.T, h *Hub) {
				p := publishTo(t, h, "live/a")
				s := p.Stream()
				p.Close(c.cause)
				if c.grace > 0 {
					elapse(c.grace - 1)
					if isOver(s) {
						t.Fatal("ended before", c.grace)
					}
					elapse(2)
					synctest.Wait()
				}
				if !isOver(s) {
					t.Fatal("it goes on")
				}
			})
		})
	}
}

func TestAPublisherThatReturnsWhenItsGraceExpiresIsNotEnded(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		for range 100 {
			p := publishTo(t, h, "live/a")
			p.Close(nil)
			elapse(15 * time.Second) // the timer runs now
			p = publishTo(t, h, "live/a")
			synctest.Wait()
			if err := p.Write(inter(40)); err != nil {
				t.Fatal(err)
			}
			p.Close(errors.New("kicked"))
		}
	})
}

func TestTheTimerOfAnEarlierGraceEndsNothing(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		publishTo(t, h, "live/a").Close(nil)
		p := publishTo(t, h, "live/a")
		p.Close(nil)
		p.Stream().expire(1)
		if isOver(p.Stream()) {
			t.Fatal("ended in its second grace")
		}
		publishTo(t, h, "live/a")
		p.Stream().expire(2)
		if isOver(p.Stream()) {
			t.Fatal("ended although its publisher is back")
		}
	})
}

func TestAStreamThatNeverStartedEndsWithoutAnEvent(t *testing.T) {
	var events history
	bubble(t, Options{Notify: events.add}, func(t *testing.T, h *Hub) {
		publish(t, h, nil).Close(errors.New("kicked"))
		if len(events.list) != 0 {
			t.Fatal(events.list)
		}
	})
}

func TestAFollowerThatIsBehindReadsOnWhenThePublisherIsGone(t *testing.T) {
	bubble(t, with(func(s *Settings) { s.MaxLag = time.Second }), func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg())
		f := follow(t, p.Stream(), FollowOptions{})
		gop(t, p, 0, 0)
		wantTimes(t, f, 0)
		gop(t, p, 40, 24)
		gop(t, p, 1040, 1)
		p.Close(nil)
		if e, err := f.Next(t.Context()); err != nil || e.DTS != ms(40) || f.Skips() != 0 {
			t.Fatal("it skips to a picture that is not live:", e.DTS, err)
		}
	})
}

// idler is a tape that notes when the stream has lost its publisher.
type idler struct{ tape }

func (i *idler) Idle() { i.mu.Lock(); i.lines = append(i.lines, "idle"); i.mu.Unlock() }

func TestWhoJoinsInTheGraceOfADeadPublisherWaitsForTheNewOne(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		s := p.Stream()
		early := follow(t, s, FollowOptions{})
		m := &idler{}
		s.Attach(m)
		write(t, p, vcfg(), keyFrame(0), inter(40))
		p.Close(nil)
		m.want(t, "flush vcfg0 vK0* v40 idle")
		wantTimes(t, early, 0, 40) // it was there when they were live
		late := follow(t, s, FollowOptions{})
		wantTimes(t, late)
		joined := attach(t, s)
		joined.want(t, "")
		elapse(time.Second)
		p = publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0))
		wantTimes(t, late, 1040)
		wantTimes(t, early, 1040, 1040) // the new configuration, too
		joined.want(t, "flush vcfg1040 vK1040*!")
	})
}

func TestBitrateIsRightFromTheFirstSecondAndFallsToZero(t *testing.T) {
	// 25 frames a second of 5000 bytes are 1 Mbit/s.
	const rate = 25 * 5000 * 8
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		near := func(s *Stream, after string) {
			t.Helper()
			if got := s.Stats().Bitrate; got < rate*9/10 || got > rate*11/10 {
				t.Errorf("%d bit/s %s, want %d", got, after, rate)
			}
		}
		for range 2 { // the second publisher's begins anew
			p := publish(t, h, nil)
			s := p.Stream()
			write(t, p, vcfg())
			for i := range 10 * 25 {
				f := keyFrame(i * 40)
				f.Payload = slices.Concat(idr, make([]byte, 5000-len(idr)))
				write(t, p, f)
				elapse(ms(40))
				if i >= 24 {
					near(s, (time.Duration(i+1) * ms(40)).String())
				}
			}
			elapse(ms(1500) - ms(40) - 1)
			if got := s.Stats().Bitrate; got == 0 || got > rate/2 {
				t.Error(got, "bit/s after 1.5 s of silence")
			}
			elapse(1)
			if got := s.Stats().Bitrate; got != 0 {
				t.Error(got, "bit/s of nothing")
			}
			p.Close(nil)
			if got := s.Stats(); got.Bitrate != 0 || got.Silent != 0 || got.Stalled {
				t.Errorf("without a publisher: %+v", got)
			}
		}
	})
}

func TestASilentPublisherIsStalledAndToldOfOnce(t *testing.T) {
	var events history
	bubble(t, Options{Notify: events.add}, func(t *testing.T, h *Hub) {
		p := publishTo(t, h, "live/a")
		s := p.Stream()
		want := func(stalled bool, silent time.Duration, told, back int) {
			t.Helper()
			synctest.Wait()
			st := s.Stats()
			if st.Stalled != stalled || st.Silent != silent || events.count(Stalled) != told || events.count(Unstalled) != back {
				t.Fatalf("stalled %t, silent %v, told %d and %d times; want %t, %v, %d, %d", st.Stalled, st.Silent,
					events.count(Stalled), events.count(Unstalled), stalled, silent, told, back)
			}
		}
		elapse(time.Second)
		write(t, p, inter(1000))
		elapse(ms(1500) - 1)
		want(false, ms(1500)-1, 0, 0)
		elapse(1)
		want(true, ms(1500), 0, 0)
		elapse(ms(3500) - 1)
		want(true, ms(5000)-1, 0, 0)
		elapse(1)
		want(true, ms(5000), 1, 0)
		elapse(time.Hour)
		want(true, ms(5000)+time.Hour, 1, 0)
		write(t, p, inter(2000))
		want(false, 0, 1, 1)
		elapse(ms(5000))
		want(true, ms(5000), 2, 1)
		p.Close(nil)
		elapse(10 * time.Second) // nobody is silent who is gone
		want(false, 0, 2, 1)
		publish(t, h, nil)
		elapse(ms(5000) - 1)
		want(true, ms(5000)-1, 2, 1) // it has sent nothing since it came
		elapse(1)
		want(true, ms(5000), 3, 1)
	})
}

func TestARepairIsToldOfOnceAPublisherAndCounted(t *testing.T) {
	var events history
	bubble(t, Options{Notify: events.add}, func(t *testing.T, h *Hub) {
		want := func(want ...Repair) {
			t.Helper()
			var got []Repair
			for _, e := range events.list {
				if e.Kind == Repaired {
					got = append(got, e.Repair)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("told of %v, want %v", got, want)
			}
		}
		p := publish(t, h, nil)
		lie := inter(90_000)
		lie.Flags = av.Key
		write(t, p, vcfg(), keyFrame(0), inter(400), inter(200), inter(300), inter(60_000), lie, acfg(), audio(0))
		want(Clamped, Jump, Mislabeled, Shifted)
		if st := p.Stream().Stats(); st.Clamped != 2 || st.Jumps != 2 || st.Mislabeled != 1 || st.Shifted != 1 {
			t.Fatalf("%+v", st)
		}
		p.Close(nil)
		p = publish(t, h, nil)
		write(t, p, vcfg(), inter(0), inter(40), keyFrame(80), inter(20))
		want(Clamped, Jump, Mislabeled, Shifted, Dropped, Clamped)
	})
	var words []string
	for r := Clamped; r <= Dropped; r++ {
		words = append(words, r.String())
	}
	if got := strings.Join(words, " "); got != "clamped jump shifted mislabeled dropped" {
		t.Fatal(got)
	}
}

func TestEventsKeepTheirOrderAlsoFromWithinNotify(t *testing.T) {
	var events history
	var h *Hub
	o := Options{Notify: func(e Event) {
		events.add(e)
		if e.Kind == Started { // what this causes comes after it, and waits for nobody
			h.Close(errors.New("over"))
		}
	}}
	synctest.Test(t, func(t *testing.T) {
		h = New(o)
		publishTo(t, h, "live/a")
	})
	if len(events.list) != 2 || events.list[0].Kind != Started || events.list[1].Kind != Ended {
		t.Fatal(events.list)
	}
}

// sound writes audio every 20 ms from one time up to before another.
func sound(t *testing.T, p *Publisher, from, to int) {
	t.Helper()
	for ; from < to; from += 20 {
		write(t, p, audio(from))
		elapse(ms(20))
	}
}

func TestSoundMayBeJoinedWhileThePictureStandsStill(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		s := p.Stream()
		write(t, p, vcfg(), acfg())
		for i := range 50 { // 2 s of both
			write(t, p, []*av.Frame{keyFrame(i * 40), inter(i * 40)}[min(i%25, 1)])
			sound(t, p, i*40, i*40+40)
		}
		sound(t, p, 2000, 4460)
		if e, err := follow(t, s, FollowOptions{}).Next(t.Context()); err != nil || !e.IsKey() || e.DTS != ms(1000) {
			t.Fatal("the picture has not been away for so long:", e, err)
		}
		watching := follow(t, s, FollowOptions{})
		times(t, watching)
		sound(t, p, 4460, 5000)
		late := follow(t, s, FollowOptions{})
		e, err := late.Next(t.Context())
		if err != nil || e.Kind != av.Audio || e.DTS != ms(4460) || !e.Headers.Has(av.Video) {
			t.Fatal("a new player does not get sound at once:", e, err)
		}
		times(t, late)
		times(t, watching)
		write(t, p, inter(5000), audio(5000), keyFrame(5040), inter(5080))
		wantTimes(t, watching, 5000, 5000, 5040, 5080)
		wantTimes(t, late, 5000, 5040, 5080) // it has no picture on which the first one could build
		if e, err := follow(t, s, FollowOptions{}).Next(t.Context()); err != nil || !e.IsKey() || e.Kind != av.Video {
			t.Fatal("who comes after the picture's return begins with it:", e, err)
		}
		if got := s.Stats().KeyInterval; got != time.Second {
			t.Fatal("the time without a picture counts as time between key frames:", got)
		}
	})
}

func TestAStreamWhoseAnnouncedVideoNeverComesCanBeHeard(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg(), acfg())
		sound(t, p, 0, 2500)
		f := follow(t, p.Stream(), FollowOptions{})
		wantTimes(t, f)
		write(t, p, audio(2500))
		wantTimes(t, f, 2500)
	})
}

func TestNoLull(t *testing.T) {
	marks := func(t *testing.T, s *Stream) (n int) {
		t.Helper()
		for i := s.list.first; i < s.list.next.Load(); i++ {
			if e := s.list.entry(i); e.Sync && e.Kind == av.Audio {
				n++
			}
		}
		return n
	}
	t.Run("a slide every 5 s", func(t *testing.T) {
		bubble(t, with(func(s *Settings) { s.Cache.Time, s.Cache.GOPs = time.Hour, 100 }), func(t *testing.T, h *Hub) {
			p := publish(t, h, nil)
			write(t, p, vcfg(), acfg(), keyFrame(0))
			sound(t, p, 0, 5000)
			before := marks(t, p.Stream()) // until it is known that they are so far apart
			for i := range 8 {
				write(t, p, inter(5000*i+5000))
				sound(t, p, 5000*i+5000, 5000*i+10_000)
			}
			if n := marks(t, p.Stream()) - before; n != 0 {
				t.Fatal("players may start without the picture at", n, "places")
			}
		})
	})
	t.Run("a connection that stood still", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, h *Hub) {
			p := publish(t, h, nil)
			write(t, p, vcfg(), acfg(), keyFrame(0), audio(0))
			elapse(8 * time.Second)
			sound(t, p, 8000, 8200)
			write(t, p, inter(8200))
			if n := marks(t, p.Stream()); n != 0 {
				t.Fatal("players may start without the picture at", n, "places")
			}
		})
	})
}

func TestATrackIsSilentWhileOthersGoOn(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publishTo(t, h, "live/a")
		s := p.Stream()
		want := func(video, audio bool) {
			t.Helper()
			if v, a := s.IsSilent(av.Video, 0), s.IsSilent(av.Audio, 0); v != video || a != audio {
				t.Fatalf("video is silent: %t, audio: %t; want %t, %t", v, a, video, audio)
			}
		}
		want(false, false)
		write(t, p, audio(1000), inter(1000))
		elapse(time.Hour) // the publisher is stalled, and no track alone is silent
		want(false, false)
		write(t, p, inter(2000))
		want(false, true)
		write(t, p, audio(2000))
		want(false, false)
		elapse(ms(1500) - 1)
		write(t, p, audio(3500))
		want(false, false)
		elapse(1)
		write(t, p, audio(3520))
		want(true, false)
		p.Close(nil)
		want(false, false)
		p = publish(t, h, nil)
		elapse(ms(1500))
		write(t, p, inter(0)) // the new publisher has no sound
		want(false, false)
	})
}
