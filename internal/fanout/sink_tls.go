package fanout

import (
	"crypto/tls"
	"net"
	"sync"
	"syscall"
	"time"
)

// maxCiphertext is more than one record and an alert. With more unsent ciphertext than that, not
// even the connection's own messages fit, and it fails.
const (
	tlsHelping    = 64 << 10
	maxCiphertext = 2*tlsHelping + 64<<10
)

// TLSConn is the connection below a tls.Conn. Until Detach it is the plain connection;
// after it, Write never blocks: what the socket does not take is kept and sent before
// anything later.
type TLSConn struct {
	net.Conn
	rc syscall.RawConn
	fd int

	mu       sync.Mutex // guards below
	detached bool
	rest     []byte // ciphertext that did not fit
	err      error
}

// NewTLSConn prepares c for tls.Server. It reports false where the system has no non-blocking
// sends: only a sink with a goroutine can send there.
func NewTLSConn(c net.Conn) (*TLSConn, bool) {
	t := &TLSConn{Conn: c}
	sc, ok := c.(syscall.Conn)
	if !haveRawSend || !ok {
		return t, false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return t, false
	}
	t.rc = rc
	return t, rc.Control(func(fd uintptr) { t.fd = int(fd) }) == nil
}

// NetConn returns the connection below, as that of tls.Conn does.
func (t *TLSConn) NetConn() net.Conn { return t.Conn }

// Write is tls.Conn's way to the socket.
func (t *TLSConn) Write(p []byte) (int, error) {
	t.mu.Lock()
	if !t.detached {
		t.mu.Unlock()
		return t.Conn.Write(p)
	}
	defer t.mu.Unlock()
	n := 0
	if t.err == nil && len(t.rest) == 0 {
		n, t.err = rawSend(t.fd, p)
	}
	if t.err == nil {
		t.keep(p[n:])
	}
	if t.err != nil {
		return 0, t.err
	}
	return len(p), nil
}

// keep holds what did not fit. mu is held.
func (t *TLSConn) keep(p []byte) {
	if len(t.rest)+len(p) > maxCiphertext {
		t.err = ErrBacklog
		return
	}
	t.rest = append(t.rest, p...)
}

// flush sends what was kept and reports whether all of it went.
func (t *TLSConn) flush() (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.rest) > 0 && t.err == nil {
		n, err := rawSend(t.fd, t.rest)
		if err != nil {
			t.err = err
			break
		}
		if n == 0 {
			return false, nil
		}
		if t.rest = t.rest[n:]; len(t.rest) == 0 {
			t.rest = nil // a player that keeps up holds no buffer
		}
	}
	return t.err == nil, t.err
}

// SetWriteDeadline is ignored once detached: writes do not block then.
func (t *TLSConn) SetWriteDeadline(d time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.detached {
		return nil
	}
	return t.Conn.SetWriteDeadline(d)
}

// tlsSink encrypts on the worker and sends the ciphertext without blocking.
type tlsSink struct {
	tls  *tls.Conn
	raw  *TLSConn
	wait *sync.WaitGroup
}

// TLS returns the sink for a TLS connection made over raw by tls.Server, whose
// handshake is done. The bytes the read side must send (key updates, alerts) stay in order with
// the player's own.
func (e *Engine) TLS(c *tls.Conn, raw *TLSConn) Sink {
	bound(raw.Conn)
	raw.mu.Lock()
	raw.detached = true
	raw.mu.Unlock()
	return &tlsSink{tls: c, raw: raw, wait: &e.events}
}

func (s *tlsSink) TrySend(p []byte) (int, bool, error) {
	sent := 0
	for {
		ok, err := s.raw.flush()
		if err != nil || !ok || len(p) == 0 {
			return sent, !ok, err
		}
		n, err := s.tls.Write(p[:min(len(p), tlsHelping)])
		sent += n
		if err != nil {
			return sent, false, err
		}
		p = p[n:]
	}
}

func (s *tlsSink) Arm(w Writable) {
	s.wait.Go(func() {
		awaitWritable(s.raw.rc)
		w.Writable()
	})
}

// Close sends no alert: it could block behind a full socket, and the peer learns of
// the end from the connection's.
func (s *tlsSink) Close() error {
	_ = s.raw.Conn.SetDeadline(time.Now()) // a read in progress on another goroutine ends
	return s.raw.Conn.Close()
}
