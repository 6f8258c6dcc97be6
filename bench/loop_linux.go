package bench

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	loopBuffer = 256 << 10
	loopEvents = 512
	wakeIndex  = -1 // the event of the loop's own wake-up descriptor
)

// loop reads many connections on one goroutine. The events are level-triggered: one read
// per event is enough, and none comes back empty.
type loop struct {
	run      *run
	ep, wake int
	slowRate int
	buf      []byte
	rec      *recorder
	conns    []*loopConn // by index, which is the events' datum
	slow     []*loopConn
	read     int64 // bytes not yet added to the run's

	mu    sync.Mutex // guards below
	inbox []*loopConn
}

// loopConn is a player's connection.
type loopConn struct {
	p          *player
	fd         int
	index      int32
	connecting bool
	writing    bool // the events ask for writability
	throttled  bool // it is read by the clock, not by events
	pace       pacer
}

func newLoop(r *run, slowRate int) (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("creating an epoll set: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeIndex})
	}
	if err != nil {
		_ = unix.Close(ep)
		return nil, fmt.Errorf("creating an event descriptor: %w", err)
	}
	return &loop{run: r, ep: ep, wake: wake, slowRate: slowRate, buf: make([]byte, loopBuffer), rec: r.recorder()}, nil
}

// close releases the descriptors, after serve has returned.
func (l *loop) close() {
	_ = unix.Close(l.ep)
	_ = unix.Close(l.wake)
}

func (l *loop) wakeUp() { _, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func (l *loop) hand(c *loopConn) {
	l.mu.Lock()
	l.inbox = append(l.inbox, c)
	l.mu.Unlock()
	l.wakeUp()
}

// connect begins to connect a player. It may be called from any goroutine.
func (l *loop) connect(p *player) {
	begun := l.run.clock.now()
	addr, err := p.target.dialAddr()
	if err != nil {
		l.run.playerOver(p, err)
		return
	}
	sa, family := sockaddr(addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		l.run.playerOver(p, err)
		return
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if p.slow {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, slowReceive)
	}
	p.begin(begun)
	if err := unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		l.run.playerOver(p, err)
		return
	}
	l.hand(&loopConn{p: p, fd: fd, connecting: true, writing: true})
}

// adopt takes over a player that drains.
func (l *loop) adopt(p *player, nc *net.TCPConn) bool {
	fd, err := adoptable(nc)
	if err != nil {
		return false
	}
	p.out, p.window = nil, 0 // whatever it sends would have to be encrypted
	l.hand(&loopConn{p: p, fd: fd})
	return true
}

// duplicate returns another descriptor of the same connection.
func duplicate(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

func sockaddr(a *net.TCPAddr) (unix.Sockaddr, int) {
	ip := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if got, ok := netip.AddrFromSlice(a.IP); ok {
		ip = got.Unmap()
	}
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: a.Port, Addr: ip.As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: a.Port, Addr: ip.As16()}, unix.AF_INET6
}

// serve reads until the run is stopped.
func (l *loop) serve() {
	events := make([]unix.EpollEvent, loopEvents)
	for {
		timeout := -1
		if len(l.slow) > 0 {
			timeout = int(slowPause / time.Millisecond)
		}
		n, err := unix.EpollWait(l.ep, events, timeout)
		if err != nil && err != unix.EINTR {
			break
		}
		stop := false
		for _, ev := range events[:max(n, 0)] {
			if ev.Fd == wakeIndex {
				stop = l.awake()
			} else if c := l.conns[ev.Fd]; c != nil {
				l.event(c, ev.Events)
			}
		}
		l.readSlow()
		l.run.bytes.Add(l.read)
		l.read = 0
		if stop {
			break
		}
	}
	l.awake()
	for _, c := range l.conns {
		if c != nil {
			l.drop(c, nil)
		}
	}
}

// awake takes what was handed in, and reports whether the run is over.
func (l *loop) awake() (stop bool) {
	var b [8]byte
	_, _ = unix.Read(l.wake, b[:])
	l.mu.Lock()
	in := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, c := range in {
		c.index = int32(len(l.conns))
		c.p.rec = l.rec
		c.pace = pacer{rate: l.slowRate, last: time.Now()}
		l.conns = append(l.conns, c)
		if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: c.interest(), Fd: c.index}); err != nil {
			l.drop(c, err)
		}
	}
	return l.run.stopping.Load()
}

// interest is what a connection waits for.
func (c *loopConn) interest() uint32 {
	var want uint32
	if !c.throttled {
		want |= unix.EPOLLIN
	}
	if c.writing {
		want |= unix.EPOLLOUT
	}
	return want
}

func (l *loop) setInterest(c *loopConn) {
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: c.interest(), Fd: c.index}); err != nil {
		l.drop(c, err)
	}
}

// drop closes a connection.
func (l *loop) drop(c *loopConn, err error) {
	_ = unix.Close(c.fd)
	l.conns[c.index] = nil
	l.run.playerOver(c.p, err)
}

func (l *loop) event(c *loopConn, events uint32) {
	if c.connecting {
		if n, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || n != 0 {
			l.drop(c, unix.Errno(n))
			return
		}
		c.connecting = false
	}
	if events&unix.EPOLLOUT != 0 && !l.write(c) {
		return
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		l.receive(c, len(l.buf))
	}
}

// receive reads once. What drains is thrown away by the kernel: with MSG_TRUNC it copies
// nothing.
func (l *loop) receive(c *loopConn, size int) {
	flags := unix.MSG_DONTWAIT
	if c.p.draining {
		flags |= unix.MSG_TRUNC
	}
	r, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(&l.buf[0])), uintptr(size), uintptr(flags), 0, 0)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return
	case errno != 0:
		l.drop(c, errno)
		return
	case r == 0:
		l.drop(c, c.p.ended(nil))
		return
	}
	n := int(r)
	l.read += int64(n)
	l.rec.at(l.run.clock.now())
	c.pace.take(n)
	if err := c.p.received(l.buf[:n], n); err != nil {
		l.drop(c, err)
		return
	}
	if len(c.p.out) > 0 && !c.writing && !l.write(c) {
		return
	}
	if c.p.slow && !c.throttled && c.p.started != 0 {
		c.throttled = true
		c.pace = pacer{rate: l.slowRate, last: time.Now()}
		l.slow = append(l.slow, c)
		l.setInterest(c)
	}
}

// write writes what the player has to say; false if the connection is gone.
func (l *loop) write(c *loopConn) bool {
	out := c.p.out
	for len(out) > 0 {
		n, err := unix.SendmsgN(c.fd, out, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err == unix.EAGAIN || err == unix.EINTR {
			break
		}
		if err != nil {
			l.drop(c, err)
			return false
		}
		out = out[n:]
	}
	c.p.out = append(c.p.out[:0], out...)
	if more := len(out) > 0; more != c.writing {
		c.writing = more
		l.setInterest(c)
	}
	return l.conns[c.index] != nil
}

// readSlow lets the slow players read what they are allowed.
func (l *loop) readSlow() {
	if len(l.slow) == 0 {
		return
	}
	now := time.Now()
	kept := l.slow[:0]
	for _, c := range l.slow {
		if l.conns[c.index] != c {
			continue
		}
		if now.Sub(c.pace.last) >= slowPause {
			if n := min(c.pace.allow(now), len(l.buf)); n > 0 {
				l.receive(c, n)
			}
		}
		if l.conns[c.index] == c {
			kept = append(kept, c)
		}
	}
	l.slow = kept
}
