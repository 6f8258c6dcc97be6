package fanout

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// simSink is a connection that takes room bytes until given more.
type simSink struct {
	mu     sync.Mutex
	got    []byte
	room   int // negative: no bound
	armed  Writable
	closed bool
	waits  sync.WaitGroup
}

func (s *simSink) TrySend(p []byte) (int, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false, errors.New("closed")
	}
	n := len(p)
	if s.room >= 0 {
		n = min(n, s.room)
		s.room -= n
	}
	s.got = append(s.got, p[:n]...)
	return n, n < len(p), nil
}

func (s *simSink) Arm(w Writable) {
	s.mu.Lock()
	now := s.room != 0 || s.closed
	if !now {
		s.armed = w
	}
	s.mu.Unlock()
	if now {
		s.waits.Go(w.Writable)
	}
}

func (s *simSink) give(n int) {
	s.mu.Lock()
	s.room = n
	w := s.armed
	s.armed = nil
	s.mu.Unlock()
	if w != nil {
		w.Writable()
	}
}

func (s *simSink) Close() error { s.give(0); s.mu.Lock(); s.closed = true; s.mu.Unlock(); return nil }

func (s *simSink) String() string { s.mu.Lock(); defer s.mu.Unlock(); return string(s.got) }

type recorder struct {
	mu    sync.Mutex
	cause error
	skips int
}

func (r *recorder) Closed(_ *Player, cause error) { r.mu.Lock(); r.cause = cause; r.mu.Unlock() }

func (r *recorder) Skipped(*Player, time.Duration, int64) { r.mu.Lock(); r.skips++; r.mu.Unlock() }

func (r *recorder) err() error { r.mu.Lock(); defer r.mu.Unlock(); return r.cause }

var testLog = LogOptions{
	Bounds: Bounds{GOPs: 1, Bytes: 1 << 20, Frames: 1000, Time: time.Minute},
	Slow:   SlowPolicy{MaxLag: 8 * time.Second, MaxStall: 30 * time.Second},
}

func put(l *Log, s string, m Message) {
	l.Commit(append(l.Reserve(len(s)), s...), m)
	l.Wake()
}

func key(l *Log, s, preamble string) { put(l, s, Message{Sync: true, Preamble: []byte(preamble)}) }

func bubble(t *testing.T, o Options, f func(t *testing.T, e *Engine)) {
	synctest.Test(t, func(t *testing.T) {
		e := New(o)
		defer e.Close()
		f(t, e)
	})
}

func TestJoinStartsAtTheOldestKeptSyncWithItsPreamble(t *testing.T) {
	bubble(t, Options{Workers: 2}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		put(l, "x ", Message{})
		key(l, "K1 ", "(p1)")
		put(l, "a ", Message{})
		key(l, "K2 ", "(p2)")
		put(l, "b ", Message{})
		s := &simSink{room: -1}
		p := e.Add(s, nil, l, Counters{})
		p.Send([]byte("hello "))
		p.Join(l, Start{})
		synctest.Wait()
		put(l, "c ", Message{})
		synctest.Wait()
		if got, want := s.String(), "hello (p2)K2 b c "; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func TestJoinBeforeAnythingWaitsForASync(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		s := &simSink{room: -1}
		e.Add(s, nil, l, Counters{}).Join(l, Start{})
		put(l, "a ", Message{})
		synctest.Wait()
		key(l, "K ", "(p)")
		put(l, "b ", Message{})
		synctest.Wait()
		if got := s.String(); got != "(p)K b " {
			t.Fatalf("got %q", got)
		}
	})
}

func TestWithoutCacheAPlayerWaitsForTheNextSyncEvenWhenTheWorkerIsLate(t *testing.T) {
	o := testLog
	o.Bounds.GOPs = 0
	bubble(t, Options{Workers: 1, MinDelay: time.Second, MaxDelay: time.Second}, func(t *testing.T, e *Engine) {
		l := e.NewLog(o)
		key(l, "K1 ", "(p)")
		s := &simSink{room: -1}
		e.Add(s, nil, l, Counters{}).Join(l, Start{})
		synctest.Wait()
		key(l, "K2 ", "(p)")
		put(l, "a ", Message{})
		put(l, "b ", Message{})
		elapse(3 * time.Second)
		if got := s.String(); got != "(p)K2 a b " {
			t.Fatalf("got %q", got)
		}
	})
}

