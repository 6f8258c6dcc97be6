package intake

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// enough is how many waiting bytes are read without waiting for the next beat: more of them in the
// kernel would close the peer's window.
const enough = 64 << 10

// Conn is a TCP connection that becomes cheap to read once Publishing is called, and
// that can wait without a goroutine.
type Conn struct {
	*net.TCPConn
	remote net.Addr // the client, if it is not the peer of the socket
	poller *Poller
	reader *reader // nil before the first Publishing

	mu       sync.Mutex // guards below
	deadline time.Time  // of reading, as the owner set it
	ready    func()     // what Await was given
}

// Wrap returns a Conn of a TCP connection, which may be one that a proxy speaks for; false if nc is something
// else. p may be nil.
func Wrap(nc net.Conn, p *Poller) (*Conn, bool) {
	if proxied, ok := nc.(interface{ Socket() *net.TCPConn }); ok {
		return &Conn{TCPConn: proxied.Socket(), remote: nc.RemoteAddr(), poller: p}, true
	}
	tc, ok := nc.(*net.TCPConn)
	return &Conn{TCPConn: tc, poller: p}, ok
}

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr {
	if c.remote != nil {
		return c.remote
	}
	return c.TCPConn.RemoteAddr()
}

// Await calls ready once, on a goroutine of the poller, as soon as Read would not block: when bytes
// have come, the peer or Close has closed the connection, or a deadline in the past has been set.
// It reports false, and calls nothing, if the connection cannot be watched. Until then nobody may
// read, and a deadline in the future does not end the wait.
func (c *Conn) Await(ready func()) bool {
	if c.poller == nil || c.reader != nil {
		return false
	}
	c.mu.Lock()
	c.ready = ready
	passed := c.passed()
	c.mu.Unlock()
	if passed || c.poller.watch(c) != nil {
		c.wake() // the next read returns the error
	}
	return true
}

// passed reports whether the deadline has passed. mu is held.
func (c *Conn) passed() bool { return !c.deadline.IsZero() && !c.deadline.After(time.Now()) }

// wake calls the function that Await was given, if any.
func (c *Conn) wake() {
	c.mu.Lock()
	ready := c.ready
	c.ready = nil
	c.mu.Unlock()
	if ready != nil {
		c.poller.work.Go(ready)
	}
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	err := c.TCPConn.Close()
	c.wake()
	return err
}

// Publishing says that from now on the connection is a publisher's, to be read at p's beats. The
// returned function ends that. The goroutine that reads calls both; p may be nil.
func (c *Conn) Publishing(p *Pacer) (end func()) {
	if c.reader == nil {
		rc, err := c.SyscallConn()
		if err != nil {
			return func() {} // Read returns the error
		}
		c.reader = &reader{conn: c, raw: rc}
		c.reader.try = c.reader.receive
	}
	if p == nil || c.reader.pacer != nil {
		return func() {}
	}
	c.reader.pacer = p
	p.publishers.Add(1)
	return func() {
		c.reader.pacer = nil
		p.publishers.Add(-1)
	}
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if c.reader == nil {
		return c.TCPConn.Read(b)
	}
	return c.reader.read(b)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(t, c.TCPConn.SetReadDeadline)
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setDeadline(t, c.TCPConn.SetDeadline)
}

func (c *Conn) setDeadline(t time.Time, set func(time.Time) error) error {
	c.mu.Lock()
	c.deadline = t
	err := set(t)
	passed := c.passed()
	c.mu.Unlock()
	if passed {
		c.wake()
	}
	return err
}

// wakeAt makes the wait for bytes end at t, or at the owner's deadline if that is earlier. It reports whether it is.
func (c *Conn) wakeAt(t time.Time) (deadline bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if deadline = !c.deadline.IsZero() && c.deadline.Before(t); deadline {
		t = c.deadline
	}
	return deadline, c.TCPConn.SetReadDeadline(t)
}

// reader reads a publisher. It belongs to the goroutine that reads.
type reader struct {
	conn  *Conn
	raw   syscall.RawConn
	try   func(fd uintptr) bool // the method receive, bound once
	pacer *Pacer
	paced bool // the kernel wakes nobody for less than enough bytes

	into    []byte
	n       int
	errno   syscall.Errno
	drained bool // the last read took all there was
}

// read waits for bytes, or for the next beat and what has come by then.
func (r *reader) read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	r.into = b
	defer func() { r.into = nil }()
	for {
		interval := time.Duration(0)
		if r.pacer != nil {
			interval = r.pacer.Interval()
		}
		if err := r.setPaced(interval > 0); err != nil {
			return 0, err
		}
		// Without a beat another read is needed: the poller may not report the peer's end a second time.
		r.drained = r.drained && interval > 0
		isDeadline := true
		if interval > 0 {
			var err error
			if isDeadline, err = r.conn.wakeAt(r.pacer.next(time.Now(), interval)); err != nil {
				return 0, err
			}
		}
		switch err := r.raw.Read(r.try); {
		case err == nil && r.errno != 0:
			return 0, &net.OpError{Op: "read", Net: "tcp", Source: r.conn.LocalAddr(), Addr: r.conn.RemoteAddr(), Err: os.NewSyscallError("recvfrom", r.errno)}
		case err == nil && r.n == 0:
			return 0, io.EOF
		case err == nil:
			r.drained = r.n < len(b)
			return r.n, nil
		case isDeadline || !os.IsTimeout(err):
			return 0, err
		}
		r.drained = false // the beat has come: look
	}
}

// receive tries to read, without blocking. It reports false if there is nothing to read.
func (r *reader) receive(fd uintptr) bool {
	if r.drained {
		r.drained = false
		return false
	}
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd,
			uintptr(unsafe.Pointer(unsafe.SliceData(r.into))), uintptr(len(r.into)), syscall.MSG_DONTWAIT, 0, 0)
		switch errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		r.n, r.errno = int(n), errno
		return true
	}
}

// setPaced tells the kernel how many bytes must wait before it wakes the reader.
func (r *reader) setPaced(on bool) error {
	if on == r.paced {
		return nil
	}
	r.paced = on
	least := 1
	if on {
		least = enough
	}
	var err error
	if cerr := r.raw.Control(func(fd uintptr) {
		err = os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, least))
	}); cerr != nil {
		return cerr
	}
	if !on && err == nil {
		r.conn.mu.Lock()
		err = r.conn.TCPConn.SetReadDeadline(r.conn.deadline)
		r.conn.mu.Unlock()
	}
	return err
}
