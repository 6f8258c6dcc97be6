package listen

import (
	"context"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// openBeside listens on an address whose port listeners of this program hold. For this moment the sockets say that
// they share their ports, which the kernel allows one user's own only. It returns was if none of them has the port, or
// if that does not help: then another program has it.
func openBeside(ctx context.Context, lc net.ListenConfig, addr string, own []*Listener, was error) (net.Listener, error) {
	_, port, _ := net.SplitHostPort(addr)
	ours := false
	for _, l := range own {
		if _, p, _ := net.SplitHostPort(l.Addr().String()); p != port {
			continue
		}
		ours = true
		l.share(true)
		defer l.share(false)
	}
	if !ours {
		return nil, was
	}
	lc.Control = func(_, _ string, rc syscall.RawConn) error { return setShared(rc, true) }
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, was
	}
	if rc, err := ln.(*net.TCPListener).SyscallConn(); err == nil { //nolint:forcetypeassert // of a TCP address
		_ = setShared(rc, false) // otherwise another program of this user could take it too
	}
	return ln, nil
}

func (l *Listener) share(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.socket == nil {
		return
	}
	if rc, err := l.socket.ln.SyscallConn(); err == nil {
		_ = setShared(rc, on) // if it fails, so does listening
	}
}

func setShared(rc syscall.RawConn, on bool) error {
	value := 0
	if on {
		value = 1
	}
	var failed error
	err := rc.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, value) })
	if err != nil {
		return err
	}
	return failed
}
