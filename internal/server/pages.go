package server

import (
	"context"

	"weir/internal/archive"
	"weir/internal/pages"
	"weir/internal/protocol"
	"weir/internal/snapshot"
	"weir/web"
)

// page answers requests on the HTTP listeners without being a protocol: it opens no sessions, and
// no stream depends on it.
type page interface {
	protocol.Router
	Run(ctx context.Context) error
}

// pageTable lists the pages. The name is a page's log key and metric label.
var pageTable = []struct {
	name string
	new  func(env protocol.Env, s *Server) (page, error)
}{
	{"recordings", func(env protocol.Env, s *Server) (page, error) {
		return archive.NewPlayer(env, s.archive, s.lives), nil
	}},
	{"snapshot", func(env protocol.Env, _ *Server) (page, error) { return snapshot.New(env), nil }},
	{"pages", func(env protocol.Env, s *Server) (page, error) {
		index := func() bool { return s.current.Load().conf.HTTP.Index }
		return pages.New(env, web.Files(), index, s.openTo, s.archive)
	}},
}
