package server

import (
	"strings"
	"testing"
	"time"

	"weir/internal/pull"
)

// probesOfPull are those of the keys of pulls and edges.
func probesOfPull() map[string]probe {
	all := map[string]probe{
		"edge.origin":  {"rtmp://127.0.0.1:2", ofConfig(func(c *Config) any { return c.Edge.Origin }), "rtmp://127.0.0.1:2"},
		"edge.backup":  {"[rtmp://127.0.0.1:2]", ofConfig(func(c *Config) any { return c.Edge.Backup }), []string{"rtmp://127.0.0.1:2"}},
		"edge.publish": {"forward", func(_ *testing.T, s *Server) any { return len(s.push.List("live/a")) }, 1},
		"edge.publish_key": {"k2", func(_ *testing.T, s *Server) any {
			_, name, _ := (&pull.EdgeConfig{Origin: "rtmp://127.0.0.1:2", Publish: "forward", PublishKey: s.current.Load().conf.Edge.PublishKey}).Forward("live/a")
			return name
		}, "a?key=k2"},

		"streams[].pull.url":           {"rtmp://127.0.0.1:2/a/b", ofEntry(func(c *StreamConfig) any { return c.Pull.URL }), "rtmp://127.0.0.1:2/a/b"},
		"streams[].pull.sources":       {"[rtmp://127.0.0.1:2/a/b]", ofEntry(func(c *StreamConfig) any { return c.Pull.Sources }), []string{"rtmp://127.0.0.1:2/a/b"}},
		"streams[].pull.on_demand":     {"false", ofEntry(func(c *StreamConfig) any { return c.Pull.OnDemand }), false},
		"streams[].pull.allow_private": {"true", ofEntry(func(c *StreamConfig) any { return c.Pull.Private }), true},
	}
	for key, p := range map[string]struct {
		set  string
		see  func(t *pull.Tuning) any
		want any
	}{
		"linger":     {"2s", func(t *pull.Tuning) any { return t.Linger }, 2 * time.Second},
		"silence":    {"2s", func(t *pull.Tuning) any { return t.Silence }, 2 * time.Second},
		"prefer":     {"first", func(t *pull.Tuning) any { return t.Prefer }, "first"},
		"insecure":   {"true", func(t *pull.Tuning) any { return t.Insecure }, true},
		"pin":        {strings.Repeat("ab", 32), func(t *pull.Tuning) any { return t.Pin }, strings.Repeat("ab", 32)},
		"user_agent": {"x", func(t *pull.Tuning) any { return t.UserAgent }, "x"},
		"headers":    {"['A: b']", func(t *pull.Tuning) any { return t.Headers }, []string{"A: b"}},
	} {
		all["edge."+key] = probe{p.set, ofConfig(func(c *Config) any { return p.see(&c.Edge.Tuning) }), p.want}
		all["streams[].pull."+key] = probe{p.set, ofEntry(func(c *StreamConfig) any { return p.see(&c.Pull.Tuning) }), p.want}
	}
	return all
}
