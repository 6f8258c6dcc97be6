package server

import (
	"context"
	"errors"
	"strings"
	"time"

	"weir/internal/admin"
	"weir/internal/admit"
	"weir/internal/event"
	"weir/internal/fetch"
	"weir/internal/peer"
	"weir/internal/pull"
	"weir/internal/reach"
	"weir/internal/session"
)

// newPulls makes what fetches streams from other servers.
func (s *Server) newPulls() (*pull.Manager, error) {
	return pull.NewManager(pull.Options{
		Log: s.log, Door: s.door(ofPulls), Hub: s.hub, Server: s.self.ID, State: s.conf.State,
		Config:   func(path string) *pull.Config { return &s.streamConfig(path).Pull },
		Edge:     func() *pull.EdgeConfig { return &s.current.Load().conf.Edge },
		Forwards: func(path string) bool { return s.push.Forwards(path) },
		Always:   s.alwaysPulled, Bitrate: func() int64 { return s.current.Load().conf.Limits.StreamBitrate },
		Changed: s.pullChanged, Failed: func(why session.Reason) { s.metrics.PullFailed(why.String()) }, Open: fetch.Open,
	})
}

// ofPulls is the protocol of what the server fetches from elsewhere.
const ofPulls = "pull"

// want has the stream of a player fetched, if it is to be.
func (s *Server) want(r *admit.Request, g session.Grant) error { return s.pulls.Want(r, g) }

// alwaysPulled returns the paths of the entries that are fetched always.
func (s *Server) alwaysPulled() []string {
	var paths []string
	streams := s.current.Load().conf.Streams // once: a reload may be under way
	for i := range streams {
		e := &streams[i]
		if e.Pull.Enabled() && !e.Pull.OnDemand {
			paths = append(paths, e.Match)
		}
	}
	return paths
}

// pullChanged passes on what becomes of a stream that is fetched.
func (s *Server) pullChanged(p pull.State) {
	data := map[string]any{"status": string(p.Status), "by": p.By}
	for key, text := range map[string]string{"source": p.Source, "session": p.Session} {
		if text != "" {
			data[key] = text
		}
	}
	if reason, text := p.Why(); text != "" && (p.Backup || p.Status == pull.Retrying || p.Status == pull.Failed || p.Status == pull.Absent) {
		data["reason"], data["text"] = reason.String(), text
	}
	if p.Backup {
		data["backup"] = true
	}
	if !p.NextTry.IsZero() {
		data["next_try"] = p.NextTry.UTC().Format(time.RFC3339Nano)
	}
	s.events.Publish(event.Event{Type: event.PullState, Stream: &event.Stream{Path: p.Path}, Data: data})
}

// adminPulls shows and changes what is fetched from other servers, as the API has it.
type adminPulls struct{ *pull.Manager }

// List implements admin.Pulls.
func (a adminPulls) List() []admin.Pull {
	states := a.Manager.List()
	list := make([]admin.Pull, len(states))
	for i := range states {
		list[i] = pullEntry(&states[i])
	}
	return list
}

// Add implements admin.Pulls.
func (a adminPulls) Add(_ context.Context, n admin.NewPull) (admin.Pull, error) {
	if err := peer.CheckPath(n.Stream); err != nil {
		return admin.Pull{}, &admin.PullError{Code: "bad_path", Detail: sentence(err)}
	}
	for _, source := range n.Sources {
		if masked(source) {
			return admin.Pull{}, &admin.PullError{Code: "bad_source", Detail: sentence(errMasked)}
		}
		if err := pull.CheckSource(source); err != nil {
			return admin.Pull{}, &admin.PullError{Code: "bad_source", Detail: sentence(err)}
		}
	}
	tuning := pull.DefaultConfig().Tuning
	if n.Prefer != "" {
		tuning.Prefer = n.Prefer
	}
	for _, d := range []struct {
		to      *time.Duration
		seconds float64
	}{{&tuning.Linger, n.Linger}, {&tuning.Silence, n.Silence}} {
		if d.seconds > 0 {
			*d.to = time.Duration(d.seconds * float64(time.Second))
		}
	}
	if _, err := reach.ParseFingerprint(n.Pin); err != nil {
		return admin.Pull{}, &admin.PullError{Code: "bad_pin", Detail: sentence(err)}
	}
	tuning.Insecure, tuning.Pin = n.Insecure, n.Pin
	state, err := a.Manager.Add(n.Stream, pull.Plan{Sources: n.Sources, OnDemand: n.OnDemand, Tuning: tuning})
	switch {
	case errors.Is(err, pull.ErrExists):
		return admin.Pull{}, &admin.PullError{Code: "pull_exists", Detail: "The API has this stream fetched already: delete that first."}
	case errors.Is(err, pull.ErrTooMany):
		return admin.Pull{}, &admin.PullError{Code: "too_many", Detail: "As many streams are fetched as may be."}
	case err != nil:
		return admin.Pull{}, err
	}
	return pullEntry(&state), nil
}

// sentence makes a sentence for people of an error.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// Remove implements admin.Pulls.
func (a adminPulls) Remove(_ context.Context, path string) error {
	err := a.Manager.Remove(path)
	switch {
	case errors.Is(err, pull.ErrNoPull):
		return admin.ErrNoPull
	case errors.Is(err, pull.ErrConfigured):
		return &admin.PullError{Code: "pull_configured", Detail: "The stream is fetched because of the configuration or the decision hook: change that, or end its session."}
	}
	return err
}

// Retry implements admin.Pulls.
func (a adminPulls) Retry(_ context.Context, path string) error {
	if err := a.Manager.Retry(path); err != nil {
		return admin.ErrNoPull
	}
	return nil
}

func pullEntry(s *pull.State) admin.Pull {
	p := admin.Pull{
		Stream: s.Path, By: s.By, Sources: s.Sources, OnDemand: s.OnDemand, Status: string(s.Status), Since: s.Since,
		Source: s.Source, Backup: s.Backup, Session: s.Session, Tries: s.Tries, NextTry: timeOrNil(s.NextTry),
	}
	if s.Err != nil {
		p.Reason, p.LastError = s.Reason.String(), session.ErrorText(s.Err, maxLogged)
	}
	for i := range s.Failures {
		f := &s.Failures[i]
		p.Failures = append(p.Failures, admin.PullFailure{Source: f.Source, Reason: f.Reason.String(), Text: session.ErrorText(f.Err, maxLogged)})
	}
	return p
}
