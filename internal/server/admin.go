package server

import "weir/internal/admin"

// findings is what the API shows of a stream's health.
func (s *Server) findings(path string) []admin.Finding {
	found := s.health.Findings(path)
	list := make([]admin.Finding, len(found))
	for i, f := range found {
		list[i] = admin.Finding(f)
	}
	return list
}
