package server

import "weir/internal/admin"

// findings is what the API shows of a stream's health.
func (s *Server) findings(path string) []admin.Finding {
	found := s.health.Findings(path)
	list := make([]admin.Finding, len(found))
	for i, f := range found {
		list[i] = admin.Finding(f)
	}
	for _, n := range s.push.Notes(path) {
		list = append(list, admin.Finding{Kind: "push_target", Since: n.Since, Sentence: n.Sentence, Setting: n.Setting, Info: true})
	}
	return list
}
