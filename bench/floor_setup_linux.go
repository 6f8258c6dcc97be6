package bench

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"weir/amf"
)

func (f *floor) open(address string) error {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", address, err)
	}
	sa, family := sockaddr(addr)
	f.ep, f.wake, f.listener = -1, -1, -1
	f.listener, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetsockoptInt(f.listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(f.listener, sa)
	}
	if err == nil {
		err = unix.Listen(f.listener, floorListen)
	}
	if err == nil {
		f.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	}
	if err == nil {
		f.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	for _, fd := range []int{f.listener, f.wake} {
		if err == nil {
			err = unix.EpollCtl(f.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
		}
	}
	if err != nil {
		f.close()
		return fmt.Errorf("listening on %s: %w", address, err)
	}
	return nil
}

func (f *floor) close() {
	for _, c := range f.conns {
		_ = unix.Close(c.fd)
	}
	for _, fd := range []int{f.listener, f.wake, f.ep} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// tcpAddr is the address in sa.
func tcpAddr(sa unix.Sockaddr) *net.TCPAddr {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	}
	return &net.TCPAddr{}
}

// setUp answers the handshake and the commands of a publisher or player. Its bytes are
// few, and the socket's buffer takes the answers.
func (f *floor) setUp(c *floorConn, b []byte) error {
	const c0c1, all = 1 + helloSize, 1 + 2*helloSize
	before := c.hello
	n := min(all-c.hello, len(b))
	c.hello += n
	if before < c0c1 && c.hello >= c0c1 {
		hellos := make([]byte, hellosSize)
		hellos[0] = 3
		if err := c.answer(hellos); err != nil {
			return err
		}
	}
	b = b[n:]
	if len(b) == 0 {
		return nil
	}
	return c.follow.feed(b)
}

// message implements messages. What a publisher sends later is only counted.
func (c *floorConn) message(typ byte, head []byte, _ int, _ uint32) error {
	if typ != typeCommand {
		return nil
	}
	args, err := amf.DecodeAll(head, amf.Limits{})
	if err != nil || len(args) < 2 {
		return errSetUp
	}
	e := encoder{chunk: publishChunk}
	switch args[0] {
	case "connect":
		e.chunk = 128
		e.add(typeChunkSize, 2, 0, be32(publishChunk))
		e.chunk = publishChunk
		e.command(0, "_result", 1, nil, status("NetConnection.Connect.Success"))
	case "createStream":
		tid, _ := args[1].(float64)
		e.command(0, "_result", tid, nil, 1.0)
	case "publish", "play":
		name, ok := "", false
		if len(args) > 3 {
			name, ok = args[3].(string)
		}
		if !ok || c.plays != nil || c.feeds != nil {
			return errSetUp
		}
		return c.enter(args[0] == "publish", name)
	}
	return c.answer(e.b)
}

// enter makes the connection a publisher or player of a stream.
func (c *floorConn) enter(publish bool, name string) error {
	s := c.f.streams[name]
	if s == nil {
		s = &floorStream{whole: true}
		c.f.streams[name] = s
	}
	code := "NetStream.Play.Start"
	if publish {
		code = "NetStream.Publish.Start"
	}
	e := encoder{chunk: publishChunk}
	e.command(1, "onStatus", 0, nil, status(code))
	if err := c.answer(e.b); err != nil {
		return err
	}
	if publish {
		c.feeds = s
		return nil
	}
	c.plays, c.index = s, len(s.players)
	s.players = append(s.players, c)
	return nil
}

func status(code string) amf.Object {
	return amf.Object{{Key: "level", Value: "status"}, {Key: "code", Value: code}, {Key: "description", Value: "the floor"}}
}

func (c *floorConn) answer(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := unix.SendmsgN(c.fd, b, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err == nil && n < len(b) {
		err = errSetUp
	}
	return err
}
