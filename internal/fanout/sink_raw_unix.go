//go:build unix && !linux

package fanout

import (
	"errors"
	"syscall"
)

const haveRawSend = true

// rawSend sends without blocking: Go's sockets are in non-blocking mode.
func rawSend(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Write(fd, p)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return 0, nil
		default:
			return 0, err
		}
	}
}
