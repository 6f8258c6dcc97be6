package intake

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns the two ends of a connection.
func pair(t testing.TB, p *Poller) (*Conn, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	there, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, ok := Wrap(nc, p)
	if !ok {
		t.Fatal("not wrapped")
	}
	t.Cleanup(func() { _, _ = c.Close(), there.Close() })
	return c, there.(*net.TCPConn)
}

// crowd is a pacer with n publishers.
func crowd(n int, max time.Duration) *Pacer {
	p := NewPacer(max)
	p.publishers.Add(int32(n))
	return p
}

func TestInterval(t *testing.T) {
	for _, tt := range []struct {
		publishers int
		max, want  time.Duration
	}{
		{1, 50 * time.Millisecond, 0},
		{39, 50 * time.Millisecond, 0},
		{40, 50 * time.Millisecond, 10 * time.Millisecond},
		{100, 50 * time.Millisecond, 25 * time.Millisecond},
		{2000, 50 * time.Millisecond, 50 * time.Millisecond},
		{2000, 0, 0},
		{2000, 9 * time.Millisecond, 0},
	} {
		if got := crowd(tt.publishers, tt.max).Interval(); got != tt.want {
			t.Errorf("%d publishers, at most %v: %v, want %v", tt.publishers, tt.max, got, tt.want)
		}
	}
}

func TestBeatsAreShared(t *testing.T) {
	p := NewPacer(time.Second)
	const d = 50 * time.Millisecond
	for _, after := range []time.Duration{0, time.Millisecond, d - 1} {
		if got := p.next(p.start.Add(7*d+after), d).Sub(p.start); got != 8*d {
			t.Errorf("%v after a beat the next is at %v, want %v", after, got, 8*d)
		}
	}
}

// modes are the ways in which a publisher is read.
var modes = []struct {
	name  string
	pacer *Pacer
}{
	{"at once", nil},
	{"few publishers", NewPacer(50 * time.Millisecond)},
	{"paced", crowd(40, 10*time.Millisecond)},
}

func TestEveryByteArrives(t *testing.T) {
	sent := make([]byte, 3<<20)
	for i := range sent {
		sent[i] = byte(i * i >> 3)
	}
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			c, there := pair(t, nil)
			defer c.Publishing(m.pacer)()
			var failed error
			done := make(chan struct{})
			go func() {
				defer close(done)
				for b := sent; len(b) > 0 && failed == nil; {
					n := min(len(b), 1+len(b)%7000)
					_, failed = there.Write(b[:n])
					b = b[n:]
				}
				_ = there.CloseWrite()
			}()
			got, err := io.ReadAll(c)
			<-done
			if err != nil || failed != nil || !bytes.Equal(got, sent) {
				t.Errorf("%d of %d bytes, read %v, wrote %v", len(got), len(sent), err, failed)
			}
		})
	}
}

// The end that comes with the last bytes is seen, though the poller tells of both at once.
func TestEndBehindTheLastBytes(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			c, there := pair(t, nil)
			defer c.Publishing(m.pacer)()
			if _, err := there.Write([]byte("last")); err != nil {
				t.Fatal(err)
			}
			_ = there.Close()
			got, err := io.ReadAll(c)
			if err != nil || string(got) != "last" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestReset(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			c, there := pair(t, nil)
			defer c.Publishing(m.pacer)()
			_ = there.SetLinger(0)
			_ = there.Close()
			_, err := io.ReadAll(c)
			if _, ok := errors.AsType[*net.OpError](err); !ok {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestDeadlines(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			c, _ := pair(t, nil)
			defer c.Publishing(m.pacer)()
			begin := time.Now()
			if err := c.SetReadDeadline(begin.Add(35 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			_, err := c.Read(make([]byte, 10))
			if took := time.Since(begin); !errors.Is(err, os.ErrDeadlineExceeded) || took < 35*time.Millisecond {
				t.Errorf("%v after %v", err, took)
			}
			// A deadline that has passed, set by somebody else, ends a read under way.
			if err := c.SetDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			end := time.AfterFunc(20*time.Millisecond, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
			defer end.Stop()
			if _, err := c.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
		})
	}
}

func TestCloseEndsReading(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			c, _ := pair(t, nil)
			defer c.Publishing(m.pacer)()
			end := time.AfterFunc(20*time.Millisecond, func() { _ = c.Close() })
			defer end.Stop()
			if _, err := c.Read(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	}
}

// The beat ends with the crowd, and what was gathered is not lost.
func TestPaceChanges(t *testing.T) {
	c, there := pair(t, nil)
	p := crowd(100, 25*time.Millisecond)
	end := c.Publishing(p)
	defer end()
	buf := make([]byte, 100)
	for i := range 30 {
		p.publishers.Store(int32(100 * (1 - i/10%2)))
		if _, err := there.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(buf); n != 1 || buf[0] != byte(i) || err != nil {
			t.Fatalf("%d: read %d, %d, %v", i, n, buf[0], err)
		}
	}
}

func TestPublishersAreCounted(t *testing.T) {
	c, _ := pair(t, nil)
	p := NewPacer(time.Second)
	end := c.Publishing(p)
	c.Publishing(p)()
	if n := p.publishers.Load(); n != 1 && runtime.GOOS == "linux" {
		t.Errorf("%d publishers", n)
	}
	end()
	if n := p.publishers.Load(); n != 0 {
		t.Errorf("%d publishers at the end", n)
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			c, there := pair(t, nil)
			defer c.Publishing(m.pacer)()
			in, out := make([]byte, 100), make([]byte, 100)
			if n := testing.AllocsPerRun(20, func() {
				if _, err := there.Write(out); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, in); err != nil {
					t.Fatal(err)
				}
			}); n >= 1 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
