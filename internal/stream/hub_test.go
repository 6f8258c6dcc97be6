package stream

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func limited(l Limits) Options { return Options{Limits: l} }

// publishTo has somebody publish one key frame to path.
func publishTo(t *testing.T, h *Hub, path string) *Publisher {
	t.Helper()
	p, err := h.Publish(path, Info{})
	if err != nil {
		t.Fatal(path, err)
	}
	write(t, p, vcfg(), keyFrame(0))
	return p
}

func playAt(t *testing.T, h *Hub, path string) *Stream {
	t.Helper()
	s, err := h.Play(path)
	if err != nil {
		t.Fatal(path, err)
	}
	return s
}

func isOver(s *Stream) bool {
	select {
	case <-s.Over():
		return true
	default:
		return false
	}
}

// paths returns the hub's streams.
func paths(h *Hub) (list []string) {
	for _, s := range h.List() {
		list = append(list, s.Path())
	}
	return list
}

func wantPaths(t *testing.T, h *Hub, want ...string) {
	t.Helper()
	if got := paths(h); !slices.Equal(got, want) {
		t.Fatalf("streams %v, want %v", got, want)
	}
}

func TestViewersOfNamesThatNobodyPublishesKeepNoPublisherOut(t *testing.T) {
	bubble(t, limited(Limits{Streams: 2, Waiting: 3}), func(t *testing.T, h *Hub) {
		var waiting []*Stream
		for i := range 5 {
			waiting = append(waiting, playAt(t, h, fmt.Sprintf("none/%d", i)))
			elapse(time.Second)
		}
		wantPaths(t, h, "none/2", "none/3", "none/4")
		for i, s := range waiting {
			if isOver(s) != (i < 2) {
				t.Fatalf("viewer %d: over %t", i, isOver(s))
			}
		}
		publishTo(t, h, "live/a")
		publishTo(t, h, "none/3") // one that is waited for takes room of its own
		if _, err := h.Publish("live/b", Info{}); !errors.Is(err, ErrTooManyStreams) {
			t.Fatal(err)
		}
		if _, err := h.Publish("none/2", Info{}); !errors.Is(err, ErrTooManyStreams) {
			t.Fatal(err)
		}
		playAt(t, h, "none/5") // none/3 is not waited for any more
		wantPaths(t, h, "live/a", "none/2", "none/3", "none/4", "none/5")
		for _, s := range waiting {
			s.Leave()
		}
	})
}

func TestWaitingIsBoundedLikeStreamsByDefault(t *testing.T) {
	bubble(t, limited(Limits{Streams: 2}), func(t *testing.T, h *Hub) {
		for i := range 3 {
			playAt(t, h, fmt.Sprint(i))
		}
		wantPaths(t, h, "1", "2")
	})
}

func TestStreamsThatWaitForTheirPublisherGiveWay(t *testing.T) {
	bubble(t, limited(Limits{Streams: 4}), func(t *testing.T, h *Hub) {
		viewer := playAt(t, h, "watched")
		for _, path := range []string{"watched", "first", "second", "live"} {
			p := publishTo(t, h, path)
			elapse(time.Second)
			if path != "live" {
				p.Close(nil)
			}
		}
		for i, want := range [][]string{
			{"live", "new0", "second", "watched"}, // the oldest without a viewer goes
			{"live", "new0", "new1", "watched"},
			{"live", "new0", "new1", "new2"}, // then one with a viewer
		} {
			publishTo(t, h, fmt.Sprintf("new%d", i))
			wantPaths(t, h, want...)
		}
		if !isOver(viewer) {
			t.Fatal("the viewer was not told")
		}
		if _, err := h.Publish("new3", Info{}); !errors.Is(err, ErrTooManyStreams) {
			t.Fatal(err)
		}
		viewer.Leave()
	})
}

func TestPublishersOfOneFrameEachKeepNobodyOut(t *testing.T) {
	bubble(t, limited(Limits{Streams: 10}), func(t *testing.T, h *Hub) {
		for i := range 230 {
			publishTo(t, h, fmt.Sprintf("burst/%d", i)).Close(nil)
		}
		if h.Len() != 10 {
			t.Fatal(h.Len(), "streams")
		}
		publishTo(t, h, "live/a")
	})
}

