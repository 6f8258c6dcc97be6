package server

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"weir/internal/admin"
	"weir/internal/peer"
	"weir/internal/push"
	"weir/internal/session"
	"weir/internal/stream"
)

// buildPush makes what sends streams on to other servers.
func (s *Server) buildPush() (err error) {
	s.push, err = push.New(push.Options{
		Log: s.log, Hub: s.hub, Server: s.self.ID, State: s.conf.State, Tell: s.tracker.Push,
		Configured: func(path string) []push.Config { return s.streamConfig(path).Push },
		Granted: func(id string) []session.Push {
			if x := s.sessions.Get(id); x != nil {
				return x.Terms().Push
			}
			return nil
		},
		Edge:      s.forward,
		Elsewhere: func(path string) { s.pulls.Resume(path) },
		Own:       s.listensAt,
		Pulled:    s.pulledFrom,
		Private:   func(path string) bool { return s.streamConfig(path).Pull.Private },
		Failed:    func(service string, reason session.Reason) { s.metrics.PushFailed(service, reason.String()) },
	})
	if err == nil {
		s.services = append(s.services, service{"push", s.push.Run})
	}
	return err
}

// forward returns where a publisher's stream goes if this server is an edge that forwards its publishers. What is fetched from
// elsewhere is not sent on.
func (s *Server) forward(path string, p stream.Info) (to push.Config, insecure, ok bool) {
	edge := &s.current.Load().conf.Edge
	app, name, ok := edge.Forward(path)
	if !ok || p.Protocol == ofPulls {
		return push.Config{}, false, false
	}
	to = push.DefaultConfig()
	to.Name, to.URL, to.Key, to.Pin = "origin", app, name, edge.Pin
	return to, edge.Insecure, true
}

// pulledFrom reports whether a stream is fetched now from a host, or from an address. One that somebody publishes here is not,
// although what it was fetched by until a moment ago may not have ended yet.
func (s *Server) pulledFrom(path, host string, addr netip.Addr) bool {
	if live := s.hub.Get(path); live != nil {
		if p, ok := live.Publisher(); ok && p.Protocol != ofPulls {
			return false
		}
	}
	source, addrs := s.pulls.Source(path)
	if source == "" {
		return false
	}
	if addr.IsValid() && slices.Contains(addrs, addr) {
		return true
	}
	u, err := url.Parse(source)
	return err == nil && host != "" && strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), strings.TrimSuffix(host, "."))
}

// listensAt reports whether one of the server's listeners has a port.
func (s *Server) listensAt(port int) bool {
	for _, l := range s.listeners {
		if a, ok := l.Listener.Addr().(*net.TCPAddr); ok && l.Active() && a.Port == port {
			return true
		}
	}
	return false
}

// adminPushes shows and changes the targets as the API has them.
type adminPushes struct{ *push.Manager }

// List implements admin.Pushes.
func (p adminPushes) List(stream string) []admin.Push {
	var all []admin.Push
	for _, s := range p.Manager.List(stream) {
		all = append(all, pushEntry(&s))
	}
	return all
}

// Add implements admin.Pushes.
func (p adminPushes) Add(_ context.Context, n admin.NewPush) (admin.Push, error) {
	if err := peer.CheckPath(n.Stream); err != nil {
		return admin.Push{}, &admin.PushError{Detail: err.Error()}
	}
	if n.URL != nil && masked(*n.URL) {
		return admin.Push{}, &admin.PushError{Detail: errMasked.Error()}
	}
	c := push.DefaultConfig()
	c.Name = n.Name
	setPush(&c, &n.PushSettings)
	s, err := p.Manager.Add(n.Stream, c)
	return pushEntry(&s), pushError(err)
}

// Change implements admin.Pushes.
func (p adminPushes) Change(_ context.Context, stream, name string, to admin.PushSettings) (admin.Push, error) {
	if to.URL != nil && p.isShown(stream, name, *to.URL) { // it is given back, and stays with what is secret in it
		to.URL = nil
	}
	if to.URL != nil && masked(*to.URL) {
		return admin.Push{}, &admin.PushError{Detail: errMasked.Error()}
	}
	s, err := p.Manager.Change(stream, name, func(c *push.Config) { setPush(c, &to) })
	return pushEntry(&s), pushError(err)
}

// isShown reports whether a URL is that of a target as the API shows it.
func (p adminPushes) isShown(stream, name, url string) bool {
	return slices.ContainsFunc(p.Manager.List(stream), func(s push.Status) bool { return s.Config.Name == name && s.URL == url })
}

// masked reports whether something in a URL is what is shown in the place of a secret.
func masked(url string) bool { return strings.Contains(url, "***") }

// errMasked refuses such a URL.
var errMasked = errors.New("the URL has *** in it, which is how secrets are shown: write the secret itself")

// Remove implements admin.Pushes.
func (p adminPushes) Remove(_ context.Context, stream, name string) error {
	return pushError(p.Manager.Remove(stream, name))
}

// Retry implements admin.Pushes.
func (p adminPushes) Retry(_ context.Context, stream, name string) (admin.Push, error) {
	s, err := p.Manager.Retry(stream, name)
	return pushEntry(&s), pushError(err)
}

// setPush sets what is given.
func setPush(c *push.Config, to *admin.PushSettings) {
	set(&c.Service, to.Service)
	set(&c.URL, to.URL)
	set(&c.Key, to.Key)
	set(&c.Enabled, to.Enabled)
	set(&c.Slate, to.Slate)
	set(&c.Caps, to.Caps)
	set(&c.Pin, to.Pin)
	set(&c.MaxAttempts, to.MaxAttempts)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// pushEntry is what the API shows of a target.
func pushEntry(s *push.Status) admin.Push {
	e := admin.Push{
		Stream: s.Stream, Name: s.Config.Name, Service: s.Config.Service, URL: s.URL, Origin: string(s.Origin), Enabled: s.Config.Enabled,
		Slate: s.Config.Slate, Caps: s.Config.Caps, Pin: s.Config.Pin, MaxAttempts: s.Config.MaxAttempts,
		State: s.State.String(), Since: timeOrNil(s.Since), Error: s.Error, Attempts: s.Attempts, NextTry: timeOrNil(s.NextTry),
		Sessions: s.Sessions, BytesSent: s.Bytes, Frames: s.Frames, Skips: s.Skips, Lag: s.Lag.Seconds(), Stalled: s.Stalled.Seconds(), LeftOut: s.LeftOut,
	}
	if s.Error != "" {
		e.Reason = s.Reason.String()
	}
	for _, n := range s.Notes {
		e.Notes = append(e.Notes, n.Sentence)
	}
	return e
}

// pushError makes an error one that package admin knows.
func pushError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, push.ErrNoTarget):
		return admin.ErrNoPush
	case errors.Is(err, push.ErrTaken):
		return admin.ErrPushTaken
	case errors.Is(err, push.ErrSame):
		return admin.ErrPushSame
	case errors.Is(err, push.ErrConfigured):
		return admin.ErrPushConfigured
	case errors.Is(err, push.ErrTooMany):
		return admin.ErrTooManyPushes
	}
	if wrong, ok := errors.AsType[*push.InvalidError](err); ok {
		return &admin.PushError{Detail: wrong.Error()}
	}
	return err
}
