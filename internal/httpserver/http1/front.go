package http1

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how connections are served.
type Config struct {
	// Handler answers the requests. It must not change a request's header, nor use its
	// ResponseWriter after it has returned.
	Handler http.Handler
	// Prepare, if not nil, may change a request before it is handled, and the values of its context. The change holds
	// for all later requests of the connection with the same header fields.
	Prepare func(r *http.Request) *http.Request
	// FirstTime is how long a connection may take to send its first request, IdleTime how
	// long until the next one, and WriteTime how long an answer may take to be sent,
	// unless the handler sets another deadline. A client that takes nothing for StallTime is closed
	// earlier.
	FirstTime, IdleTime, WriteTime, StallTime time.Duration
	// Enter, if not nil, is called for each accepted connection. It returns a Guest that follows
	// the connection, or nil to have it closed. Calling end closes the connection unless a request
	// is being answered.
	Enter func(remote net.Addr, end func()) Guest
	Log   *slog.Logger
}

// Guest is told what a connection does, which is idle at first. Its methods must not block.
type Guest interface {
	Busy()  // a request is being answered
	Idle()  // no request is being answered
	Leave() // the connection has ended or been handed over
}

// Front serves a listener's connections. It is itself a listener, of the connections left to
// net/http, whose Serve must be running.
type Front struct {
	ln   net.Listener
	conf Config
	left chan accepted
	over chan struct{} // closed when net/http accepts no more
	wg   sync.WaitGroup
	once sync.Once
	date atomic.Pointer[date]

	buffers sync.Pool // of *[maxHead]byte

	mu      sync.Mutex // guards below; a leaf
	conns   map[*conn]struct{}
	closing atomic.Bool // changed with mu held
}

type accepted struct {
	conn net.Conn
	err  error
}

// New begins to accept ln's connections. Shutdown ends that.
func New(ln net.Listener, conf Config) *Front {
	f := &Front{ln: ln, conf: conf, left: make(chan accepted), over: make(chan struct{}), conns: map[*conn]struct{}{}}
	f.buffers.New = func() any { return new([maxHead]byte) }
	f.wg.Go(f.accept)
	return f
}

// accept accepts until the listener is closed. Errors go to net/http, which logs them and pauses
// after those that pass.
func (f *Front) accept() {
	for {
		nc, err := f.ln.Accept()
		tc, ok := nc.(*net.TCPConn)
		if p, proxied := nc.(interface{ Socket() *net.TCPConn }); proxied {
			tc, ok = p.Socket(), true
		}
		switch {
		case err == nil && ok:
			f.serve(tc, nc.RemoteAddr())
		case !f.leave(accepted{nc, err}):
			return
		}
	}
}

// leave hands net/http a connection or an error. It reports false when the listener has been
// closed.
func (f *Front) leave(a accepted) bool {
	select {
	case f.left <- a:
		return true
	case <-f.over:
		if a.conn != nil {
			_ = a.conn.Close()
		}
		return false
	}
}

// Accept implements net.Listener: it returns the connections that are left to net/http.
func (f *Front) Accept() (net.Conn, error) {
	select {
	case a := <-f.left:
		return a.conn, a.err
	case <-f.over:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (f *Front) Addr() net.Addr { return f.ln.Addr() }

// Close implements net.Listener: from now on no connection is accepted or left to net/http.
func (f *Front) Close() error {
	f.once.Do(func() { close(f.over) })
	return f.ln.Close()
}

// serve serves a connection on a goroutine of its own. remote is the client, who may be behind the peer of the socket.
func (f *Front) serve(tc *net.TCPConn, remote net.Addr) {
	raw, err := tc.SyscallConn()
	if err != nil {
		_ = tc.Close()
		return
	}
	c := &conn{front: f, tcp: tc, raw: raw, remote: remote, from: remote.String(), guest: nobody{}}
	c.try = c.attempt
	if f.conf.Enter != nil {
		if c.guest = f.conf.Enter(remote, c.end); c.guest == nil {
			_ = tc.Close()
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing.Load() {
		_ = tc.Close()
		c.guest.Leave()
		return
	}
	f.conns[c] = struct{}{}
	f.wg.Go(func() {
		c.serve()
		c.guest.Leave()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.conns, c)
	})
}

// nobody is the Guest that ignores what it is told.
type nobody struct{}

func (nobody) Busy()  {}
func (nobody) Idle()  {}
func (nobody) Leave() {}

// Shutdown closes the idle connections at once and the others by the time ctx ends, and waits for
// all goroutines.
func (f *Front) Shutdown(ctx context.Context) {
	_ = f.Close() // the listener may be closed already
	f.mu.Lock()
	f.closing.Store(true)
	for c := range f.conns {
		c.end()
	}
	f.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for c := range f.conns {
			_ = c.tcp.Close()
		}
	})
	defer stop()
	f.wg.Wait()
}

// date is the value of the Date field for one second.
type date struct {
	second int64
	text   string
}

// now returns the value of the Date field (RFC 9110 §6.6.1).
func (f *Front) now() string {
	t := time.Now()
	d := f.date.Load()
	if d == nil || d.second != t.Unix() {
		d = &date{t.Unix(), t.UTC().Format(http.TimeFormat)}
		f.date.Store(d)
	}
	return d.text
}
