package server

import (
	"fmt"
	"math"
	"runtime/debug"

	"weir/internal/admit"
	"weir/internal/config"
	"weir/internal/session"
	"weir/internal/stream"
)

// settings is a configuration in force, with its stream entries compiled. It does not change, but is replaced.
type settings struct {
	conf    Config
	rules   *admit.Rules
	entries []StreamConfig // the first is for streams that no entry of the configuration matches
}

// newSettings compiles a configuration.
func newSettings(conf *Config) (*settings, error) {
	entries := make([]admit.Entry, len(conf.Streams))
	for i, e := range conf.Streams {
		entries[i] = admit.Entry{Match: e.Match, Publish: e.Publish.Rule, Play: e.Play.Rule}
	}
	d := DefaultStream()
	rules, err := admit.NewRules(entries, admit.Entry{Match: d.Match, Publish: d.Publish.Rule, Play: d.Play.Rule})
	if err != nil {
		return nil, fmt.Errorf("streams: %w", err)
	}
	return &settings{*conf, rules, append([]StreamConfig{d}, conf.Streams...)}, nil
}

// streamConfig returns the entry that applies to a path now. It does not change.
func (s *Server) streamConfig(path string) *StreamConfig {
	now := s.current.Load()
	return &now.entries[now.rules.Match(path)+1]
}

// Change is a new configuration, ready to be applied to a running server.
type Change struct {
	server *Server
	conf   Config
	next   *settings
	// Keys is what differs from the configuration in force, in the order of the keys.
	Keys []config.Change
}

// Prepare makes everything ready to change the configuration to conf. It changes nothing, and fails if
// something is wrong with conf. Keys that take a restart are ignored: the change is made without them.
func (s *Server) Prepare(conf Config) (*Change, error) {
	if err := config.Validate(&conf); err != nil {
		return nil, err
	}
	now := s.current.Load()
	keys, err := config.Diff(&now.conf, &conf)
	if err != nil {
		return nil, err
	}
	next := now.conf
	if err := config.CopyLive(&next, &conf); err != nil {
		return nil, err
	}
	c := &Change{server: s, conf: next, Keys: keys}
	c.next, err = newSettings(&next)
	return c, err
}

// Restart returns the keys that differ and take a restart: Apply leaves them as they are.
func (c *Change) Restart() []string {
	var keys []string
	for _, k := range c.Keys {
		if k.Restart {
			keys = append(keys, k.Path)
		}
	}
	return keys
}

// Apply puts the configuration into force, at once; it cannot fail. Present sessions and streams stay,
// under the new settings. Of several changes the last one applied holds.
func (c *Change) Apply() {
	s := c.server
	s.applying.Lock()
	defer s.applying.Unlock()
	s.current.Store(c.next)
	s.gate.SetRules(c.next.rules)
	s.sessions.SetLimits(c.conf.Limits.sessions())
	s.hub.SetLimits(c.conf.Limits.streams())
	s.hub.Apply(func(path string) stream.Settings { return s.streamConfig(path).settings() })
	s.mux.Refresh()
	s.engine.SetDelays(c.conf.Delivery.MinDelay, c.conf.Delivery.MaxDelay)
	s.setGlobals(&c.conf)
	s.reloaded(c)
}

// setGlobals sets what holds for the whole process: the level of the log, and the memory limit.
func (s *Server) setGlobals(c *Config) {
	if s.opt.Level != nil {
		s.opt.Level.Set(c.Log.SlogLevel())
	}
	switch {
	case c.Limits.Memory > 0:
		debug.SetMemoryLimit(c.Limits.Memory)
	case s.limited:
		debug.SetMemoryLimit(math.MaxInt64)
	}
	s.limited = c.Limits.Memory > 0
}

// sessions returns the limits of the registry of sessions.
func (c *LimitsConfig) sessions() session.Limits {
	return session.Limits{Connections: c.Connections, ConnectionsPerIP: c.ConnectionsPerIP, PendingPerIP: c.PendingPerIP}
}

// streams returns the limits of the hub.
func (c *LimitsConfig) streams() stream.Limits { return stream.Limits{Streams: c.Streams} }
