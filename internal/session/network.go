package session

import "time"

// Network is what the operating system measures of a session's connection.
type Network struct {
	RTT         time.Duration // round-trip time, smoothed
	RTTVariance time.Duration // how much it varies
	Retransmits uint64        // segments that had to be sent again so far
	OutOfOrder  uint64        // segments that came out of order so far; 0 where the kernel does not count them
	Unsent      uint64        // bytes that the kernel has taken and not sent yet
	Rate        uint64        // bits per second that the peer took lately, as far as we sent as much; 0 if unknown
}

// SetNetwork gives the session the function that asks the system about its connection. It is
// called from any goroutine, also after the connection was closed, and reports false if there is
// nothing to tell. f may be nil.
func (s *Session) SetNetwork(f func() (Network, bool)) {
	if f != nil {
		s.network.Store(&f)
	}
}

// Network asks the system about the session's connection; false where that cannot be told, as for
// sessions without a connection of their own and on systems other than Linux.
func (s *Session) Network() (Network, bool) {
	if f := s.network.Load(); f != nil {
		return (*f)()
	}
	return Network{}, false
}
