package listen

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Listener accepts TCP connections at an address that can change while it is served: a new socket is opened
// before the old one is closed, and connections that have been accepted stay. Without a socket it accepts
// nothing and waits for one.
//
// What it accepts are *net.TCPConn, and *Proxied for connections of which a trusted proxy has told the client.
type Listener struct {
	log     *slog.Logger
	proxies atomic.Pointer[[]netip.Prefix]

	accepted chan accepted
	over     chan struct{} // closed by Close
	wg       sync.WaitGroup

	mu      sync.Mutex // guards below; a leaf
	closed  bool
	socket  *Socket               // nil: turned off
	waiting map[net.Conn]struct{} // connections whose header is being read
}

type accepted struct {
	conn net.Conn
	err  error
}

// New returns a listener without a socket.
func New(log *slog.Logger) *Listener {
	return &Listener{
		log: log, accepted: make(chan accepted), over: make(chan struct{}), waiting: map[net.Conn]struct{}{},
	}
}

// Use makes the listener accept at s, and no longer at the socket that it had; nil turns it off. The old socket
// gives up the connections that clients have already made to it before it is closed.
func (l *Listener) Use(s *Socket) {
	l.mu.Lock()
	old := l.socket
	if l.closed {
		old = s
	} else {
		l.socket = s
		if s != nil {
			l.wg.Go(func() { l.serve(s) })
		}
	}
	l.mu.Unlock()
	if old != nil {
		old.retire()
	}
}

// Trust sets the addresses of the proxies whose connections begin with a header of the PROXY protocol. It
// holds for connections that come afterwards.
func (l *Listener) Trust(proxies []netip.Prefix) { l.proxies.Store(&proxies) }

// serve accepts connections until the socket is closed.
func (l *Listener) serve(s *Socket) {
	for {
		c, err := s.accept()
		switch {
		case err == nil:
			l.take(c)
		case s.retired.Load():
			s.drain(l.take)
			_ = s.ln.Close()
			return
		case !l.deliver(nil, err):
			return
		}
	}
}

// deliver waits until somebody accepts. It reports false once the listener is closed.
func (l *Listener) deliver(c net.Conn, err error) bool {
	select {
	case l.accepted <- accepted{c, err}:
		return true
	case <-l.over:
		if c != nil {
			_ = c.Close()
		}
		return false
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.over:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener: it returns the present address, an empty one if the listener is turned off.
func (l *Listener) Addr() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.socket == nil {
		return &net.TCPAddr{}
	}
	return l.socket.ln.Addr()
}

// Active reports whether the listener has a socket.
func (l *Listener) Active() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.socket != nil
}

// Close implements net.Listener. Nobody accepts any more once it has returned.
func (l *Listener) Close() error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.over)
	}
	if l.socket != nil {
		l.socket.retired.Store(true)
		_ = l.socket.ln.Close()
		l.socket = nil
	}
	for c := range l.waiting {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
	return nil
}

// Socket is an address that is listened on, to be used by a Listener.
type Socket struct {
	ln      *net.TCPListener
	retired atomic.Bool
}

// Addr returns the address.
func (s *Socket) Addr() net.Addr { return s.ln.Addr() }

// Close closes a socket that no Listener uses.
func (s *Socket) Close() error { return s.ln.Close() }

func (s *Socket) accept() (*net.TCPConn, error) { return s.ln.AcceptTCP() }

// retireTime is how long a socket that is given up goes on accepting: for as long as handshakes take that have begun.
const retireTime = 250 * time.Millisecond

// retire makes the goroutine that accepts close the socket soon. Meanwhile nobody is answered who begins to connect:
// clients try again within a second, and find the new socket or none.
func (s *Socket) retire() {
	s.ignore()
	s.retired.Store(true)
	_ = s.ln.SetDeadline(time.Now().Add(retireTime)) // a closed one needs no deadline
}
