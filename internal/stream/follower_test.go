package stream

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
)

// with returns options whose streams all have these settings.
func with(change func(*Settings)) Options {
	set := Default()
	change(&set)
	return Options{Settings: func(string) Settings { return set }}
}

func follow(t *testing.T, s *Stream, o FollowOptions) *Follower {
	t.Helper()
	f := s.Follow(o)
	t.Cleanup(f.Close)
	return f
}

// times reads what there is for f now, and returns the times in milliseconds.
func times(t *testing.T, f *Follower) (list []int64) {
	t.Helper()
	over, stop := context.WithCancel(t.Context())
	stop()
	for {
		e, err := f.Next(over)
		if errors.Is(err, context.Canceled) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e.DTS.Milliseconds())
	}
}

func wantTimes(t *testing.T, f *Follower, want ...int64) {
	t.Helper()
	got := times(t, f)
	if len(got) != len(want) {
		t.Fatalf("read %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("read %v, want %v", got, want)
		}
	}
}

// gop writes a key frame and n more, 40 ms apart, as a publisher does: by the clock.
func gop(t *testing.T, p *Publisher, at, n int) {
	t.Helper()
	write(t, p, keyFrame(at))
	for i := range n {
		elapse(ms(40))
		write(t, p, inter(at+40+40*i))
	}
	elapse(ms(40))
}

func TestFollowerBeginsAtTheOldestStartOrAtTheNext(t *testing.T) {
	bubble(t, with(func(s *Settings) { s.Cache.GOPs = 2 }), func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0), inter(40), keyFrame(80), keyFrame(120), inter(160))
		cached := follow(t, p.Stream(), FollowOptions{})
		next := follow(t, p.Stream(), FollowOptions{From: FromNext})
		wantTimes(t, cached, 80, 120, 160)
		wantTimes(t, next)
		write(t, p, inter(200), keyFrame(240), inter(280))
		wantTimes(t, cached, 200, 240, 280)
		wantTimes(t, next, 240, 280)
	})
}

func TestFollowersReadEveryFrameInOrderAcrossBlocks(t *testing.T) {
	const frames, followers = 10 * blockSize, 3 * groupSize / 2
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0))
		var wg sync.WaitGroup
		for i := range followers {
			f := p.Stream().Follow(FollowOptions{})
			wg.Go(func() {
				defer f.Close()
				for want := range int64(frames) {
					e, err := f.Next(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					if e.DTS.Milliseconds() != want {
						t.Errorf("follower %d: frame %v, want %d", i, e.DTS, want)
						return
					}
				}
			})
		}
		for i := 1; i < frames; i++ {
			if i%7 == 0 {
				synctest.Wait() // all have read so far, and wait
			}
			write(t, p, inter(i))
		}
		wg.Wait()
		if st := p.Stream().Stats(); st.Frames[av.Video] != frames {
			t.Fatal(st.Frames)
		}
	})
}

func TestFollowerKeepsAsManyFramesAsMaxLagAndNoMore(t *testing.T) {
	for _, c := range []struct {
		name    string
		written time.Duration // after what it read
		skips   int
	}{
		{"at MaxLag", 8 * time.Second, 0},
		{"beyond MaxLag", 8*time.Second + ms(40), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, h *Hub) {
				p := publish(t, h, nil)
				write(t, p, vcfg())
				f := follow(t, p.Stream(), FollowOptions{})
				gop(t, p, 0, 0)
				wantTimes(t, f, 0)
				n := int(c.written / ms(40))
				gop(t, p, 40, n-1)
				write(t, p, keyFrame(40+40*n)) // arrives as long after the first unread as it says
				e, err := f.Next(t.Context())
				if err != nil || f.Skips() != c.skips {
					t.Fatal(err, f.Skips())
				}
				if want := map[int]int64{0: 40, 1: int64(40 + 40*n)}[c.skips]; e.DTS.Milliseconds() != want {
					t.Fatalf("read %v, want %d ms", e.DTS, want)
				}
				if st := f.Stats(); st.Missed != int64(c.skips*n) {
					t.Fatalf("missed %d frames of %d", st.Missed, n)
				}
			})
		})
	}
}

func TestSlowFollowerHoldsNoMemoryBeyondMaxLag(t *testing.T) {
	bubble(t, with(func(s *Settings) { s.MaxLag = time.Second; s.Cache.GOPs = 0 }), func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg())
		l := &p.Stream().list
		follow(t, p.Stream(), FollowOptions{}) // never reads
		kept := func() time.Duration { return time.Duration(l.next.Load()-l.first) * ms(40) }
		gop(t, p, 0, 24)
		gop(t, p, 1000, 0)
		if kept() < time.Second {
			t.Fatalf("only %v are kept for it", kept())
		}
		for i := range 100 {
			gop(t, p, 1040+1000*i, 24)
			if kept() > time.Second+2*blockSize*ms(40) {
				t.Fatalf("%v are kept after %d s", kept(), i)
			}
		}
		if kept() > blockSize*ms(40) {
			t.Fatalf("%v are kept for one that is lost", kept())
		}
	})
}

func TestWhatIsKeptMovesWithAFollower(t *testing.T) {
	bubble(t, with(func(s *Settings) { s.Cache.GOPs = 0 }), func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		f := follow(t, p.Stream(), FollowOptions{})
		l := &p.Stream().list
		write(t, p, vcfg(), keyFrame(0))
		for i := range 4 * blockSize { // it reads at once: nothing is kept behind it
			write(t, p, inter(40*i+40))
			wantTimes(t, f, append([]int64{0}[min(i, 1):], int64(40*i+40))...)
		}
		if kept := l.next.Load() - l.first; kept > blockSize+1 {
			t.Fatal(kept, "frames are kept")
		}
		for i := range 4 * blockSize { // it does not read: all from its place on is
			write(t, p, inter(40*(i+4*blockSize)+40))
		}
		if got := len(times(t, f)); got != 4*blockSize || f.Skips() != 0 {
			t.Fatal(got, "frames were kept for it")
		}
	})
}

