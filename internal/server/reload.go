package server

import (
	"fmt"
	"runtime/debug"
	"time"

	"weir/internal/admit"
	"weir/internal/config"
	"weir/internal/hook/decide"
	"weir/internal/hook/deliver"
	"weir/internal/httpserver"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/stream"
)

// settings is a configuration in force, with its stream entries compiled. It does not change, but is replaced.
type settings struct {
	conf    Config
	rules   *admit.Rules
	policy  httpserver.Policy
	entries []StreamConfig // the first is for streams that no entry of the configuration matches
	bounds  []bounds       // of each entry
	asked   *decide.Plan   // of the decision hook
}

// bounds are the terms of sessions that the entry of their stream bounds and nobody else says anything of.
type bounds struct{ publish, play *session.Terms }

// newSettings compiles a configuration.
func newSettings(conf *Config) (*settings, error) {
	entries := make([]admit.Entry, len(conf.Streams))
	for i, e := range conf.Streams {
		entries[i] = admit.Entry{Match: e.Match, Publish: e.Publish.Rule, Play: e.Play.Rule}
	}
	d := DefaultStream()
	rules, err := admit.NewRules(entries, admit.Entry{Match: d.Match, Publish: d.Publish.Rule, Play: d.Play.Rule}, &conf.Auth.Signed)
	if err != nil {
		return nil, fmt.Errorf("streams: %w", err)
	}
	asked, err := decide.NewPlan(conf.Auth.Hook)
	if err != nil {
		return nil, fmt.Errorf("auth.hook: %w", err)
	}
	policy := httpserver.Policy{CORS: conf.HTTP.CORS, TrustedProxies: conf.HTTP.TrustedProxies, ProxyHeader: conf.HTTP.ProxyHeader}
	now := &settings{conf: *conf, rules: rules, policy: policy, asked: asked, entries: append([]StreamConfig{d}, conf.Streams...)}
	for i := range now.entries {
		e := &now.entries[i]
		now.bounds = append(now.bounds, bounds{lasting(e.Publish.MaxDuration), lasting(e.Play.MaxDuration)})
	}
	return now, nil
}

// lasting returns terms that bound a session's duration; nil for no bound.
func lasting(most time.Duration) *session.Terms {
	if most == 0 {
		return nil
	}
	return &session.Terms{Duration: most}
}

// bounded returns the grant of a session with the bounds of the stream's entry.
func (s *Server) bounded(role session.Role, path string, g session.Grant) session.Grant {
	now := s.current.Load()
	b := &now.bounds[now.rules.Match(g.PathOf(path))+1]
	if role == session.Publish {
		g.Terms = g.Terms.With(b.publish)
	} else {
		g.Terms = g.Terms.With(b.play)
	}
	return g
}

// streamConfig returns the entry that applies to a path now. It does not change.
func (s *Server) streamConfig(path string) *StreamConfig {
	now := s.current.Load()
	return &now.entries[now.rules.Match(path)+1]
}

// Report says what a change of the configuration did.
type Report struct {
	// Changed are the keys that differ from the configuration before, in their order.
	Changed []config.Change
	// Waiting are the keys whose values wait for a restart, now and from earlier changes.
	Waiting []string
}

// waiting returns those of changed keys that take a restart.
func waiting(changed []config.Change) []string {
	var keys []string
	for _, c := range changed {
		if c.When == config.Restart {
			keys = append(keys, c.Path)
		}
	}
	return keys
}

// Reload changes the configuration of a running server to conf. All of it is checked first, ports and certificates
// too: after an error nothing has changed. Sessions stay, whatever changes, but those of keys that were taken out. Keys that take a restart keep their value.
func (s *Server) Reload(conf Config) (Report, error) {
	if err := config.Validate(&conf); err != nil {
		return Report{}, err
	}
	return s.reloadAfter(conf, func() error { return nil })
}

// reloadAfter is Reload of a configuration that is valid, with something that must have succeeded before anything changes.
func (s *Server) reloadAfter(conf Config, first func() error) (Report, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	c, err := s.prepare(conf)
	if err != nil {
		return Report{}, err
	}
	if err := first(); err != nil {
		c.Cancel()
		return Report{}, err
	}
	c.Apply()
	return c.Report, nil
}

