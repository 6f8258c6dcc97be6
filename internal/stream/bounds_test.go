package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
)

// Each bound of settings.go and list.go: what it lets through, and that one more is one too many.

func TestBoundOfTracks(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		for id := range uint8(17) {
			f := audio(int(id))
			f.Track = id
			f.Codec = av.MP3
			write(t, p, f)
		}
		if n, st := len(p.Stream().Headers().Tracks), p.Stream().Stats(); n != 16 || st.Dropped != 1 {
			t.Fatalf("%d tracks, %d frames dropped", n, st.Dropped)
		}
	})
}

func TestBoundOfAnnouncedConfigurations(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		for id := range uint8(200) {
			v, a, m := vcfg(), acfg(), &av.Frame{Kind: av.Video, Type: av.Meta, Track: id}
			v.Track, a.Track = id, id
			write(t, p, v, a, m)
		}
		if len(p.configs) != 32 || len(p.metas) != 16 {
			t.Fatal(len(p.configs), len(p.metas))
		}
		write(t, p, keyFrame(0))
		if n := len(p.Stream().Headers().Tracks); n != 32 {
			t.Fatal(n, "tracks")
		}
	})
}

func TestBoundOfMetadata(t *testing.T) {
	meta := func(n int) *av.Frame {
		return &av.Frame{Kind: av.Data, Type: av.Meta, Payload: make([]byte, n)}
	}
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publishTo(t, h, "live/a")
		elapse(time.Second)
		write(t, p, meta(64<<10))
		if n := len(p.Stream().Headers().Metadata); n != 64<<10 {
			t.Fatal(n, "bytes of metadata of 64 KB")
		}
		elapse(time.Second)
		write(t, p, meta(64<<10+1))
		if n, d := len(p.Stream().Headers().Metadata), p.Stream().Stats().Dropped; n != 64<<10 || d != 1 {
			t.Fatal("metadata of more than 64 KB is taken:", n, d)
		}
	})
}

func TestBoundOfAnnouncedMetadata(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, &av.Frame{Kind: av.Data, Type: av.Meta, Payload: make([]byte, 64<<10+1)}, vcfg(), keyFrame(0))
		if n := len(p.Stream().Headers().Metadata); n != 0 {
			t.Fatal("metadata of more than 64 KB is taken:", n)
		}
	})
}

func TestMetadataIsPassedOnTenTimesASecondAtMost(t *testing.T) {
	meta := func(b byte) *av.Frame { return &av.Frame{Kind: av.Data, Type: av.Meta, Payload: []byte{b}} }
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publishTo(t, h, "live/a")
		is := func(want byte) {
			t.Helper()
			if got := p.Stream().Headers().Metadata; len(got) != 1 || got[0] != want {
				t.Fatal(got, "is not", want)
			}
		}
		elapse(ms(100))
		write(t, p, meta(1))
		is(1)
		elapse(ms(100) - 1)
		write(t, p, meta(2))
		is(1)
		elapse(1)
		is(2)
	})
}

func TestBoundsOfTheCache(t *testing.T) {
	// What is kept after a key frame of 6 bytes and then frames of 6 bytes, 40 ms apart.
	for _, c := range []struct {
		name  string
		set   func(*Cache)
		holds int // frames until the start is given up
	}{
		{"frames", func(c *Cache) { c.Frames = 5 }, 5},
		{"bytes", func(c *Cache) { c.Bytes = 30 }, 5},
		{"a byte less", func(c *Cache) { c.Bytes = 29 }, 4},
		{"time", func(c *Cache) { c.Time = ms(160) }, 5},
		{"a little less time", func(c *Cache) { c.Time = ms(160) - 1 }, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, with(func(s *Settings) { c.set(&s.Cache) }), func(t *testing.T, h *Hub) {
				p := publish(t, h, nil)
				write(t, p, vcfg(), keyFrame(0))
				for i := 1; i <= c.holds; i++ {
					if _, ok := p.Stream().list.oldest(); !ok {
						t.Fatalf("given up with frame %d, not %d", i, c.holds+1)
					}
					elapse(ms(40))
					write(t, p, inter(40*i))
				}
				if _, ok := p.Stream().list.oldest(); ok {
					t.Fatalf("kept with frame %d", c.holds+1)
				}
			})
		})
	}
	t.Run("groups of pictures", func(t *testing.T) {
		bubble(t, with(func(s *Settings) { s.Cache.GOPs = 2 }), func(t *testing.T, h *Hub) {
			p := publish(t, h, nil)
			write(t, p, vcfg(), keyFrame(0), keyFrame(40))
			attach(t, p.Stream()).want(t, "vK0* vK40*")
			write(t, p, keyFrame(80))
			attach(t, p.Stream()).want(t, "vK40* vK80*")
		})
	})
}

