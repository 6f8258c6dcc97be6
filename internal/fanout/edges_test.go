package fanout

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestStallTimes: a player whose sink takes nothing is closed after 30 s without a log, and after MaxStall
// with one; the look is once a second.
func TestStallTimes(t *testing.T) {
	for _, c := range []struct {
		name  string
		log   bool
		stall time.Duration
	}{{"without a log", false, 30 * time.Second}, {"with one", true, 12 * time.Second}} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
				o := testLog
				o.Slow = SlowPolicy{MaxLag: time.Hour, MaxStall: c.stall}
				l := e.NewLog(o)
				rec := &recorder{}
				p := e.Add(&simSink{}, rec, l, Counters{})
				if c.log {
					p.Join(l, Start{})
					key(l, "K", "")
				} else {
					p.Send([]byte("x"))
				}
				elapse(c.stall)
				synctest.Wait()
				if rec.err() != nil {
					t.Fatalf("after %v: %v", c.stall, rec.err())
				}
				elapse(2 * time.Second)
				synctest.Wait()
				if !errors.Is(rec.err(), ErrStalled) {
					t.Errorf("after %v: %v", c.stall+2*time.Second, rec.err())
				}
			})
		})
	}
}

// TestLinger: Finish waits half a second for a full sink. The looks come at whole seconds here.
func TestLinger(t *testing.T) {
	cause := errors.New("rejected")
	for at, closed := range map[time.Duration]bool{400 * time.Millisecond: true, 600 * time.Millisecond: false} {
		bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
			rec := &recorder{}
			elapse(at)
			p := e.Add(&simSink{}, rec, nil, Counters{})
			p.Send([]byte("bye"))
			p.Finish(cause)
			elapse(1100*time.Millisecond - at)
			synctest.Wait()
			if errors.Is(rec.err(), cause) != closed {
				t.Errorf("%v before the look: %v", time.Second-at, rec.err())
			}
			elapse(time.Second)
			synctest.Wait()
			if !errors.Is(rec.err(), cause) {
				t.Errorf("at the look after it: %v", rec.err())
			}
		})
	}
}

// TestLeavingALog: a player that reads no log any more is sent nothing of it, and may join again.
func TestLeavingALog(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		s := &simSink{room: -1}
		p := e.Add(s, nil, l, Counters{})
		p.Join(l, Start{})
		key(l, "K1 ", "")
		synctest.Wait()
		p.Join(nil, Start{})
		synctest.Wait()
		key(l, "K2 ", "")
		p.Send([]byte("x "))
		synctest.Wait()
		if got := s.String(); got != "K1 x " || int(l.players.Load()) != 0 {
			t.Errorf("after it left: %q, and the log has %d players", got, int(l.players.Load()))
		}
		p.Join(l, Start{})
		synctest.Wait()
		if got := s.String(); got != "K1 x K2 " || int(l.players.Load()) != 1 {
			t.Errorf("after it came back: %q, and the log has %d players", got, int(l.players.Load()))
		}
	})
}

// TestFarBehind: players far behind are served in turns, and get everything.
func TestFarBehind(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		key(l, "K", "")
		want := "K"
		for range 5 {
			m := strings.Repeat("x", 100_000)
			put(l, m, Message{})
			want += m
		}
		var sinks []*simSink
		for range 3 {
			s := &simSink{room: -1}
			sinks = append(sinks, s)
			e.Add(s, nil, l, Counters{}).Join(l, Start{})
		}
		synctest.Wait()
		for i, s := range sinks {
			if s.String() != want {
				t.Errorf("player %d has %d bytes of %d", i, len(s.String()), len(want))
			}
		}
	})
}

// TestStatsCountPlayers: those that are open, and none of those that came too late.
func TestStatsCountPlayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Options{Workers: 2})
		players := func(want string) {
			t.Helper()
			synctest.Wait()
			got := ""
			for _, s := range e.Stats() {
				got += string(rune('0' + s.Players))
			}
			if got != want {
				t.Errorf("the workers have %s players, want %s", got, want)
			}
		}
		var list []*Player
		for range 3 { // to the worker with the fewest
			list = append(list, e.Add(&simSink{room: -1}, nil, nil, Counters{}))
		}
		players("21")
		list[1].Close(nil)
		list[1].Close(nil)
		players("20")
		e.Close()
		players("00")
		e.Add(&simSink{}, nil, nil, Counters{})
		players("00")
	})
}

// TestSmallAudiencesShareAWorker: the first 16 players of a log are its home's, those behind go where
// there are fewest.
func TestSmallAudiencesShareAWorker(t *testing.T) {
	bubble(t, Options{Workers: 2}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		for range 18 {
			e.Add(&simSink{room: -1}, nil, l, Counters{}).Join(l, Start{})
			synctest.Wait()
		}
		home, other := 0, 0
		for i, s := range e.Stats() {
			if e.workers[i] == l.home {
				home = s.Players
			} else {
				other = s.Players
			}
		}
		if home != 16 || other != 2 {
			t.Errorf("%d players at home, %d elsewhere", home, other)
		}
	})
}

