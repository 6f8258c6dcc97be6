package pull

import (
	"context"
	"log/slog"
	"net/netip"
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
	Standby    Status = "standby"    // somebody publishes the stream here
)

// Statuses returns all of them.
func Statuses() []Status { return []Status{Idle, Connecting, Live, Retrying, Failed, Standby} }

// State is how a pull is. It holds no secret.
type State struct {
	Path     string
	By       string   // what made it
	Sources  []string // redacted
	OnDemand bool
	Status   Status
	Since    time.Time // of the status
	Source   string    // the one that is live or was tried last, redacted
	Session  string    // the id of the publisher's session, while it is live
	Tries    int       // that failed since a source was live last
	Reason   session.Reason
	Err      error     // why the last try failed, with Reason; nil if none has since a source is live
	NextTry  time.Time // while it is retrying
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
		p.state.Session = ""
	}
	if change != nil {
		change(&p.state)
	}
	now := news{status: status}
	if status == Live {
		now.source = p.state.Source
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
	p.failed, p.live = nil, src
	p.mu.Unlock()
	p.set(Live, func(s *State) {
		s.Source, s.Session, s.Tries, s.Err = session.Redact(src.url), id, 0, nil
	})
}

// trying notes that a source is tried.
func (p *pull) trying(url string) {
	p.set(Connecting, func(s *State) { s.Source = session.Redact(url) })
}

// lost notes that a source has failed, or that it ended.
func (p *pull) lost(err error) {
	reason := session.ReasonOf(err)
	p.mu.Lock()
	p.state.Tries++
	p.state.Reason, p.state.Err = reason, err
	level := slog.LevelDebug
	if p.told.status == Live && p.state.Tries == 1 {
		level = slog.LevelWarn
	}
	source := p.state.Source
	p.mu.Unlock()
	p.m.opt.Log.Log(context.Background(), level, "a source has failed", slog.String("stream", p.path), slog.String("source", source),
		slog.String("reason", reason.String()), slog.String("err", session.ErrorText(err, maxLogged)))
	p.m.opt.Failed(reason)
}