func TestPrivateBytesGoBetweenMessages(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		s := &simSink{room: 4}
		p := e.Add(s, nil, l, Counters{})
		p.Join(l, Start{})
		key(l, "KKKKKK", "")
		put(l, "aaaa", Message{})
		synctest.Wait()
		p.Send([]byte("[pong]"))
		synctest.Wait()
		s.give(-1)
		synctest.Wait()
		if got := s.String(); got != "KKKKKK[pong]aaaa" {
			t.Fatalf("got %q", got)
		}
	})
}

func TestASlowPlayerSkipsToANewerSyncAtAMessageBoundary(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		s, rec := &simSink{room: 5}, &recorder{}
		var skips atomic.Uint64
		p := e.Add(s, rec, l, Counters{Skips: &skips})
		p.Join(l, Start{})
		key(l, "K1 ", "(p)") // the preamble and two bytes of the key frame fit
		put(l, "a ", Message{})
		for range 12 {
			elapse(time.Second)
			put(l, "b ", Message{})
		}
		key(l, "K2 ", "(p)")
		put(l, "c ", Message{})
		synctest.Wait()
		if skips.Load() != 1 || rec.skips != 1 {
			t.Fatalf("%d skips, %d told", skips.Load(), rec.skips)
		}
		s.give(-1)
		synctest.Wait()
		if got := s.String(); got != "(p)K1 K2 c " { // headers unchanged: no preamble again
			t.Fatalf("got %q", got)
		}
	})
}

func TestChangedHeadersAreSentAfterASkip(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		s := &simSink{room: 4}
		p := e.Add(s, nil, l, Counters{})
		p.Join(l, Start{})
		key(l, "K1 ", "(p)")
		for range 12 {
			elapse(time.Second)
			put(l, "b ", Message{})
		}
		put(l, "cfg ", Message{Headers: true})
		key(l, "K2 ", "(q)")
		synctest.Wait()
		s.give(-1)
		synctest.Wait()
		if got := s.String(); got != "(p)K1 (q)K2 " {
			t.Fatalf("got %q", got)
		}
	})
}

func TestStalledAndSlowPlayersAreClosed(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		stall, slow := &recorder{}, &recorder{}
		l := e.NewLog(testLog)
		o := testLog
		o.Slow.Close = true
		l2 := e.NewLog(o)
		e.Add(&simSink{}, stall, l, Counters{}).Join(l, Start{})
		e.Add(&simSink{}, slow, l2, Counters{}).Join(l2, Start{})
		for range 40 {
			key(l, "K", "")
			key(l2, "K", "")
			elapse(time.Second)
		}
		if !errors.Is(stall.err(), ErrStalled) || !errors.Is(slow.err(), ErrSlow) {
			t.Fatalf("stalled: %v, slow: %v", stall.err(), slow.err())
		}
		if int(l.players.Load()) != 0 {
			t.Fatal("players left", int(l.players.Load()))
		}
	})
}

func TestLogCloseSendsAllThenEnds(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		s, rec := &simSink{room: 2}, &recorder{}
		waiting := &recorder{}
		e.Add(s, rec, l, Counters{}).Join(l, Start{})
		key(l, "K1 ", "")
		synctest.Wait()
		early, early2 := &simSink{room: -1}, &recorder{}
		l.DropSyncs()
		e.Add(early, early2, l, Counters{}).Join(l, Start{}) // waits for a sync point
		synctest.Wait()
		l.Close([]byte("bye"))
		late := &simSink{room: -1}
		e.Add(late, waiting, l, Counters{}).Join(l, Start{})
		synctest.Wait()
		if rec.err() != nil {
			t.Fatal("closed before all was sent:", rec.err())
		}
		s.give(-1)
		synctest.Wait()
		if s.String() != "K1 bye" || !errors.Is(rec.err(), ErrEnded) || !errors.Is(waiting.err(), ErrEnded) {
			t.Fatalf("%q %v %v", s.String(), rec.err(), waiting.err())
		}
		if early.String() != "bye" || late.String() != "bye" || !errors.Is(early2.err(), ErrEnded) {
			t.Fatalf("those that waited were sent %q and %q", early.String(), late.String())
		}
	})
}

