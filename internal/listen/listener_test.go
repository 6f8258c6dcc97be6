package listen

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open listens on an address.
func open(t *testing.T, addr string, beside ...*Listener) *Socket {
	t.Helper()
	s, err := Open(context.Background(), "test", addr, beside...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// echo serves a listener until the test ends: each connection gets back what it sends. It counts them.
func echo(t *testing.T, l *Listener) (n *atomic.Int64) {
	t.Helper()
	n = new(atomic.Int64)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			wg.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return n
}

// ask sends a byte and waits for it.
func ask(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	b := []byte{42}
	if _, err := c.Write(b); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	return nil
}

// While a listener moves back and forth between the port on one address and on all, clients that connect all the time
// are never refused nor reset, and those that are connected stay.
func TestMovingRefusesNobody(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a port is not shared here")
	}
	l := New(slog.New(slog.DiscardHandler))
	first := open(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(first.Addr().String())
	l.Use(first)
	accepted := echo(t, l)
	stay, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer stay.Close()
	if err := ask(stay); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var asked atomic.Int64
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				c, err := net.Dial("tcp", "127.0.0.1:"+port)
				if err == nil {
					err = ask(c)
					_ = c.Close()
				}
				if err != nil {
					t.Errorf("after %d: %v", asked.Load(), err)
					return
				}
				asked.Add(1)
			}
		})
	}
	for i := range 8 {
		for before := asked.Load(); asked.Load() < before+2 && !t.Failed(); runtime.Gosched() {
		}
		l.Use(open(t, []string{":", "127.0.0.1:"}[i%2]+port, l))
	}
	stop()
	wg.Wait()
	if err := ask(stay); err != nil {
		t.Error("a connection from before is gone:", err)
	}
	if n := accepted.Load(); n != asked.Load()+1 {
		t.Errorf("%d connections accepted, %d made", n, asked.Load()+1)
	}
	t.Logf("%d connections during 8 moves", asked.Load())
	// The port is not shared with others once it has moved.
	if s, err := Open(t.Context(), "test", "127.0.0.1:"+port); err == nil {
		_ = s.Close()
		t.Error("another could take the port")
	}
}

// Turned off it refuses, and accepts again once it has another socket; closed it takes none.
func TestTurnedOff(t *testing.T) {
	l := New(slog.New(slog.DiscardHandler))
	if l.Active() || l.Addr().String() != ":0" {
		t.Error("it begins with", l.Addr())
	}
	echo(t, l)
	s := open(t, "127.0.0.1:0")
	l.Use(s)
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil || ask(c) != nil || !l.Active() || l.Addr() != s.Addr() {
		t.Fatal(err)
	}
	defer c.Close()
	l.Use(nil)
	if l.Active() {
		t.Error("it is still on")
	}
	for end := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		again, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			break
		}
		_ = again.Close()
		if time.Now().After(end) {
			t.Fatal("the old address still accepts")
		}
	}
	if err := ask(c); err != nil {
		t.Error(err)
	}
	next := open(t, "127.0.0.1:0")
	l.Use(next)
	d, err := net.Dial("tcp", next.Addr().String())
	if err != nil || ask(d) != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	_ = l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	late := open(t, "127.0.0.1:0")
	l.Use(late)
	if _, err := late.accept(); err == nil {
		t.Error("a closed listener uses a socket")
	}
}

// A port that another program has is refused with advice, although one of ours could be moved.
func TestPortOfAnother(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	l := New(slog.New(slog.DiscardHandler))
	l.Use(open(t, "127.0.0.1:0"))
	defer l.Close()
	_, err = Open(t.Context(), "test", other.Addr().String(), l)
	if want := "listening for test on " + other.Addr().String() + ": the port is taken by another program"; err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
		t.Error(err)
	}
}
