package rtmp

import (
	"sync/atomic"
	"time"
)

// Stats are the counters of a session at one moment.
type Stats struct {
	// At is that moment.
	At time.Time
	// BytesIn and BytesOut count the connection from its first byte. They do not count what the
	// caller of a detached session sends.
	BytesIn, BytesOut uint64
	// LastIn and LastOut are when the peer last sent something and was last sent
	// something; zero if never.
	LastIn, LastOut time.Time
	// Stray is the audio, video and data messages dropped because nothing was
	// published, Data the data messages dropped while publishing (undecodable, too
	// long, too frequent), Commands the undecodable commands, Ignored the messages
	// that mean nothing to a server.
	Stray, Data, Commands, Ignored uint64
}

// Rates returns the bits a second received and sent since an earlier moment.
func (s Stats) Rates(earlier Stats) (in, out float64) {
	d := s.At.Sub(earlier.At).Seconds()
	if d <= 0 {
		return 0, 0
	}
	return float64(s.BytesIn-earlier.BytesIn) * 8 / d, float64(s.BytesOut-earlier.BytesOut) * 8 / d
}

// droppedCounters count what is dropped.
type droppedCounters struct{ stray, data, commands atomic.Uint64 }

// Stats returns the session's counters.
func (s *ServerSession) Stats() Stats {
	st := s.conn.stats()
	st.Stray = s.dropped.stray.Load()
	st.Data = s.dropped.data.Load()
	st.Commands = s.dropped.commands.Load()
	return st
}

// stats are the counters of a connection.
func (c *Conn) stats() Stats {
	return Stats{
		At:       time.Now(),
		BytesIn:  c.bytesIn.Load(),
		BytesOut: c.bytesOut.Load(),
		LastIn:   unixNano(c.lastIn.Load()),
		LastOut:  unixNano(c.lastOut.Load()),
		Ignored:  c.ignored.Load(),
	}
}

// unixNano is the inverse of Time.UnixNano; 0 is the zero time.
func unixNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// drop counts a dropped message; the first of each kind is reported.
func (s *ServerSession) drop(counter *atomic.Uint64, kind string) {
	counter.Add(1)
	s.once(EventDropped, kind)
}

// note reports a peculiarity of the peer the first time it is seen.
func (s *ServerSession) note(detail string) { s.once(EventAnomaly, detail) }

// once reports an event unless it was reported before. Its details are texts of ours, of which there are few.
func (s *ServerSession) once(kind EventKind, detail string) {
	if s.noted[detail] {
		return
	}
	if s.noted == nil {
		s.noted = make(map[string]bool)
	}
	s.noted[detail] = true
	s.srv.observe(Event{Kind: kind, Session: s, Remote: s.RemoteAddr(), Detail: detail})
}

// noteStreamID is the note about an encoder that uses a message stream id that it was
// not given.
const noteStreamID = "message stream id was not given to the peer; the only stream is meant"