func TestFinishSendsWhatWaitsButNotForEver(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		good, stuck := &recorder{}, &recorder{}
		s := &simSink{room: -1}
		cause := errors.New("rejected")
		for _, x := range []struct {
			s *simSink
			r *recorder
		}{{s, good}, {&simSink{}, stuck}} {
			p := e.Add(x.s, x.r, nil, Counters{})
			p.Send([]byte("bye"))
			p.Finish(cause)
		}
		elapse(3 * time.Second)
		if s.String() != "bye" || !errors.Is(good.err(), cause) || !errors.Is(stuck.err(), cause) {
			t.Fatalf("%q %v %v", s.String(), good.err(), stuck.err())
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		s := &simSink{room: -1}
		p := e.Add(s, nil, l, Counters{})
		p.Join(l, Start{})
		key(l, "K1 ", "")
		put(l, "a ", Message{})
		synctest.Wait()
		p.Pause()
		synctest.Wait()
		put(l, "b ", Message{})
		synctest.Wait()
		p.Resume()
		synctest.Wait()
		put(l, "c ", Message{})
		synctest.Wait()
		key(l, "K2 ", "")
		synctest.Wait()
		if got := s.String(); got != "K1 a K2 " {
			t.Fatalf("got %q", got)
		}
	})
}

func TestBoundsDropTheMark(t *testing.T) {
	for name, b := range map[string]Bounds{
		"bytes":  {GOPs: 1, Bytes: 20, Frames: 1000, Time: time.Hour},
		"frames": {GOPs: 1, Bytes: 1 << 20, Frames: 5, Time: time.Hour},
		"time":   {GOPs: 1, Bytes: 1 << 20, Frames: 1000, Time: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
				o := testLog
				o.Bounds = b
				l := e.NewLog(o)
				key(l, "K1 ", "")
				for range 20 {
					elapse(100 * time.Millisecond)
					put(l, "a ", Message{})
				}
				s := &simSink{room: -1}
				e.Add(s, nil, l, Counters{}).Join(l, Start{})
				synctest.Wait()
				if s.String() != "" {
					t.Fatalf("joined a mark past the bound: %q", s)
				}
				key(l, "K2 ", "")
				synctest.Wait()
				if s.String() != "K2 " {
					t.Fatalf("got %q", s)
				}
			})
		})
	}
}

func TestSegmentsRollOver(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		s := &simSink{room: -1}
		e.Add(s, nil, l, Counters{}).Join(l, Start{})
		var want bytes.Buffer
		for i := range 3000 {
			m := fmt.Sprintf("<%d:%s>", i, bytes.Repeat([]byte{'x'}, i%300))
			if i == 1500 {
				m += string(bytes.Repeat([]byte{'y'}, largeSegment*2))
			}
			want.WriteString(m)
			if i%100 == 0 {
				key(l, m, "")
				synctest.Wait()
			} else {
				put(l, m, Message{})
			}
		}
		synctest.Wait()
		if s.String() != want.String() {
			t.Fatal("bytes differ")
		}
	})
}

func TestEngineCloseEndsEveryPlayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Options{Workers: 2})
		l := e.NewLog(testLog)
		a, b, c := &recorder{}, &recorder{}, &recorder{}
		e.Add(&simSink{}, a, l, Counters{}).Join(l, Start{})
		e.Add(&simSink{}, b, nil, Counters{})
		key(l, "K", "")
		synctest.Wait()
		e.Close()
		e.Add(&simSink{}, c, nil, Counters{})
		for _, r := range []*recorder{a, b, c} {
			if !errors.Is(r.err(), ErrEngineClosed) {
				t.Fatal(r.err())
			}
		}
	})
}

func TestGatheringRestsInProportionToTheRound(t *testing.T) {
	bubble(t, Options{Workers: 1, MinDelay: 100 * time.Millisecond, MaxDelay: 100 * time.Millisecond}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		o := testLog
		o.Low = true
		low := e.NewLog(o)
		s, sl := &simSink{room: -1}, &simSink{room: -1}
		e.Add(s, nil, l, Counters{}).Join(l, Start{})
		e.Add(sl, nil, low, Counters{}).Join(low, Start{})
		synctest.Wait()
		key(l, "K ", "")
		key(low, "K ", "")
		synctest.Wait()
		elapse(time.Millisecond)
		put(l, "a ", Message{})
		put(low, "a ", Message{})
		synctest.Wait()
		if s.String() != "K " || sl.String() != "K a " {
			t.Fatalf("%q %q", s, sl)
		}
		elapse(100 * time.Millisecond)
		if s.String() != "K a " {
			t.Fatalf("%q", s)
		}
	})
}

// elapse lets the bubble's clock run.
func elapse(d time.Duration) { <-time.After(d) }
