//go:build !unix

package http1

// receive reads bytes into a buffer of the front.
func (c *conn) receive() error {
	b := c.front.buffers.Get().(*[maxHead]byte)
	if c.n, c.err = c.tcp.Read(b[:]); c.n > 0 {
		c.buf, c.err = b, nil
	} else {
		c.front.buffers.Put(b)
	}
	return c.err
}

func (c *conn) attempt(uintptr) bool { return true }
