package server

import (
	"strings"
	"testing"
	"time"

	"weir/internal/hook/decide"
	"weir/internal/listen/listentest"
)

// hookURL has a service configured, for those of its keys that mean nothing without one.
const hookURL = "auth.hook.url=http://127.0.0.1:1/"

// probesOfHook are those of the keys of the decision hook, with what is configured besides.
func probesOfHook(t *testing.T) (all map[string]probe, besides map[string][]string) {
	cert, _ := listentest.Cert(t, t.TempDir(), 1)
	all, besides = map[string]probe{}, map[string][]string{}
	secret := "whsec_" + strings.Repeat("A", 32)
	for key, p := range map[string]struct {
		set  string
		see  func(c decide.Config) any
		want any
		with string
	}{
		"url":         {"http://127.0.0.1:2/", func(c decide.Config) any { return c.URL }, "http://127.0.0.1:2/", ""},
		"publish_url": {"http://127.0.0.1:2/", func(c decide.Config) any { return c.PublishURL }, "http://127.0.0.1:2/", ""},
		"play_url":    {"http://127.0.0.1:2/", func(c decide.Config) any { return c.PlayURL }, "http://127.0.0.1:2/", ""},
		"update_url":  {"http://127.0.0.1:2/", func(c decide.Config) any { return c.UpdateURL }, "http://127.0.0.1:2/", hookURL},
		"connect_url": {"http://127.0.0.1:2/", func(c decide.Config) any { return c.ConnectURL }, "http://127.0.0.1:2/", "auth.hook.format=srs"},
		"forward_url": {"http://127.0.0.1:2/", func(c decide.Config) any { return c.ForwardURL }, "http://127.0.0.1:2/", "auth.hook.format=srs"},
		"in_process":  {"true", func(c decide.Config) any { return c.InProcess }, true, hookURL},
		"update":      {"strict", func(c decide.Config) any { return c.Update }, "strict", "auth.hook.format=nginx-rtmp"},
		"format":      {"srs", func(c decide.Config) any { return c.Format }, "srs", hookURL},
		"method":      {"get", func(c decide.Config) any { return c.Method }, "get", "auth.hook.format=nginx-rtmp"},
		"timeout":     {"1s", func(c decide.Config) any { return c.Timeout }, time.Second, hookURL},
		"on_error":    {"allow", func(c decide.Config) any { return c.OnError }, "allow", hookURL},
		"when":        {"always", func(c decide.Config) any { return c.When }, "always", hookURL},
		"rename":      {"any", func(c decide.Config) any { return c.Rename }, "any", hookURL},
		"recheck":     {"30s", func(c decide.Config) any { return c.Recheck }, 30 * time.Second, hookURL},
		"secret":      {secret, func(c decide.Config) any { return c.Secret }, secret, hookURL},
		"old_secret":  {secret, func(c decide.Config) any { return c.OldSecret }, secret, hookURL},
		"ca":          {cert, func(c decide.Config) any { return c.CA }, cert, hookURL},
	} {
		all["auth.hook."+key] = probe{p.set, func(_ *testing.T, s *Server) any { return p.see(s.decision.Config()) }, p.want}
		if p.with != "" {
			besides["auth.hook."+key] = []string{hookURL, p.with}
		}
	}
	return all, besides
}
