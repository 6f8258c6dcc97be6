package server

import (
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

// EndStream ends a stream, whether it has a publisher, waits for its return or has only players. It reports false if
// there is none.
func (s *Server) EndStream(path string) bool { return s.hub.End(path, session.ErrKicked) }
