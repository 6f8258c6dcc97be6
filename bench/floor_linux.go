package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	floorBuffer  = 512 << 10
	floorBacklog = 8 << 20 // bytes kept for a player whose socket is full
	floorListen  = 4096    // connections that wait to be accepted
)

// Floor is the least that a server can do: it reads what publishers send, looks at it
// only to find where messages end, and sends the same bytes to the stream's players, with
// one system call per player and whole messages each. It answers the set-up with
// prepared bytes, keeps nothing for newcomers, and serves this package's publishers and
// players only. Measured servers are compared with it.
//
// It runs until ctx ends, which is no error.
func Floor(ctx context.Context, c FloorConfig) (FloorReport, error) {
	f := &floor{gather: c.Gather, conns: map[int32]*floorConn{}, streams: map[string]*floorStream{}, buf: make([]byte, floorBuffer)}
	if err := f.open(c.Listen); err != nil {
		return FloorReport{}, err
	}
	defer f.close()
	if c.Listening != nil {
		sa, err := unix.Getsockname(f.listener)
		if err != nil {
			return FloorReport{}, err
		}
		c.Listening(tcpAddr(sa))
	}
	// The loop keeps its thread, and ends by a byte.
	defer context.AfterFunc(ctx, func() { _, _ = unix.Write(f.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) })()
	var wg sync.WaitGroup
	var err error
	wg.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err = f.serve(ctx)
	})
	wg.Wait()
	return f.report, err
}

// floor is the state of Floor. Connections are known by their descriptors.
type floor struct {
	gather             time.Duration
	listener, wake, ep int
	conns              map[int32]*floorConn
	streams            map[string]*floorStream
	buf                []byte
	report             FloorReport
}

// floorStream is a publisher's bytes and who gets them.
type floorStream struct {
	bytes   []byte
	whole   bool // bytes ends with a message
	due     bool // bytes is to be sent once it does
	players []*floorConn
}

// floorConn is a publisher or a player.
type floorConn struct {
	f       *floor
	fd      int
	hello   int // bytes of C0, C1 and C2 that came
	follow  *rtmpFollower
	plays   *floorStream
	feeds   *floorStream
	pending []byte
	index   int // within plays.players
}

// serve runs the loop until ctx ends.
func (f *floor) serve(ctx context.Context) error {
	events := make([]unix.EpollEvent, loopEvents)
	next := time.Now().Add(f.gather)
	for ctx.Err() == nil {
		timeout := -1
		if f.gather > 0 {
			now := time.Now()
			if !now.Before(next) {
				f.flushAll()
				for !now.Before(next) {
					next = next.Add(f.gather)
				}
			}
			timeout = int((time.Until(next) + time.Millisecond - 1) / time.Millisecond)
		}
		n, err := unix.EpollWait(f.ep, events, max(timeout, -1))
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("waiting for events: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			switch ev.Fd {
			case int32(f.wake):
			case int32(f.listener):
				f.accept()
			default:
				if c := f.conns[ev.Fd]; c != nil {
					f.event(c, ev.Events)
				}
			}
		}
	}
	return nil
}

func (f *floor) accept() {
	for {
		fd, _, err := unix.Accept4(f.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		c := &floorConn{f: f, fd: fd}
		c.follow = newRTMPFollower(c)
		if err := unix.EpollCtl(f.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			_ = unix.Close(fd)
			continue
		}
		f.conns[int32(fd)] = c
	}
}

func (f *floor) event(c *floorConn, events uint32) {
	if events&unix.EPOLLOUT != 0 {
		pending := c.pending
		c.pending = nil
		f.send(c, pending, true)
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) == 0 || f.conns[int32(c.fd)] != c {
		return
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(&f.buf[0])), uintptr(len(f.buf)), unix.MSG_DONTWAIT, 0, 0)
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return
	}
	if errno != 0 || n == 0 {
		f.drop(c)
		return
	}
	switch {
	case c.feeds != nil:
		f.relay(c, f.buf[:n])
	case c.plays == nil:
		if err := f.setUp(c, f.buf[:n]); err != nil {
			f.drop(c)
		}
	}
	// What players say is acknowledgements: read, so that it does not pile up.
}

// relay takes a publisher's bytes and, once they end with a message, sends them on.
func (f *floor) relay(c *floorConn, b []byte) {
	f.report.Received += int64(len(b))
	if err := c.follow.feed(b); err != nil {
		f.drop(c)
		return
	}
	s := c.feeds
	s.whole = c.follow.atBoundary()
	if f.gather == 0 && s.whole && len(s.bytes) == 0 {
		f.toAll(s, b) // the usual case: no copy
		return
	}
	s.bytes = append(s.bytes, b...)
	if s.whole && (f.gather == 0 || s.due) {
		f.flush(s)
	}
}

func (f *floor) flushAll() {
	for _, s := range f.streams {
		if s.due = !s.whole; s.whole && len(s.bytes) > 0 {
			f.flush(s)
		}
	}
}

func (f *floor) flush(s *floorStream) {
	f.toAll(s, s.bytes)
	s.bytes, s.due = s.bytes[:0], false
}

func (f *floor) toAll(s *floorStream, b []byte) {
	// From the end, because a player that is dropped is replaced by the last one.
	for i := len(s.players) - 1; i >= 0; i-- {
		f.send(s.players[i], b, false)
	}
}

// send sends b, or keeps what a full socket did not take. resumed says that the socket
// was full and has room again.
func (f *floor) send(c *floorConn, b []byte, resumed bool) {
	if len(b) == 0 {
		return
	}
	if len(c.pending) > 0 {
		if len(c.pending)+len(b) > floorBacklog {
			f.report.Dropped++
			f.drop(c)
			return
		}
		c.pending = append(c.pending, b...)
		return
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	f.report.Sends++
	if errno != 0 {
		if errno != unix.EAGAIN && errno != unix.EINTR {
			f.drop(c)
			return
		}
		n = 0
	}
	f.report.Sent += int64(n)
	full := int(n) < len(b)
	if full {
		f.report.Short++
		c.pending = append(make([]byte, 0, len(b)), b[n:]...)
	}
	if full != resumed {
		want := uint32(unix.EPOLLIN)
		if full {
			want |= unix.EPOLLOUT
		}
		if err := unix.EpollCtl(f.ep, unix.EPOLL_CTL_MOD, c.fd, &unix.EpollEvent{Events: want, Fd: int32(c.fd)}); err != nil {
			f.drop(c)
		}
	}
}

// drop closes a connection.
func (f *floor) drop(c *floorConn) {
	_ = unix.Close(c.fd)
	delete(f.conns, int32(c.fd))
	if s := c.feeds; s != nil { // no player was given a part of a message
		s.bytes, s.whole, s.due = nil, true, false
	}
	if s := c.plays; s != nil {
		last := s.players[len(s.players)-1]
		s.players[c.index], last.index = last, c.index
		s.players = s.players[:len(s.players)-1]
	}
}

// errSetUp ends a connection of someone who is not of this package.
var errSetUp = errors.New("not a peer of this program")