func TestAReturningPublisherKeepsItsPlace(t *testing.T) {
	bubble(t, limited(Limits{Streams: 1}), func(t *testing.T, h *Hub) {
		p := publishTo(t, h, "live/a")
		for range 3 {
			p.Close(nil)
			elapse(time.Second)
			p = publishTo(t, h, "live/a")
			if _, err := h.Publish("live/b", Info{}); !errors.Is(err, ErrTooManyStreams) {
				t.Fatal("it does not count:", err)
			}
		}
		s := p.Stream()
		p.Close(nil)
		publishTo(t, h, "live/b")
		if !isOver(s) {
			t.Fatal("two streams where one may be")
		}
	})
}

func TestOneThatHasAPublisherAgainDoesNotGiveWay(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publishTo(t, h, "live/a")
		h.evict(p.Stream()) // it was found to give way before its publisher came
		write(t, p, inter(40))
		wantPaths(t, h, "live/a")
	})
}

// TestRoomIsMadeBesideReturns: many publishers come, go and return at once. None that holds a
// stream is ended for another, and all room is found again.
func TestRoomIsMadeBesideReturns(t *testing.T) {
	h := New(limited(Limits{Streams: 4}))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				p, err := h.Publish(fmt.Sprint((i+j)%8), Info{})
				if err != nil {
					continue
				}
				_ = p.Write(vcfg())
				if err := p.Write(keyFrame(0)); err != nil && !errors.Is(err, ErrTakenOver) {
					t.Error("ended while it published:", err)
				}
				p.Close([]error{nil, ErrUnpublished, errors.New("kicked")}[j%3])
			}
		})
	}
	wg.Wait()
	h.mu.Lock()
	held := h.queues[fed].Len()
	h.mu.Unlock()
	if held != 0 || h.Len() > 4 {
		t.Fatalf("%d streams of %d have a publisher, that have none", held, h.Len())
	}
	for i := range 4 {
		if _, err := h.Publish(fmt.Sprintf("live/%d", i), Info{}); err != nil {
			t.Fatal(err)
		}
	}
	h.Close(errors.New("over"))
}

func TestLimitsChangeWhileStreamsRun(t *testing.T) {
	bubble(t, limited(Limits{Streams: 1}), func(t *testing.T, h *Hub) {
		publishTo(t, h, "live/a")
		if _, err := h.Publish("live/b", Info{}); !errors.Is(err, ErrTooManyStreams) {
			t.Fatal(err)
		}
		h.SetLimits(Limits{Streams: 2})
		publishTo(t, h, "live/b")
		h.SetLimits(Limits{Streams: 1})
		wantPaths(t, h, "live/a", "live/b")
		if _, err := h.Publish("live/c", Info{}); !errors.Is(err, ErrTooManyStreams) {
			t.Fatal(err)
		}
	})
}

func TestMaxPlayers(t *testing.T) {
	bubble(t, with(func(s *Settings) { s.MaxPlayers = 2 }), func(t *testing.T, h *Hub) {
		s := playAt(t, h, "live/a")
		playAt(t, h, "live/a")
		if _, err := h.Play("live/a"); !errors.Is(err, ErrTooManyPlayers) {
			t.Fatal(err)
		}
		s.Leave()
		playAt(t, h, "live/a")
		if got := s.Stats().Players; got != 2 {
			t.Fatal(got, "players")
		}
		s.Leave()
		s.Leave()
		if h.Len() != 0 {
			t.Fatal("the stream stays without anybody")
		}
	})
}

func TestAClosedHubTakesNobody(t *testing.T) {
	h := New(Options{})
	stopped := errors.New("stopped")
	p := publishTo(t, h, "live/a")
	h.Close(stopped)
	if err := p.Write(inter(40)); !errors.Is(err, stopped) {
		t.Fatal(err)
	}
	if _, err := h.Publish("live/a", Info{}); !errors.Is(err, ErrHubClosed) {
		t.Fatal(err)
	}
	if _, err := h.Play("live/a"); !errors.Is(err, ErrHubClosed) {
		t.Fatal(err)
	}
}

