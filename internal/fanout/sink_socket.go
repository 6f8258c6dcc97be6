package fanout

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// sendBuffer bounds what the kernel holds for a player, in bytes asked for; Linux doubles
// it. Without a bound the kernel grows it to megabytes: a slow player is then ten seconds behind
// inside the kernel, where no policy sees it.
const sendBuffer = 256 << 10

// socketSink sends to a TCP or unix connection on its descriptor.
type socketSink struct {
	conn net.Conn
	rc   syscall.RawConn
	fd   int
	wait *sync.WaitGroup
}

// Socket returns the sink for a plain connection: the descriptor itself where the system
// allows, else a goroutine of its own. portable asks for the latter everywhere. The caller may go
// on reading, with deadlines; nobody else may write or close.
func (e *Engine) Socket(c net.Conn, portable bool) Sink {
	if !portable {
		if s := e.socket(c); s != nil {
			return s
		}
	}
	return e.Portable(c)
}

func (e *Engine) socket(c net.Conn) *socketSink {
	if !haveRawSend {
		return nil
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socketSink{conn: c, rc: rc, wait: &e.events}
	if err := rc.Control(func(fd uintptr) { s.fd = int(fd) }); err != nil {
		return nil
	}
	bound(c)
	return s
}

// bound sets the size of the kernel's send buffer, if there is one, and removes the deadline of the
// set-up, which would end every wait at once.
func bound(c net.Conn) {
	_ = c.SetWriteDeadline(time.Time{})
	if b, ok := c.(interface{ SetWriteBuffer(int) error }); ok {
		_ = b.SetWriteBuffer(sendBuffer) // without it only the bound is lost
	}
}

func (s *socketSink) TrySend(p []byte) (int, bool, error) {
	if len(p) == 0 {
		return 0, false, nil
	}
	n, err := rawSend(s.fd, p)
	return n, n < len(p), err
}

// Arm waits through the runtime's poller on a goroutine that lives only while the
// socket is full.
func (s *socketSink) Arm(w Writable) {
	s.wait.Go(func() {
		awaitWritable(s.rc)
		w.Writable()
	})
}

// awaitWritable returns once the socket takes bytes or has failed. The first call of the function
// makes the runtime wait for the next change that its poller sees; pollOut looks at the present
// state, in case the change came before.
func awaitWritable(rc syscall.RawConn) {
	_ = rc.Write(func(fd uintptr) bool { return pollOut(int(fd)) }) // an error means that it is closed: the next send returns it
}

func (s *socketSink) Close() error { return s.conn.Close() }
