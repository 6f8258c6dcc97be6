package server

import (
	"context"
	"errors"
	"log/slog"

	"weir/internal/admit"
	"weir/internal/hook"
	"weir/internal/hook/decide"
	"weir/internal/session"
)

// buildGate makes what decides about publishers and players, and the services that it needs.
func (s *Server) buildGate(first *settings, self hook.Server) error {
	s.decision = decide.New(decide.Options{
		Log: s.log, Metrics: s.metrics.Decisions(), Server: self,
		MayRename: func(from, to string) bool { r := s.gate.Rules(); return r.Match(from) == r.Match(to) },
	})
	s.decision.Use(first.asked)
	s.services = append(s.services, service{"decision hook", func(ctx context.Context) error {
		<-ctx.Done()
		s.decision.Close()
		return nil
	}})
	opt := admit.Options{Links: map[string]admit.Link{admit.ByHook: s.decision}}
	if s.conf.State != "" {
		keys, err := admit.OpenKeys(admit.KeyFileIn(s.conf.State), s.log)
		if err != nil {
			return err
		}
		opt.Keys, s.keys = keys, storedKeys{admit.KeyFileIn(s.conf.State), keys}
		s.services = append(s.services, service{"keys", func(ctx context.Context) error { return keys.Run(ctx, s.endRevoked) }})
	}
	if c := s.conf.Auth.JWT; c.Enabled() {
		tokens := admit.NewJWT(c, s.log)
		opt.Links[admit.ByJWT] = tokens
		s.services = append(s.services, service{"tokens", tokens.Run})
	}
	s.gate = admit.New(first.rules, opt)
	return nil
}

// errRevoked ends the sessions of a key.
var errRevoked = session.Because(session.Revoked, errors.New("the key that admitted it was revoked"))

// endRevoked ends the sessions that keys have admitted.
func (s *Server) endRevoked(keys map[uint64]bool) {
	ended := 0
	for _, x := range s.sessions.List() {
		if g, ok := x.Grant(); ok && keys[g.Key] && x.Kick(errRevoked) {
			ended++
		}
	}
	if ended > 0 {
		s.log.Info("sessions end: their keys were revoked", slog.Int("sessions", ended))
	}
}
