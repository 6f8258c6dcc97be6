package server

import (
	"testing"

	"weir/internal/push"
)

// probesOfPush are those of the keys of targets to which streams are sent.
func probesOfPush() map[string]probe {
	all := map[string]probe{}
	for key, p := range map[string]struct {
		set  string
		see  func(c *push.Config) any
		want any
	}{
		"name":         {"x", func(c *push.Config) any { return c.Name }, "x"},
		"service":      {"twitch", func(c *push.Config) any { return c.Service }, "twitch"},
		"url":          {"rtmp://127.0.0.1:3/b", func(c *push.Config) any { return c.URL }, "rtmp://127.0.0.1:3/b"},
		"key":          {"k2", func(c *push.Config) any { return c.Key }, "k2"},
		"enabled":      {"false", func(c *push.Config) any { return c.Enabled }, false},
		"slate":        {"repeat", func(c *push.Config) any { return c.Slate }, "repeat"},
		"caps":         {"on", func(c *push.Config) any { return c.Caps }, "on"},
		"pin":          {"'0123456789012345678901234567890123456789012345678901234567890123'", func(c *push.Config) any { return len(c.Pin) }, 64},
		"max_attempts": {"7", func(c *push.Config) any { return c.MaxAttempts }, 7},
	} {
		set := "{"
		for _, other := range [][2]string{{"url", "rtmp://127.0.0.1:2/a"}, {"key", "k"}} {
			if other[0] != key {
				set += other[0] + ": '" + other[1] + "', "
			}
		}
		all["streams[].push[]."+key] = probe{"[" + set + key + ": " + p.set + "}]", func(_ *testing.T, s *Server) any {
			list := s.push.List("live/a")
			if len(list) == 0 {
				return nil
			}
			return p.see(&list[0].Config)
		}, p.want}
	}
	return all
}
