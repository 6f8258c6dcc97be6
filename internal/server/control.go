package server

import (
	"errors"
	"net/http"

	"weir/internal/session"
	"weir/internal/stream"
)

// Hub is the streams of the server.
func (s *Server) Hub() *stream.Hub { return s.hub }

// Sessions is the registry of the server's sessions.
func (s *Server) Sessions() *session.Registry { return s.sessions }

// Handler plays streams and shows their pages on an HTTP server that is not ours, as our own listeners do.
func (s *Server) Handler() http.Handler { return s.web }

// errEnded is why an operator's end of a stream ends its publisher.
var errEnded = session.Because(session.Kicked, errors.New("the stream was ended by the operator"))

// EndStream ends the publisher of a stream, and with it the stream, without grace. It reports false if nobody
// publishes the stream.
func (s *Server) EndStream(path string) bool {
	st := s.hub.Get(path)
	if st == nil {
		return false
	}
	p, ok := st.Publisher()
	return ok && s.sessions.Kick(p.Session, errEnded)
}
