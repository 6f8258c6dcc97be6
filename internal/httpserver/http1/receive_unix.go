//go:build unix

package http1

import (
	"io"
	"syscall"
)

// receive waits for bytes and reads them into a buffer of the front. A connection that waits has no
// buffer.
func (c *conn) receive() error {
	if err := c.raw.Read(c.try); err != nil {
		c.err = err
	}
	return c.err
}

// attempt reads what has come. It reports false if nothing has.
func (c *conn) attempt(fd uintptr) bool {
	b := c.front.buffers.Get().(*[maxHead]byte)
	n, err := syscall.Read(int(fd), b[:])
	for err == syscall.EINTR { //nolint:errorlint // err is a plain number
		n, err = syscall.Read(int(fd), b[:])
	}
	if n > 0 {
		c.buf, c.n, c.err = b, n, nil
		return true
	}
	c.front.buffers.Put(b)
	if err == syscall.EAGAIN { //nolint:errorlint // the same
		return false
	}
	if c.err = err; err == nil {
		c.err = io.EOF
	}
	return true
}
