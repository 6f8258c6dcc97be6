//go:build !linux

package listen

import (
	"net"
	"time"
)

// ignore does nothing: here the socket goes on answering until it is closed.
func (s *Socket) ignore() {}

// drainTime is how long a socket that is given up accepts the connections that clients have already made.
const drainTime = 100 * time.Millisecond

// drain passes on the connections that the kernel has made and nobody has accepted: closing the socket would reset
// them.
func (s *Socket) drain(take func(*net.TCPConn)) {
	_ = s.ln.SetDeadline(time.Now().Add(drainTime))
	for {
		c, err := s.ln.AcceptTCP()
		if err != nil {
			return
		}
		take(c)
	}
}