// Change is a new configuration, ready to be applied to a running server.
type Change struct {
	Report
	server *Server
	wanted Config // with what waits for a restart
	conf   Config // what is in force from then on
	next   *settings
	moves  []*move
	hooks  *deliver.Change
}

// Prepare makes everything ready to change the configuration to conf, and opens its listeners: Apply or Cancel must
// follow. It changes nothing, and fails if something is wrong with conf.
func (s *Server) Prepare(conf Config) (*Change, error) {
	if err := config.Validate(&conf); err != nil {
		return nil, err
	}
	return s.prepare(conf)
}

// prepare is Prepare of a configuration that is valid.
func (s *Server) prepare(conf Config) (*Change, error) {
	now := s.current.Load()
	keys, err := config.Diff(&now.conf, &conf)
	if err != nil {
		return nil, err
	}
	next := now.conf
	if err := config.CopyLive(&next, &conf); err != nil {
		return nil, err
	}
	wait, changed := waiting(keys), keys
	if s.waits { // not all of these have changed now
		if changed, err = config.Diff(&s.wanted, &conf); err != nil {
			return nil, err
		}
	}
	if len(wait) > 0 { // what waits for a restart may not go together with the rest
		if err := config.Validate(&next); err != nil {
			return nil, fmt.Errorf("together with the keys that wait for a restart: %w", err)
		}
	}
	c := &Change{Report: Report{changed, wait}, server: s, wanted: conf, conf: next}
	if c.next, err = newSettings(&next); err != nil {
		return nil, err
	}
	if c.moves, err = s.moves(&next); err != nil {
		return nil, err
	}
	if c.hooks, err = s.hooks.Prepare(next.Hooks); err != nil {
		cancel(c.moves)
		return nil, err
	}
	return c, nil
}

// Cancel gives up a change that is not going to be applied.
func (c *Change) Cancel() { cancel(c.moves) }

// Apply puts the configuration into force, at once; it cannot fail. Present sessions and streams stay,
// under the new settings. Of several changes the last one applied holds.
func (c *Change) Apply() {
	s := c.server
	s.applying.Lock()
	defer s.applying.Unlock()
	s.current.Store(c.next)
	s.wanted, s.waits = c.wanted, len(c.Waiting) > 0
	s.useDecision(c.next)
	before := s.gate.Rules()
	s.gate.SetRules(c.next.rules)
	var gone map[admit.Holder]struct{}
	if c.conf.Auth.OnRemovedKey == "end" {
		gone = s.gate.Holders(before)
	}
	s.removed.note(gone, s.gate.Holders(c.next.rules), time.Now()) // also if none go: one may be back
	s.sessions.SetLimits(c.conf.sessionLimits())
	s.hub.SetLimits(c.conf.Limits.streams())
	s.hub.Apply(func(path string) stream.Settings { return s.streamConfig(path).settings() })
	s.mux.Refresh()
	s.pulls.Apply()
	s.push.Apply()
	s.records.Changed()
	s.engine.SetDelays(c.conf.Delivery.MinDelay, c.conf.Delivery.MaxDelay)
	for i, f := range c.conf.folders() {
		if section, ok := f.Section.(protocol.Changeable); ok {
			section.Change(s.running[i])
		}
	}
	s.trust(&c.conf)
	for _, m := range c.moves {
		m.apply(s.log)
	}
	s.admin.SetAccess(c.conf.Admin.Token, c.conf.Admin.Hosts)
	s.setGlobals(&c.conf)
	c.hooks.Apply()
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
		debug.SetMemoryLimit(s.memory)
	}
	s.limited = c.Limits.Memory > 0
}

// sessionLimits returns the limits of the registry of sessions.
func (c *Config) sessionLimits() session.Limits {
	l := &c.Limits
	return session.Limits{
		Connections: l.Connections, ConnectionsPerIP: l.ConnectionsPerIP, PendingPerIP: l.PendingPerIP,
		Players: l.Players, PlayersPerIP: l.PlayersPerIP, SessionsPerUser: l.SessionsPerUser, Egress: l.EgressBitrate,
		Exempt: c.HTTP.TrustedProxies,
	}
}

// streams returns the limits of the hub.
func (c *LimitsConfig) streams() stream.Limits { return stream.Limits{Streams: c.Streams} }