func TestNoGoroutineStaysWithoutFollowers(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		s := publishTo(t, h, "live/a").Stream()
		for range 2 {
			a, b := s.Follow(FollowOptions{}), s.Follow(FollowOptions{})
			a.Close()
			synctest.Wait()
			if !s.bell.running {
				t.Fatal("nobody wakes the one that is left")
			}
			b.Close()
			synctest.Wait()
			if s.bell.running {
				t.Fatal("it goes on")
			}
		}
	})
}

func TestFollowerThatHoldsAFrameDoesNotHoldThoseAfterIt(t *testing.T) {
	h := New(Options{})
	defer h.Close(nil)
	p := publish(t, h, nil)
	f := follow(t, p.Stream(), FollowOptions{})
	write(t, p, vcfg(), keyFrame(0))
	first, err := f.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	func() {
		big := inter(40)
		big.Payload = append(make([]byte, 0, 1<<16), slice...)
		runtime.AddCleanup(&big.Payload[0], func(c chan struct{}) { close(c) }, gone)
		write(t, p, big)
	}()
	f.Close()
	for i := range 4 * blockSize {
		write(t, p, keyFrame(80+40*i))
	}
	deadline := time.After(20 * time.Second)
	for {
		runtime.GC()
		select {
		case <-gone:
			runtime.KeepAlive(&first)
			return
		case <-deadline:
			t.Fatal("a frame that nobody needs is still there")
		default:
		}
	}
}

func TestStrictFollowerIsToldThatItMissedFrames(t *testing.T) {
	bubble(t, with(func(s *Settings) { s.MaxLag = time.Second }), func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg())
		f := follow(t, p.Stream(), FollowOptions{Strict: true})
		gop(t, p, 0, 49)
		gop(t, p, 2000, 0)
		_, err := f.Next(t.Context())
		if err != nil { // it may catch up from where it began
			t.Fatal(err)
		}
		for i := range 2 {
			gop(t, p, 2040+2000*i, 49)
		}
		var e Entry
		for e, err = f.Next(t.Context()); err == nil && e.DTS < ms(4040); e, err = f.Next(t.Context()) {
		}
		if !errors.Is(err, ErrLagged) {
			t.Fatal(e.DTS, err)
		}
		if e, err = f.Next(t.Context()); err != nil || e.DTS != ms(4040) {
			t.Fatal(e.DTS, err)
		}
	})
}

func TestFollowerWithoutCacheWaitsForTheNextKeyFrameAfterASkip(t *testing.T) {
	bubble(t, with(func(s *Settings) { s.MaxLag = time.Second; s.Cache.GOPs = 0 }), func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg())
		f := follow(t, p.Stream(), FollowOptions{})
		gop(t, p, 0, 5*blockSize)
		wantTimes(t, f) // what it would have read is gone, and so is the key frame
		gop(t, p, 10_000, 1)
		wantTimes(t, f, 10_000, 10_040)
		if f.Skips() != 1 {
			t.Fatal(f.Skips(), "skips")
		}
	})
}

func TestFollowerReadsToTheEndAndThenEOF(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		waiting := follow(t, p.Stream(), FollowOptions{})
		write(t, p, vcfg(), keyFrame(0))
		wantTimes(t, waiting, 0)
		done := make(chan error)
		go func() {
			_, err := waiting.Next(t.Context())
			done <- err
		}()
		synctest.Wait()
		reading := follow(t, p.Stream(), FollowOptions{})
		p.Close(errors.New("kicked"))
		if err := <-done; !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if e, err := reading.Next(t.Context()); err != nil || e.DTS != 0 {
			t.Fatal(e, err)
		}
		if _, err := reading.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	})
}

func TestFollowerStats(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0))
		elapse(ms(500))
		write(t, p, inter(500))
		f := follow(t, p.Stream(), FollowOptions{})
		if st := f.Stats(); st != (FollowerStats{Lag: ms(500)}) {
			t.Fatalf("%+v", st)
		}
		times(t, f)
		if st := f.Stats(); st != (FollowerStats{Frames: 2, Bytes: int64(len(idr) + len(slice))}) {
			t.Fatalf("%+v", st)
		}
	})
}

// TestFollowersComeAndGoBesideAPublisher is for the race detector.
func TestFollowersComeAndGoBesideAPublisher(t *testing.T) {
	h := New(with(func(s *Settings) { s.MaxLag = ms(1) }))
	p := publish(t, h, nil)
	write(t, p, vcfg(), keyFrame(0))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				f := p.Stream().Follow(FollowOptions{})
				last := time.Duration(-1)
				for range 3 * blockSize {
					e, err := f.Next(t.Context())
					if err != nil {
						if !errors.Is(err, io.EOF) {
							t.Error(err)
						}
						break
					}
					if e.DTS <= last {
						t.Errorf("%v after %v", e.DTS, last)
					}
					last = e.DTS
				}
				_ = f.Stats()
				f.Close()
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := range 20_000 {
		if i%50 == 0 {
			write(t, p, keyFrame(i+1))
		} else {
			write(t, p, inter(i+1))
		}
	}
	close(stop)
	h.Close(errors.New("over"))
	wg.Wait()
}
