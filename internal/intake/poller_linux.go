package intake

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// pollEvents is how many connections are taken from the kernel at a time.
const pollEvents = 128

// Poller waits for the bytes of silent connections with one goroutine, where each would otherwise have its own with 2
// KiB of stack or more. The runtime watches its epoll descriptor like that of a connection.
type Poller struct {
	work sync.WaitGroup // the loop, and the functions that it called
	file *os.File
	raw  syscall.RawConn

	mu    sync.Mutex // guards below
	conns []*Conn    // by descriptor; those that may be waiting
	// adding is the connection that add is called for.
	adding *Conn
	add    func(fd uintptr)
	addErr error
}

// NewPoller returns a poller. Close it when all its connections have been closed.
func NewPoller() (*Poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err == nil {
		err = syscall.SetNonblock(fd, true) // so that the runtime watches it
	}
	if err != nil {
		return nil, fmt.Errorf("making a poller: %w", err)
	}
	p := &Poller{file: os.NewFile(uintptr(fd), "poller")}
	p.add = p.ctl
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return nil, fmt.Errorf("making a poller: %w", err)
	}
	p.work.Go(p.run)
	return p, nil
}

// Close ends the poller and waits for the functions that it called.
func (p *Poller) Close() {
	_ = p.file.Close()
	p.work.Wait()
}

// watch has c woken once, by its next event.
func (p *Poller) watch(c *Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.adding = c
	err = raw.Control(p.add) // only in Control: outside the descriptor could already be another connection's
	p.adding = nil
	if err == nil {
		err = p.addErr
	}
	return err
}

// ctl registers the descriptor of adding with the kernel. mu is held.
func (p *Poller) ctl(fd uintptr) {
	for len(p.conns) <= int(fd) {
		p.conns = append(p.conns, nil)
	}
	p.conns[fd] = p.adding
	var err error
	closed := p.raw.Control(func(ep uintptr) {
		ev := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | oneShot, Fd: int32(fd)}
		err = syscall.EpollCtl(int(ep), syscall.EPOLL_CTL_MOD, int(fd), &ev)
		if errors.Is(err, syscall.ENOENT) { // the first time
			err = syscall.EpollCtl(int(ep), syscall.EPOLL_CTL_ADD, int(fd), &ev)
		}
	})
	if p.addErr = closed; closed == nil {
		p.addErr = err
	}
}

// oneShot is EPOLLONESHOT.
const oneShot = 1 << 30

// run wakes connections until the poller is closed.
func (p *Poller) run() {
	events := make([]syscall.EpollEvent, pollEvents)
	for {
		n := 0
		err := p.raw.Read(func(ep uintptr) bool {
			var err error
			n, err = syscall.EpollWait(int(ep), events, 0)
			return n > 0 || err != nil
		})
		if err != nil {
			return
		}
		for _, ev := range events[:max(n, 0)] {
			p.mu.Lock()
			c := p.conns[ev.Fd]
			p.conns[ev.Fd] = nil // the next Await puts it back
			p.mu.Unlock()
			if c != nil {
				c.wake()
			}
		}
	}
}
