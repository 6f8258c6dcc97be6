package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"weir/internal/admit"
	"weir/internal/hook/decide"
	"weir/internal/session"
)

// buildGate makes what decides about publishers and players, and the services that it needs.
func (s *Server) buildGate(first *settings) error {
	s.decision = decide.New(decide.Options{
		Log: s.log, Metrics: s.metrics.Decisions(), Server: s.self,
		MayRename: func(from, to string) bool { r := s.gate.Rules(); return r.Match(from) == r.Match(to) },
		Gone:      s.leftUnanswered,
	})
	s.useDecision(first)
	s.services = append(s.services, service{"decision hook", func(ctx context.Context) error {
		<-ctx.Done()
		s.decision.Close()
		return nil
	}})
	s.keys = noKeys{}
	opt := admit.Options{Links: map[string]admit.Link{admit.ByHook: s.decision}}
	if s.conf.State != "" {
		keys, err := admit.OpenKeys(admit.KeyFileIn(s.conf.State), s.log)
		if err != nil {
			return err
		}
		keys.InUse = s.keysInUse
		opt.Keys, s.keys = keys, storedKeys{admit.KeyFileIn(s.conf.State), keys, s.keysInUse}
		s.services = append(s.services, service{"keys", func(ctx context.Context) error { return keys.Run(ctx, s.endRevoked) }})
	}
	if c := s.conf.Auth.JWT; c.Enabled() {
		tokens := admit.NewJWT(c, s.log)
		opt.Links[admit.ByJWT] = tokens
		s.services = append(s.services, service{"tokens", tokens.Run})
	}
	s.gate = admit.New(first.rules, opt)
	s.removed = removedKeys{wake: make(chan struct{}, 1), since: map[admit.Holder]time.Time{}}
	s.services = append(s.services, service{"removed keys", s.endRemoved})
	return nil
}

// useDecision has the decision hook go by settings.
func (s *Server) useDecision(now *settings) {
	s.decision.Use(now.asked)
	if now.conf.Auth.Hook.Enabled() {
		s.metrics.HookBegins("decision")
	}
}

// errRevoked ends the sessions of a key.
var errRevoked = session.Because(session.Revoked, errors.New("the key that admitted it was revoked"))

// keysInUse returns how many sessions each key has admitted that are there now, by Grant.Key.
func (s *Server) keysInUse() map[uint64]int {
	n := map[uint64]int{}
	for _, x := range s.sessions.List() {
		if g, ok := x.Grant(); ok && g.Key != 0 {
			n[g.Key]++
		}
	}
	return n
}

// endRevoked ends the sessions that keys have admitted.
func (s *Server) endRevoked(keys map[uint64]bool) {
	s.endAdmitted(func(h admit.Holder) bool { return keys[h.Key] })
}

// endAdmitted ends the sessions that those have admitted of which revoked says so.
func (s *Server) endAdmitted(revoked func(h admit.Holder) bool) {
	ended := 0
	for _, x := range s.sessions.List() {
		g, ok := x.Grant()
		if !ok || g.Key == 0 {
			continue
		}
		h := admit.Holder{Key: g.Key, Role: session.Play}
		if x.Role() == session.Publish {
			h.Role = session.Publish
		}
		if revoked(h) && x.Kick(errRevoked) {
			ended++
		}
	}
	if ended > 0 {
		s.log.Info("sessions end: their keys were revoked", slog.Int("sessions", ended))
	}
}

// removedKeys are the keys that were taken out of the configuration a while ago, and whose sessions are to end.
type removedKeys struct {
	wake chan struct{} // of one: there is one more

	mu    sync.Mutex // guards below
	since map[admit.Holder]time.Time
}

// removedTime is for how long the sessions of such a key are ended: one may have been let in by it a moment before, and a
// viewer of HLS may take its time to begin. removedEvery is how often.
const (
	removedTime  = 3 * time.Minute
	removedEvery = time.Second
)

// note takes in that keys have changed.
func (r *removedKeys) note(before, after map[admit.Holder]struct{}, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for h := range after {
		delete(r.since, h)
	}
	gone := false
	for h := range before {
		if _, still := after[h]; !still {
			gone, r.since[h] = true, now
		}
	}
	if gone {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// present returns those whose sessions are to end.
func (r *removedKeys) present(now time.Time) map[admit.Holder]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.since, func(_ admit.Holder, since time.Time) bool { return now.Sub(since) > removedTime })
	return maps.Clone(r.since)
}

// endRemoved ends the sessions of keys that are taken out of the configuration, until ctx ends.
func (s *Server) endRemoved(ctx context.Context) error {
	for {
		keys := s.removed.present(time.Now())
		if len(keys) > 0 {
			s.endAdmitted(func(h admit.Holder) bool { _, ok := keys[h]; return ok })
		}
		var again <-chan time.Time
		if len(keys) > 0 {
			again = time.After(removedEvery)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.removed.wake:
		case <-again:
		}
	}
}
