package listen

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// withoutSYN is a socket filter that passes all packets but those that begin a connection: TCP flags with SYN and
// without ACK. The packet begins with the TCP header.
var withoutSYN = [...]unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: 0x02},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// ignore makes the kernel drop the packets of clients that begin to connect. If it fails, a connection that is made in
// the very moment in which the socket is closed may be reset.
func (s *Socket) ignore() {
	rc, err := s.ln.SyscallConn()
	if err != nil {
		return
	}
	filter := withoutSYN
	_ = rc.Control(func(fd uintptr) {
		_ = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	})
}

// drain passes on the connections that the kernel has made and nobody has accepted: closing the socket would reset
// them. A deadline would end Accept although some are left.
func (s *Socket) drain(take func(*net.TCPConn)) {
	_ = s.ln.SetDeadline(time.Time{})
	rc, err := s.ln.SyscallConn()
	if err != nil {
		return
	}
	_ = rc.Read(func(fd uintptr) bool {
		for {
			nfd, _, err := syscall.Accept4(int(fd), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			if errors.Is(err, syscall.EINTR) || errors.Is(err, syscall.ECONNABORTED) {
				continue
			}
			if err != nil {
				return true // none is left
			}
			f := os.NewFile(uintptr(nfd), "")
			c, err := net.FileConn(f) // has a descriptor of its own
			_ = f.Close()
			if err != nil {
				continue
			}
			if tc, ok := c.(*net.TCPConn); ok {
				take(tc)
			}
		}
	})
}
