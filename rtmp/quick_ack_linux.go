package rtmp

import (
	"net"
	"syscall"
)

// quickAck has the kernel acknowledge what the peer sends next at once, where it would wait up to
// 40 ms for something to send along, as it does after each write of ours. A peer that leaves Nagle's
// algorithm on (ffmpeg, librtmp) holds back the rest of what it wrote for as long: each step of
// connect, publish and play takes that much longer. Worse, if such a peer closes its connection with an Acknowledgement
// unread, its kernel throws away what it still holds: the last frames of the stream.
type quickAck struct{ raw syscall.RawConn }

// newQuickAck looks for the TCP connection under nc. Without one there is nothing to do.
func newQuickAck(nc net.Conn) quickAck {
	for {
		under, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		nc = under.NetConn()
	}
	if c, ok := nc.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			return quickAck{raw}
		}
	}
	return quickAck{}
}

// again is to follow each write: the kernel forgets.
func (q quickAck) again() {
	if q.raw != nil {
		_ = q.raw.Control(setQuickAck)
	}
}

// setQuickAck is no closure: it costs no allocation per write. A socket that is not TCP refuses the option.
func setQuickAck(fd uintptr) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
}
