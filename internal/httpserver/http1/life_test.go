package http1

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// TestDone: a handler that waits learns that its client has gone; that the client goes on talking does
// not end the wait, and is heard afterwards.
func TestDone(t *testing.T) {
	waiting, causes, release := make(chan struct{}), make(chan error, 1), make(chan struct{})
	addr, _ := both(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/wait" {
			echo(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		waiting <- struct{}{}
		select {
		case <-ctx.Done():
			causes <- ctx.Err()
		case <-release:
			fmt.Fprint(w, "released")
		}
	}), nil)
	const wait = "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"

	gone := dial(t, addr)
	say(t, gone, wait)
	<-waiting
	_ = gone.Close()
	if err := <-causes; err != context.Canceled { //nolint:errorlint // as it is
		t.Error(err)
	}

	c := dial(t, addr)
	in := bufio.NewReader(c)
	for range 3 {
		say(t, c, wait)
		<-waiting
		say(t, c, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n")
		<-time.After(10 * time.Millisecond)
		release <- struct{}{}
		hear(t, in, true, 200, "released")
		hear(t, in, true, 200, "GET /next")
	}
}

// TestDoneAfterLong: a handler learns that its client has gone, however long it has waited by then.
func TestDoneAfterLong(t *testing.T) {
	waiting, causes := make(chan struct{}), make(chan error, 1)
	addr, _ := both(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		waiting <- struct{}{}
		select {
		case <-r.Context().Done():
			causes <- r.Context().Err()
		case <-time.After(patience):
			causes <- nil
		}
	}), func(c *Config) { c.FirstTime, c.IdleTime = 50*time.Millisecond, 100*time.Millisecond })
	c := dial(t, addr)
	say(t, c, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
	<-waiting
	time.Sleep(50*time.Millisecond + late/2 + 300*time.Millisecond) // past the deadline of the request
	_ = c.Close()
	if err := <-causes; err != context.Canceled { //nolint:errorlint // as it is
		t.Errorf("a handler that still waits hears %v of a client that has gone", err)
	}
}

// TestLongWait: a handler that waits for longer than a connection may be idle is not disturbed, and
// the connection goes on.
func TestLongWait(t *testing.T) {
	addr, _ := both(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			select {
			case <-r.Context().Done():
				t.Error(r.Context().Err())
			case <-time.After(2500 * time.Millisecond):
			}
		}
		echo(w, r)
	}), func(c *Config) { c.FirstTime, c.IdleTime = 50*time.Millisecond, 100*time.Millisecond })
	c := dial(t, addr)
	in := bufio.NewReader(c)
	for range 2 {
		say(t, c, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
		hear(t, in, true, 200, "GET /wait")
		say(t, c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		hear(t, in, true, 200, "GET / ")
	}
}

// TestContextEnds: the context of a request ends with its answer, whether or not somebody waited
// for it before.
func TestContextEnds(t *testing.T) {
	contexts := make(chan context.Context, 1)
	addr, _ := both(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := r.Context().Err(); err != nil {
			t.Error(err)
		}
		if r.URL.Path == "/asks" {
			r.Context().Done()
		}
		contexts <- r.Context()
	}), nil)
	c := dial(t, addr)
	in := bufio.NewReader(c)
	for _, path := range []string{"/asks", "/", "/asks"} {
		say(t, c, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n")
		hear(t, in, true, 200, "")
		ctx := <-contexts
		<-ctx.Done()
		if ctx.Err() == nil || context.Cause(ctx) == nil {
			t.Error("it goes on")
		}
		l := ctx.(*life)
		l.mu.Lock()
		if l.conn != nil {
			t.Error("who keeps it keeps the connection's memory")
		}
		l.mu.Unlock()
	}
}

