package fanout

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// joined returns what a player that joins now is sent at once.
func joined(e *Engine, l *Log) string {
	s := &simSink{room: -1}
	p := e.Add(s, nil, l, Counters{})
	p.Join(l, Start{})
	synctest.Wait()
	got := s.String()
	p.Close(nil)
	synctest.Wait()
	return got
}

// TestBoundsAreExact: what is within a bound is kept for players that join, and the mark behind which
// there is one more byte, message or nanosecond is not.
func TestBoundsAreExact(t *testing.T) {
	wide := Bounds{GOPs: 1, Bytes: 1 << 20, Frames: 1000, Time: time.Hour}
	with := func(f func(b *Bounds)) Bounds { b := wide; f(&b); return b }
	for _, c := range []struct {
		name   string
		bounds Bounds
		within func(l *Log)
		want   string
		beyond func(l *Log)
	}{
		{
			"bytes", with(func(b *Bounds) { b.Bytes = 20 }),
			func(l *Log) { put(l, strings.Repeat("a", 17), Message{}) }, "K1 " + strings.Repeat("a", 17),
			func(l *Log) { put(l, "b", Message{}) },
		},
		{
			"frames", with(func(b *Bounds) { b.Frames = 3 }),
			func(l *Log) { put(l, "a", Message{}); put(l, "b", Message{}) }, "K1 ab",
			func(l *Log) { put(l, "c", Message{}) },
		},
		{
			"time", with(func(b *Bounds) { b.Time = time.Second }),
			func(l *Log) { elapse(time.Second); put(l, "a", Message{}) }, "K1 a",
			func(l *Log) { elapse(1); put(l, "b", Message{}) },
		},
		{ // the newest message may be larger than all that is kept
			"a key frame over the bytes", with(func(b *Bounds) { b.Bytes = 2 }),
			func(*Log) {}, "K1 ",
			func(l *Log) { put(l, "b", Message{}) },
		},
		{
			"closed", wide, func(*Log) {}, "K1 ", func(l *Log) { l.Close(nil) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
				o := testLog
				o.Bounds = c.bounds
				l := e.NewLog(o)
				key(l, "K1 ", "")
				c.within(l)
				if got := joined(e, l); got != c.want {
					t.Errorf("at the bound: %q, want %q", got, c.want)
				}
				c.beyond(l)
				if got := joined(e, l); got != "" {
					t.Errorf("beyond it: %q", got)
				}
			})
		})
	}
}

// TestGOPs: so many groups of pictures are kept, and none without a cache.
func TestGOPs(t *testing.T) {
	for gops, want := range map[int]string{0: "", 1: "K4 d ", 2: "K3 c K4 d ", 3: "K2 b K3 c K4 d ", 9: "K1 a K2 b K3 c K4 d "} {
		bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
			o := testLog
			o.Bounds.GOPs = gops
			l := e.NewLog(o)
			for i, m := range []string{"a ", "b ", "c ", "d "} {
				key(l, "K"+string(rune('1'+i))+" ", "")
				put(l, m, Message{})
			}
			if got := joined(e, l); got != want {
				t.Errorf("%d: %q, want %q", gops, got, want)
			}
		})
	}
}

// TestCatchUpIsRecent: a player that goes on after a pause begins at a key frame that came meanwhile if it is
// no older than the lag allowed, else it waits for the next one.
func TestCatchUpIsRecent(t *testing.T) {
	for _, c := range []struct {
		age  time.Duration
		want string
	}{
		{testLog.Slow.MaxLag, "K1 K2 b "},
		{testLog.Slow.MaxLag + 1, "K1 "},
	} {
		bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
			l := e.NewLog(testLog)
			s := &simSink{room: -1}
			p := e.Add(s, nil, l, Counters{})
			p.Join(l, Start{})
			key(l, "K1 ", "")
			synctest.Wait()
			p.Pause()
			synctest.Wait()
			key(l, "K2 ", "")
			put(l, "b ", Message{})
			elapse(c.age)
			p.Resume()
			synctest.Wait()
			if got := s.String(); got != c.want {
				t.Errorf("a key frame of %v ago: %q, want %q", c.age, got, c.want)
			}
			key(l, "K3 ", "")
			synctest.Wait()
			if got := s.String(); got != c.want+"K3 " {
				t.Errorf("a key frame of %v ago, and the next: %q, want %q", c.age, got, c.want+"K3 ")
			}
		})
	}
}

// TestSkipIsForward: a player that skips never sees a key frame again that it has seen.
func TestSkipIsForward(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		s := &simSink{room: -1}
		p := e.Add(s, nil, l, Counters{})
		p.Join(l, Start{})
		put(l, "a ", Message{})
		key(l, "K1 ", "")
		synctest.Wait()
		p.Pause()
		p.Resume()
		synctest.Wait()
		put(l, "b ", Message{})
		synctest.Wait()
		if got := s.String(); got != "K1 " {
			t.Errorf("got %q", got)
		}
	})
}

// TestPrivateBound: 128 KiB may wait for one player, of which each message takes 64 bytes more than it
// has. One byte more ends the player.
func TestPrivateBound(t *testing.T) {
	const most = 128 << 10
	for _, c := range []struct {
		name  string
		n     int
		bytes int
		over  bool
	}{
		{"one message", 1, most - 64, false},
		{"one message and a byte", 1, most - 63, true},
		{"many", most / 64, 0, false},
		{"many and one", most/64 + 1, 0, true},
	} {
		bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
			rec := &recorder{}
			p := e.Add(&simSink{}, rec, nil, Counters{})
			p.Send([]byte("x")) // the sink is full, and the rest waits
			synctest.Wait()
			for range c.n {
				p.Send(make([]byte, c.bytes))
			}
			synctest.Wait()
			if errors.Is(rec.err(), ErrBacklog) != c.over {
				t.Errorf("%s: %v, over is %v", c.name, rec.err(), c.over)
			}
		})
	}
}

// TestLagBound: a player that is as late as allowed goes on, and one that is later skips; or it is closed.
func TestLagBound(t *testing.T) {
	for _, closes := range []bool{false, true} {
		bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
			o := testLog
			o.Slow = SlowPolicy{MaxLag: 8 * time.Second, Close: closes}
			l := e.NewLog(o)
			var skips atomic.Uint64
			rec, s := &recorder{}, &simSink{room: 1}
			p := e.Add(s, rec, l, Counters{Skips: &skips})
			p.Join(l, Start{})
			key(l, "K1 ", "")
			synctest.Wait()
			elapse(8 * time.Second)
			s.give(1) // Writable looks at the lag
			synctest.Wait()
			if skips.Load() != 0 || rec.err() != nil || s.String() != "K1" {
				t.Fatalf("late as allowed: %d skips, %v, %q", skips.Load(), rec.err(), s)
			}
			if lag := p.Lag(); lag != 8*time.Second {
				t.Errorf("the lag is %v", lag)
			}
			elapse(1)
			s.give(-1)
			synctest.Wait()
			if closes {
				if !errors.Is(rec.err(), ErrSlow) || skips.Load() != 0 {
					t.Errorf("later: %d skips, %v", skips.Load(), rec.err())
				}
				return
			}
			if skips.Load() != 1 || rec.err() != nil || s.String() != "K1 " {
				t.Errorf("later: %d skips, %v, %q", skips.Load(), rec.err(), s)
			}
		})
	}
}