// TestNobodyIsPassedOverWhenAnotherLeaves: who takes the place of a player that ends within a round is
// served in it.
func TestNobodyIsPassedOverWhenAnotherLeaves(t *testing.T) {
	bubble(t, Options{Workers: 1, MinDelay: time.Hour, MaxDelay: time.Hour}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		sinks := []*simSink{{room: -1}, {room: -1}, {room: -1}}
		for _, s := range sinks {
			e.Add(s, nil, l, Counters{}).Join(l, Start{})
		}
		synctest.Wait()
		_ = sinks[0].Close() // the player learns of it when it is sent the key frame
		key(l, "K ", "")
		synctest.Wait()
		for i, s := range sinks[1:] {
			if got := s.String(); got != "K " {
				t.Errorf("player %d was sent %q in the round", i+1, got)
			}
		}
	})
}

// TestFirstSent: the time from joining until the first bytes of the log were taken is measured once, whatever
// else the player was sent before.
func TestFirstSent(t *testing.T) {
	var mu sync.Mutex
	var times []time.Duration
	o := Options{Workers: 1, Hooks: Hooks{FirstSent: func(_ Observer, d time.Duration) { mu.Lock(); times = append(times, d); mu.Unlock() }}}
	bubble(t, o, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		p := e.Add(&simSink{room: -1}, nil, nil, Counters{})
		elapse(time.Hour)
		p.Join(l, Start{})
		p.Send([]byte("head"))
		elapse(3 * time.Second)
		put(l, "a", Message{})
		elapse(2 * time.Second)
		key(l, "K1", "")
		elapse(time.Second)
		key(l, "K2", "")
		synctest.Wait()
		if len(times) != 1 || times[0] != 5*time.Second {
			t.Errorf("measured %v", times)
		}
	})
}

// settings is a connection that notes how it was set up.
type settings struct {
	net.Conn
	buffer   int
	deadline time.Time
}

// SetWriteBuffer notes the size.
func (s *settings) SetWriteBuffer(n int) error { s.buffer = n; return nil }

// SetWriteDeadline notes the time.
func (s *settings) SetWriteDeadline(at time.Time) error { s.deadline = at; return nil }

// TestSendBufferIsBounded: 256 KiB of the kernel's, and no deadline of the set-up is left.
func TestSendBufferIsBounded(t *testing.T) {
	e := New(Options{Workers: 1})
	defer e.Close()
	near, far := net.Pipe()
	defer far.Close()
	c := &settings{Conn: near, deadline: time.Unix(1, 0)}
	s := e.Socket(c, true)
	if c.buffer != 256<<10 || !c.deadline.IsZero() {
		t.Errorf("a buffer of %d bytes, the deadline %v", c.buffer, c.deadline)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestNoRawSends: what is no socket gets the sink with a goroutine, and TLS over it says so.
func TestNoRawSends(t *testing.T) {
	e := New(Options{Workers: 1})
	defer e.Close()
	near, far := net.Pipe()
	defer far.Close()
	if _, ok := NewTLSConn(near); ok {
		t.Error("TLS over a pipe sends without blocking")
	}
	s := e.Socket(near, false)
	if _, ok := s.(*portableSink); !ok {
		t.Errorf("a pipe has a %T", s)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestCiphertextBound: 192 KiB may wait below TLS, and a byte more is the end.
func TestCiphertextBound(t *testing.T) {
	c := &TLSConn{}
	c.keep(make([]byte, 100))
	c.keep(make([]byte, 192<<10-100))
	if c.err != nil || len(c.rest) != 192<<10 {
		t.Fatalf("at the bound: %v, %d bytes", c.err, len(c.rest))
	}
	if c.keep([]byte{1}); !errors.Is(c.err, ErrBacklog) || len(c.rest) != 192<<10 {
		t.Errorf("above it: %v, %d bytes", c.err, len(c.rest))
	}
}

// page is a writer whose writes and flushes end as they are told.
type page struct {
	writes  []int
	flushes int
	fails   error
}

// Write implements io.Writer.
func (p *page) Write(b []byte) (int, error) {
	p.writes = append(p.writes, len(b))
	return len(b), p.fails
}

// Close implements io.Closer.
func (*page) Close() error { return nil }

// TestWriterSink: it writes 64 KiB at a time, flushes what was written and nothing else, and remembers the
// first error.
func TestWriterSink(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		p := &page{}
		late := errors.New("the flush failed")
		s := e.Writer(p, func() error { p.flushes++; return late })
		n, full, err := s.TrySend(make([]byte, 100_000))
		if n != 64<<10 || !full || err != nil {
			t.Errorf("%d, %v, %v", n, full, err)
		}
		synctest.Wait()
		if len(p.writes) != 1 || p.writes[0] != 64<<10 || p.flushes != 1 {
			t.Errorf("writes of %v bytes, %d flushes", p.writes, p.flushes)
		}
		if n, full, err := s.TrySend([]byte("x")); n != 0 || full || !errors.Is(err, late) {
			t.Errorf("after an error: %d, %v, %v", n, full, err)
		}
		_ = s.Close()

		broken := &page{fails: errors.New("the write failed")}
		s = e.Writer(broken, func() error { broken.flushes++; return nil })
		if _, _, err := s.TrySend([]byte("x")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if _, _, err := s.TrySend(nil); !errors.Is(err, broken.fails) || broken.flushes != 0 {
			t.Errorf("%v, %d flushes", err, broken.flushes)
		}
		_ = s.Close()
	})
}