// TestHijack: a connection that was taken over is nobody else's, has no deadline, and nothing that came
// before is lost.
func TestHijack(t *testing.T) {
	for name, wait := range map[string]bool{"at once": false, "after a wait": true} {
		t.Run(name, func(t *testing.T) {
			taken, asked := make(chan net.Conn, 1), make(chan struct{}, 1)
			addr, _ := both(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if wait {
					ctx, cancel := context.WithTimeout(r.Context(), 50*time.Millisecond)
					defer cancel()
					asked <- struct{}{}
					<-ctx.Done()
				}
				w.Header().Set("Upgrade", "x")
				w.WriteHeader(http.StatusSwitchingProtocols)
				nc, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				early, _ := rw.Peek(rw.Reader.Buffered())
				if want := map[bool]string{true: "early", false: ""}[wait]; string(early) != want {
					t.Errorf("early: %q", early)
				}
				if n, err := w.Write([]byte("x")); n > 0 || err != http.ErrHijacked { //nolint:errorlint // as it is
					t.Error(n, err)
				}
				taken <- nc
				panic(http.ErrAbortHandler) // the connection is no longer the handler's to lose
			}), func(c *Config) { c.FirstTime, c.IdleTime = 100*time.Millisecond, 100*time.Millisecond })
			c := dial(t, addr)
			say(t, c, "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
			if wait {
				<-asked
				say(t, c, "early")
			}
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != "x" {
				t.Fatal(res, err)
			}
			nc := <-taken
			defer nc.Close()
			<-time.After(200 * time.Millisecond)
			say(t, c, "later")
			b := make([]byte, 5)
			if _, err := io.ReadFull(nc, b); err != nil || string(b) != "later" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

// TestSilence: connections that ask for nothing are closed.
func TestSilence(t *testing.T) {
	addr, _ := both(t, echo, func(c *Config) { c.FirstTime, c.IdleTime = 50*time.Millisecond, 100*time.Millisecond })
	fresh, used := dial(t, addr), dial(t, addr)
	say(t, used, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	in := bufio.NewReader(used)
	hear(t, in, true, 200, "GET /")
	for _, r := range []io.Reader{fresh, in} {
		if _, err := r.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // as it is
			t.Error(err)
		}
	}
}

// guest tells a test what its connection does.
type guest struct {
	does chan string
	end  func()
}

func (g *guest) Busy()  { g.does <- "busy" }
func (g *guest) Idle()  { g.does <- "idle" }
func (g *guest) Leave() { g.does <- "leave" }

// TestGuest: who counts connections is told what each does, refuses those it does not want, and ends
// those that are idle, and no others.
func TestGuest(t *testing.T) {
	guests, asked, release := make(chan *guest, 2), make(chan struct{}), make(chan struct{})
	var refuse atomic.Bool
	addr, _ := both(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			asked <- struct{}{}
			<-release
		}
		echo(w, r)
	}), func(c *Config) {
		c.Enter = func(remote net.Addr, end func()) Guest {
			if refuse.Load() {
				return nil
			}
			g := &guest{make(chan string, 10), end}
			guests <- g
			return g
		}
	})
	said := func(g *guest, want ...string) {
		t.Helper()
		for _, w := range want {
			if got := <-g.does; got != w {
				t.Fatalf("%s, want %s", got, w)
			}
		}
	}
	c := dial(t, addr)
	g, in := <-guests, bufio.NewReader(c)
	for range 2 {
		say(t, c, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
		hear(t, in, true, 200, "GET /a")
		said(g, "busy", "idle")
	}
	say(t, c, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
	<-asked
	g.end() // not while a request is being answered
	release <- struct{}{}
	hear(t, in, true, 200, "GET /wait")
	said(g, "busy", "idle")
	g.end()
	if _, err := in.ReadByte(); err != io.EOF { //nolint:errorlint // as it is
		t.Error(err)
	}
	said(g, "leave")

	other := dial(t, addr)
	g = <-guests
	say(t, other, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n") // net/http's
	hear(t, bufio.NewReader(other), false, 200, "POST /a")
	said(g, "busy", "leave")

	refuse.Store(true)
	if _, err := dial(t, addr).Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // as it is
		t.Error(err)
	}
}

// TestSlowReader: who does not take an answer in time is closed.
func TestSlowReader(t *testing.T) {
	failed := make(chan error, 1)
	body := bytes.Repeat([]byte("x"), 64<<20)
	addr, _ := both(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(100*time.Millisecond - late/2))
		_, err := w.Write(body)
		failed <- err
	}), nil)
	say(t, dial(t, addr), "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if ne, ok := (<-failed).(net.Error); !ok || !ne.Timeout() { //nolint:errorlint // as it is
		t.Error(ne)
	}
}

// TestPanic: a handler that panics ends its connection and no other.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	addr, f := both(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("oh")
		}
		echo(w, r)
	}), func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	bad, good := dial(t, addr), dial(t, addr)
	say(t, bad, "GET /panic HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, err := bad.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // as it is
		t.Error(err)
	}
	say(t, good, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	hear(t, bufio.NewReader(good), true, 200, "GET /")
	f.Shutdown(t.Context())
	if !bytes.Contains(log.Bytes(), []byte("panic=oh")) {
		t.Error(log.String())
	}
}

// TestShutdown: idle connections end at once, an answer in progress is finished if there is time,
// and what takes longer is cut off.
func TestShutdown(t *testing.T) {
	begun, finish := make(chan struct{}, 2), make(chan struct{})
	var cut atomic.Bool
	addr, f := both(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		switch r.URL.Path {
		case "/slow":
			<-finish
		case "/stuck":
			<-r.Context().Done()
			cut.Store(true)
		}
		fmt.Fprint(w, "done")
	}), nil)
	idle, slow, stuck := dial(t, addr), dial(t, addr), dial(t, addr)
	inIdle, inSlow := bufio.NewReader(idle), bufio.NewReader(slow)
	say(t, idle, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-begun
	hear(t, inIdle, true, 200, "done")
	say(t, slow, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
	say(t, stuck, "GET /stuck HTTP/1.1\r\nHost: h\r\n\r\n")
	<-begun
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { f.Shutdown(ctx); close(over) }()
	if _, err := inIdle.ReadByte(); err != io.EOF { //nolint:errorlint // as it is
		t.Error(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Error("a connection is accepted")
	}
	close(finish)
	hear(t, inSlow, true, 200, "done")
	if _, err := inSlow.ReadByte(); err != io.EOF { //nolint:errorlint // as it is
		t.Error(err)
	}
	select {
	case <-over:
		t.Error("a handler is left behind")
	default:
	}
	cancel()
	<-over
	if !cut.Load() {
		t.Error("the stuck handler was not told")
	}
}
