package push

import "syscall"

const (
	tcpNotSentLowAt = 25 // TCP_NOTSENT_LOWAT, which package syscall lacks
	// unsent bounds what the kernel holds of a target beyond what is under way, in bytes. It leaves
	// the choice of what is sent next, a newer key frame after a skip, to us.
	unsent = 32 << 10
)

// bound bounds what the kernel keeps for a connection.
func bound(c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLowAt, unsent) // without it only the bound is lost
	})
}