func TestBoundsOfWhatIsKeptForFollowers(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame []byte
		holds int // frames, a multiple of 32
	}{
		{"frames", nil, 16384},
		{"bytes", make([]byte, 256<<10), 256},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l list
			l.init(Cache{}, time.Hour)
			l.pin(0)
			for range c.holds {
				l.append(&Entry{Frame: av.Frame{Payload: c.frame}})
			}
			if l.entry(0) == nil {
				t.Fatalf("not kept for %d frames", c.holds)
			}
			l.append(&Entry{Frame: av.Frame{Payload: []byte{1}}})
			if l.entry(0) != nil {
				t.Fatalf("kept for %d frames", c.holds+1)
			}
		})
	}
}

func TestFightsAreBounded(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publishTo(t, h, "live/a")
		// for keeps the publisher there is from being silent.
		wait := func(d time.Duration) {
			for ; d > 0; d -= time.Second {
				elapse(min(d, time.Second))
				write(t, p, inter(0))
			}
		}
		takeOver := func() { p = publishTo(t, h, "live/a") }
		refused := func() {
			t.Helper()
			if _, err := h.Publish("live/a", Info{}); !errors.Is(err, ErrFighting) {
				t.Fatal(err)
			}
		}
		takeOver()
		wait(10 * time.Second)
		takeOver()
		takeOver()
		wait(20*time.Second - 1)
		refused()              // three in 30 s, less a nanosecond
		wait(30 * time.Second) // which it stays for
		takeOver()             // and then they are forgotten
		takeOver()             // 2
		takeOver()             // 3
		wait(30 * time.Second) // the first is 30 s ago
		takeOver()             // so that this is the first again
		wait(time.Second)      //
		takeOver()
		takeOver()
		refused()
		wait(30*time.Second - 1)
		refused()
	})
}

func TestASilentPublisherGivesWay(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publishTo(t, h, "live/a")
		for range 3 {
			p = publishTo(t, h, "live/a")
		}
		elapse(2*time.Second - 1)
		if _, err := h.Publish("live/a", Info{}); !errors.Is(err, ErrFighting) {
			t.Fatal(err)
		}
		elapse(1)
		publishTo(t, h, "live/a")
		if err := p.Write(inter(0)); !errors.Is(err, ErrTakenOver) {
			t.Fatal(err)
		}
	})
}

func TestHandoverWaitsTwoSecondsForAKeyFrame(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		old := publish(t, h, cancel)
		write(t, old, vcfg(), keyFrame(0))
		next := publish(t, h, nil)
		elapse(2*time.Second - 1)
		write(t, next, vcfg(), inter(0))
		write(t, old, inter(1999))
		elapse(1)
		synctest.Wait()
		if !errors.Is(context.Cause(ctx), ErrTakenOver) {
			t.Fatal("the old one stays")
		}
	})
}

func TestVideoWithoutAKeyFrameIsHeldBackForTenSeconds(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		publishTo(t, h, "live/a").Close(nil)
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), inter(0))
		elapse(10*time.Second - 1)
		write(t, p, inter(9999))
		if d := p.Stream().Stats().Dropped; d != 2 {
			t.Fatal(d, "frames left out")
		}
		m.want(t, "flush vcfg33")
		elapse(1)
		write(t, p, inter(10_000))
		m.want(t, "v10000!")
	})
}

func TestSettledAfterASecond(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publishTo(t, h, "live/a")
		settled := func() bool {
			synctest.Wait()
			select {
			case <-p.Stream().Settled():
				return true
			default:
				return false
			}
		}
		elapse(time.Second - 1)
		if settled() {
			t.Fatal("within the second")
		}
		elapse(1)
		if !settled() {
			t.Fatal("not after it")
		}
	})
}

func TestGroupsOfFollowersAreBounded(t *testing.T) {
	h := New(Options{})
	defer h.Close(errors.New("over"))
	s := publishTo(t, h, "live/a").Stream()
	var list []*Follower
	sizes := func() string {
		var n []int
		for _, g := range *s.bell.groups.Load() {
			n = append(n, g.members)
		}
		return fmt.Sprint(n)
	}
	for range 64 {
		list = append(list, s.Follow(FollowOptions{}))
	}
	if got := sizes(); got != "[64]" {
		t.Fatal(got)
	}
	list = append(list, s.Follow(FollowOptions{}))
	if got := sizes(); got != "[64 1]" {
		t.Fatal(got)
	}
	list[0].Close()
	list[0].Close() // again
	list = append(list, s.Follow(FollowOptions{}))
	if got := sizes(); got != "[64 1]" {
		t.Fatal("a place that is free is not taken:", got)
	}
	for _, f := range slices.Backward(list) {
		f.Close()
	}
	if got := sizes(); got != "[]" {
		t.Fatal(got)
	}
}

