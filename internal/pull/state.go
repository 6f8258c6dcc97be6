package pull

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"weir/internal/session"
)

// Status is what a pull does.
type Status string

// The statuses.
const (
	Idle       Status = "idle"       // nobody plays the stream
	Connecting Status = "connecting" // a source is being opened, or has sent no media so far
	Live       Status = "live"       // a source sends
	Retrying   Status = "retrying"   // all sources have failed, and are tried again
	Failed     Status = "failed"     // all sources have failed, and are tried again for the next player
	Absent     Status = "absent"     // likewise, and all sources say that nobody publishes the stream: it has ended, or never began
	Standby    Status = "standby"    // somebody publishes the stream here
)

// Statuses returns all of them.
func Statuses() []Status { return []Status{Idle, Connecting, Live, Retrying, Failed, Absent, Standby} }

// State is how a pull is. It holds no secret.
type State struct {
	Path     string
	By       string   // what made it
	Sources  []string // redacted
	OnDemand bool
	Status   Status
	Since    time.Time // of the status, and of the source while it is live
	Source   string    // the one that is live or was tried last, redacted
	Backup   bool      // the one that is live is not the first one
	Session  string    // the id of the publisher's session, while it is live
	Tries    int       // that failed since a source was live last
	Reason   session.Reason
	Err      error     // why the last try failed, with Reason; nil if none has since a source is live
	Failures []Failure // of the sources that have failed since they were live, in their order
	NextTry  time.Time // while it is retrying
}

// Why says why the stream is not fetched, of each source that has failed; or, while a backup is live, why the first one is not. It is
// empty if there is nothing to say.
func (s *State) Why() (reason session.Reason, text string) {
	switch {
	case s.Backup && len(s.Failures) > 0 && s.Failures[0].Source == s.Sources[0]:
		return s.Failures[0].Reason, session.ErrorText(s.Failures[0].Err, maxLogged)
	case s.Status == Live, s.Err == nil:
		return 0, ""
	case len(s.Failures) < 2:
		return s.Reason, session.ErrorText(s.Err, maxLogged)
	}
	texts := make([]string, len(s.Failures))
	for i := range s.Failures {
		texts[i] = session.ErrorText(s.Failures[i].Err, maxFailure)
	}
	return s.Reason, strings.Join(texts, "; ")
}

// news is what was told last.
type news struct {
	status Status
	source string // while it is live
}

// set changes the status, and tells of it if it is news.
func (p *pull) set(status Status, change func(s *State)) {
	p.telling.Lock() // so that changes are told in their order
	defer p.telling.Unlock()
	p.mu.Lock()
	s, isNews := p.change(status, change)
	p.mu.Unlock()
	if isNews {
		p.m.tell(s)
	}
}

// change is set without telling. mu is held.
func (p *pull) change(status Status, change func(s *State)) (s State, isNews bool) {
	if p.state.Status != status {
		p.state.Status, p.state.Since = status, time.Now()
	}
	p.state.NextTry = time.Time{}
	if status != Live {
		p.state.Session, p.state.Backup = "", false
	}
	if change != nil {
		change(&p.state)
	}
	now := news{status: status}
	if status == Live {
		if now.source = p.state.Source; p.told.status == Live && p.told.source != now.source {
			p.state.Since = time.Now()
		}
	}
	if isNews = status != Connecting && now != p.told; isNews {
		p.told = now
	}
	return p.shown(), isNews
}

// shown is the state as it is shown. mu is held.
func (p *pull) shown() State {
	s := p.state
	s.Path, s.By, s.OnDemand, s.Sources = p.path, p.plan.By, p.plan.OnDemand, p.plan.redacted()
	s.Failures = p.failures()
	return s
}

// source returns the URL and the addresses of the source that sends.
func (p *pull) source() (url string, addrs []netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil {
		return "", nil
	}
	return p.live.url, p.live.guard.Reached()
}

// dead notes that no source sends any more.
func (p *pull) dead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live = nil
}

// alive notes that a source sends.
func (p *pull) alive(src *opened, id string) {
	p.mu.Lock()
	p.failure, p.live = nil, src
	p.recall(src.plan, src.number).failure = nil
	p.mu.Unlock()
	p.set(Live, func(s *State) {
		s.Source, s.Session, s.Tries, s.Err, s.Backup = session.Redact(src.url), id, 0, nil, src.number > 0
	})
}

// trying notes that a source is tried.
func (p *pull) trying(url string) {
	p.set(Connecting, func(s *State) { s.Source = session.Redact(url) })
}

// lost notes that a source of a plan has failed, or that it ended.
func (p *pull) lost(plan *Plan, e end) {
	f := p.failed(plan, e)
	p.mu.Lock()
	p.state.Tries++
	p.state.Reason, p.state.Err = f.Reason, f.Err
	level := slog.LevelDebug
	text := "a source has failed"
	switch first := p.told.status == Live && p.state.Tries == 1; {
	case first && f.Absent:
		level, text = slog.LevelInfo, "a source has no stream any more"
	case first:
		level = slog.LevelWarn
	}
	p.mu.Unlock()
	p.m.opt.Log.Log(context.Background(), level, text, slog.String("stream", p.path), slog.String("source", f.Source), //nolint:sloglint // one of two constants
		slog.String("reason", f.Reason.String()), slog.String("err", session.ErrorText(f.Err, maxLogged)))
	p.m.opt.Failed(f.Reason)
}
