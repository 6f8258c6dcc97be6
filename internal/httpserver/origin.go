package httpserver

import (
	"net/http"
	"slices"
	"strings"
)

// allowOrigin sets the header fields for a cross-origin request. It reports false for a page that
// may not play.
func (s *Server) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	allowed := s.conf.Policy().CORS
	all := slices.Contains(allowed, "*")
	if !all {
		w.Header().Add("Vary", "Origin")
	}
	switch {
	case all:
		w.Header()["Access-Control-Allow-Origin"] = anyOrigin
	case origin == "":
		return true
	case slices.Contains(allowed, origin):
		w.Header().Set("Access-Control-Allow-Origin", origin)
	default:
		return strings.EqualFold(strings.TrimPrefix(strings.TrimPrefix(origin, "https://"), "http://"), r.Host)
	}
	w.Header()["Access-Control-Expose-Headers"] = exposed
	return true
}

// Header fields that all answers share.
var (
	anyOrigin = []string{"*"}
	exposed   = []string{"Content-Type, Retry-After"}
)
