//go:build unix

package fanout

import "golang.org/x/sys/unix"

// pollOut reports whether fd takes bytes or has failed.
func pollOut(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents != 0
}
