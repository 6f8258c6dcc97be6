package intake

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

func newPoller(t *testing.T) *Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// await returns a channel that is closed when the connection is ready.
func await(t *testing.T, c *Conn) <-chan struct{} {
	t.Helper()
	ready := make(chan struct{})
	if !c.Await(func() { close(ready) }) {
		t.Fatal("the connection cannot wait")
	}
	return ready
}

func want(t *testing.T, ready <-chan struct{}) {
	t.Helper()
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		t.Fatal("it was not woken")
	}
}

func TestAwaitBytes(t *testing.T) {
	c, there := pair(t, newPoller(t))
	buf := make([]byte, 10)
	for i := range 5 {
		ready := await(t, c)
		select {
		case <-ready:
			t.Fatal("woken without a byte")
		case <-time.After(5 * time.Millisecond):
		}
		if _, err := there.Write([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		want(t, ready)
		if n, err := c.Read(buf); n != 1 || buf[0] != byte(i) || err != nil {
			t.Fatal(n, buf[0], err)
		}
	}
}

// What came before Await is told of too: the kernel is asked for the level, not an edge.
func TestAwaitBytesThatAreThere(t *testing.T) {
	c, there := pair(t, newPoller(t))
	for _, b := range "ab" {
		if _, err := there.Write([]byte{byte(b)}); err != nil {
			t.Fatal(err)
		}
	}
	want(t, await(t, c))
	buf := make([]byte, 1)
	if _, err := io.ReadFull(c, buf); err != nil {
		t.Fatal(err)
	}
	want(t, await(t, c))
}

func TestAwaitTheEnd(t *testing.T) {
	past := time.Unix(1, 0)
	for _, tt := range []struct {
		name string
		do   func(c *Conn, there *net.TCPConn) error
		want error
	}{
		{"peer closes", func(_ *Conn, there *net.TCPConn) error { return there.Close() }, io.EOF},
		{"peer ends sending", func(_ *Conn, there *net.TCPConn) error { return there.CloseWrite() }, io.EOF},
		{"closed here", func(c *Conn, _ *net.TCPConn) error { return c.Close() }, net.ErrClosed},
		{"deadline passed", func(c *Conn, _ *net.TCPConn) error { return c.SetReadDeadline(past) }, os.ErrDeadlineExceeded},
		{"both deadlines passed", func(c *Conn, _ *net.TCPConn) error { return c.SetDeadline(past) }, os.ErrDeadlineExceeded},
	} {
		for _, before := range []bool{false, true} {
			name := tt.name
			if before {
				name += " before"
			}
			t.Run(name, func(t *testing.T) {
				c, there := pair(t, newPoller(t))
				var ready <-chan struct{}
				if !before {
					ready = await(t, c)
				}
				if err := tt.do(c, there); err != nil {
					t.Fatal(err)
				}
				if before {
					ready = await(t, c)
				}
				want(t, ready)
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
			})
		}
	}
}

// A connection is woken once, whatever happens at the same time.
func TestAwaitOnce(t *testing.T) {
	p := newPoller(t)
	for range 200 {
		c, there := pair(t, p)
		var mu sync.Mutex
		woken := 0
		done := make(chan struct{}, 4)
		if !c.Await(func() { mu.Lock(); woken++; mu.Unlock(); done <- struct{}{} }) {
			t.Fatal("it cannot wait")
		}
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = there.Write([]byte{1}) })
		wg.Go(func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
		wg.Go(func() { _ = c.Close() })
		wg.Wait()
		<-done
		mu.Lock()
		if woken != 1 {
			t.Errorf("woken %d times", woken)
		}
		mu.Unlock()
		_ = there.Close()
	}
}

func TestAwaitWithoutPoller(t *testing.T) {
	c, _ := pair(t, nil)
	if c.Await(func() { t.Error("called") }) {
		t.Error("it says that it waits")
	}
}