func TestTotalsKeepWhatEndedStreamsCounted(t *testing.T) {
	bubble(t, limited(Limits{Streams: 1}), func(t *testing.T, h *Hub) {
		publishTo(t, h, "live/a").Close(errors.New("kicked"))
		publishTo(t, h, "live/b").Close(nil)
		publishTo(t, h, "live/c") // live/b gives way
		if got := h.Totals(); got.Publishers != 3 || got.Frames[0]+got.Frames[1] != 3 {
			t.Fatalf("%+v", got)
		}
	})
}

func TestTheCacheOfRunningStreamsChangesAtOnce(t *testing.T) {
	bubble(t, with(func(s *Settings) { s.Cache.GOPs = 3 }), func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0), inter(40), keyFrame(80), inter(120), keyFrame(160))
		set := Default()
		set.Cache.GOPs = 2
		h.Apply(func(string) Settings { return set })
		attach(t, p.Stream()).want(t, "vK80* v120 vK160*")
		set.Cache.Frames = 0
		p.Stream().SetSettings(set)
		attach(t, p.Stream()).want(t, "")
		if got := publishTo(t, h, "live/new").Stream().Settings().Cache; got != set.Cache {
			t.Fatal("a new stream has other settings:", got)
		}
	})
}

func TestAGraceThatRunsIsAsLongAsTheNewSettingsSay(t *testing.T) {
	for _, c := range []struct {
		grace, ends time.Duration
	}{{20 * time.Second, 20 * time.Second}, {5 * time.Second, 10 * time.Second}} {
		bubble(t, Options{}, func(t *testing.T, h *Hub) {
			p := publishTo(t, h, "live/a")
			s := p.Stream()
			p.Close(nil)
			elapse(10 * time.Second)
			set := Default()
			set.Grace = c.grace
			h.Apply(func(string) Settings { return set })
			synctest.Wait()
			if c.ends > 10*time.Second {
				elapse(c.ends - 10*time.Second - 1)
				if isOver(s) {
					t.Fatal("ended before", c.ends)
				}
				elapse(1)
			}
			elapse(1)
			synctest.Wait()
			if !isOver(s) {
				t.Fatal("did not end after", c.ends)
			}
		})
	}
}

func TestMaxLagAndMaxPlayersChangeAtOnce(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg())
		f := follow(t, p.Stream(), FollowOptions{})
		gop(t, p, 0, 0)
		wantTimes(t, f, 0)
		gop(t, p, 40, 49)
		set := Default()
		set.MaxLag, set.MaxPlayers = time.Second, 1
		h.Apply(func(string) Settings { return set })
		gop(t, p, 2040, 0)
		wantTimes(t, f, 2040)
		gop(t, p, 2080, 2*blockSize)
		if first := p.Stream().list.first; first == 0 {
			t.Fatal("frames are kept as long as before")
		}
		playAt(t, h, "live/a")
		if _, err := h.Play("live/a"); !errors.Is(err, ErrTooManyPlayers) {
			t.Fatal(err)
		}
	})
}

func TestPlayersThatWaitAreSentAwayUnlessSomebodyIsConnectedWhoCouldPublish(t *testing.T) {
	h := New(Options{})
	defer h.Close(nil)
	if h.EndUnbegun("live/none", nil) {
		t.Error("a stream that is not there ended")
	}
	waiting := playAt(t, h, "live/a")
	defer waiting.Leave()
	if !h.EndUnbegun("live/a", errors.New("not found")) || !isOver(waiting) {
		t.Error("who waits is not sent away")
	}
	waiting = playAt(t, h, "live/a")
	defer waiting.Leave()
	p, err := h.Publish("live/a", Info{})
	if err != nil {
		t.Fatal(err)
	}
	if h.EndUnbegun("live/a", nil) || isOver(waiting) {
		t.Error("a publisher that has sent nothing so far was sent away")
	}
	write(t, p, vcfg(), keyFrame(0))
	p.Close(nil)
	if h.EndUnbegun("live/a", nil) || isOver(waiting) {
		t.Error("a stream that waits for its publisher's return was ended")
	}
}