// TestTracksBeyondTheBoundBeforeTheFirstMedia: what is said of them is dropped, and costs the other
// tracks nothing.
func TestTracksBeyondTheBoundBeforeTheFirstMedia(t *testing.T) {
	beyond := func(f *av.Frame) *av.Frame { f.Track = 16; return f }
	for _, c := range []struct {
		name            string
		takeOver, media bool
		want            string
	}{
		{"announced", false, false, "flush vcfg0 vK0*"},
		{"announced by one that takes over", true, false, "flush vcfg33 vK33*!"},
		{"media", false, true, "flush vcfg0 vK0*"},
		{"media of one that takes over", true, true, "flush vcfg33 vK33*!"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, h *Hub) {
				if c.takeOver {
					publishTo(t, h, "live/a")
				}
				p := publish(t, h, nil)
				m := attach(t, p.Stream())
				m.lines = nil
				write(t, p, beyond(vcfg()), beyond(&av.Frame{Kind: av.Video, Type: av.Meta}), vcfg())
				if c.media {
					write(t, p, beyond(keyFrame(0)))
				}
				write(t, p, keyFrame(0))
				m.want(t, c.want)
				if n := len(p.Stream().Headers().Tracks); n != 1 {
					t.Fatal(n, "tracks")
				}
			})
		})
	}
}

// TestBoundOfGaps: a second between two frames is no gap, and a nanosecond more is one.
func TestBoundOfGaps(t *testing.T) {
	for step, gaps := range map[time.Duration]int64{time.Second: 0, time.Second + 1: 1} {
		var f figures
		h := &TrackHeader{Track: av.Track{Kind: av.Video}}
		f.count(&av.Frame{Kind: av.Video, DTS: ms(40), PTS: ms(40)}, h)
		f.count(&av.Frame{Kind: av.Video, DTS: ms(40) + step, PTS: ms(40) + step}, h)
		if f.Gaps != gaps || gaps > 0 && f.LastGap != step {
			t.Errorf("%v: %d gaps, the last of %v", step, f.Gaps, f.LastGap)
		}
	}
}

// TestBoundsOfALull: of a pause within sound half a second counts, and there is a lull after 2.5 s of sound, or four times the time between pictures.
func TestBoundsOfALull(t *testing.T) {
	for _, c := range []struct{ apart, pause, counts, needs time.Duration }{
		{ms(40), ms(500), ms(500), ms(2500)},
		{ms(40), ms(500) + 1, ms(500), ms(2500)},
		{ms(40), time.Hour, ms(500), ms(2500)},
		{ms(1000), ms(250), ms(250), ms(4000)},
	} {
		var l lull
		l.sawPicture(0)
		l.sawPicture(c.apart)
		at, lasted := c.apart, time.Duration(0)
		l.heardSound(at)
		for lasted < c.needs {
			at, lasted = at+c.pause, lasted+c.counts
			if got := l.heardSound(at); got != (lasted >= c.needs) || l.lasted != lasted {
				t.Fatalf("pictures every %v, sound every %v: after %v of %v a lull: %v", c.apart, c.pause, l.lasted, lasted, got)
			}
		}
	}
}

// TestBoundOfMissingConfigurations: a second after the first frame that nothing can use it is told, once.
func TestBoundOfMissingConfigurations(t *testing.T) {
	tr := track{header: TrackHeader{Unusable: errors.New("no configuration")}}
	for _, c := range []struct {
		at   time.Duration
		want bool
	}{{ms(100), false}, {ms(1100) - 1, false}, {ms(1100), true}, {time.Hour, false}} {
		if got := tr.complains(c.at); got != c.want {
			t.Errorf("at %v: %v", c.at, got)
		}
	}
}

// TestBoundsOfTheMeter: what comes within the first half second counts as if it had taken that long, and what is two seconds old does not count.
func TestBoundsOfTheMeter(t *testing.T) {
	var m meter
	m.begin(0)
	m.add(0, 1000)
	for _, c := range []struct {
		at   time.Duration
		want int64
	}{{0, 16_000}, {ms(500), 16_000}, {ms(800), 10_000}, {ms(2000) - 1, 4000}, {ms(2000), 0}} {
		if got := m.rate(c.at); got != c.want {
			t.Errorf("at %v: %d", c.at, got)
		}
	}
}

// TestBoundOfStartsInSound: in a stream of sound alone players may start once a second.
func TestBoundOfStartsInSound(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, acfg(), audio(0), audio(999), audio(1000), audio(1999), audio(2000))
		m.want(t, "flush acfg0 a0* a999 a1000* a1999 a2000*")
	})
}
