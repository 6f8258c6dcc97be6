package peer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"weir/internal/admit"
	"weir/internal/session"
)

// Hold gives a session its grant, instead of an earlier one, and ends the session when the grant ends. If the
// grant says so, those who want it are asked again while the session runs, and may end it or change what they said.
// r is what the session asked for.
func (d *Door) Hold(s *session.Session, r *admit.Request, g session.Grant) {
	s.SetGrant(g)
	if g.Terms.End(s.Started).IsZero() && (g.Terms == nil || g.Terms.Recheck == 0 && g.Terms.Warn.IsZero()) {
		s.OnClose(nil)
		return
	}
	h := &hold{door: d, session: s, request: *r}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	s.OnClose(h.stop)
	h.wind(g.Terms)
}

const (
	// recheckTime bounds one decision that is asked for again, by more than a service may take, and recheckLeast how soon
	// it may be.
	recheckTime  = 40 * time.Second
	recheckLeast = time.Second
)

// hold is what keeps a session to its grant.
type hold struct {
	door    *Door
	session *session.Session
	request admit.Request // as it was when the session came
	ctx     context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex // guards below
	stopped bool
	end     *time.Timer
	recheck *time.Timer
	ran     *time.Timer // logs that what the peer showed has run out; nil until it is known when
}

// wind sets the timers for the terms in force.
func (h *hold) wind(t *session.Terms) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return
	}
	stopTimer(h.end)
	stopTimer(h.recheck)
	if end := t.End(h.session.Started); !end.IsZero() {
		h.end = time.AfterFunc(time.Until(end), func() { h.session.Kick(session.Because(session.Expired, errExpired)) })
	}
	if t != nil && !t.Warn.IsZero() && h.ran == nil {
		h.ran = time.AfterFunc(time.Until(t.Warn), h.ranOut)
	}
	if t != nil && t.Recheck > 0 {
		h.recheck = time.AfterFunc(max(t.Recheck, recheckLeast), h.again)
	}
}

func stopTimer(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}

// begin counts a recheck as a task of the session, unless the hold was stopped.
func (h *hold) begin() (done func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return nil, false
	}
	return h.session.Task(), true
}

// ranOut logs that the session outlives what it was let in by.
func (h *hold) ranOut() {
	h.door.Log.Warn("what the peer was let in by has run out: it goes on, and is refused when it comes again with the same",
		slog.String("session", h.session.ID), slog.String("stream", h.session.Stream()), slog.String("remote", h.session.From()),
		slog.String("by", h.session.Terms().By), slog.String("user", h.session.Terms().User))
}

// again asks for the decision once more.
func (h *hold) again() {
	done, ok := h.begin()
	if !ok {
		return
	}
	defer done()
	ctx, cancel := context.WithTimeout(h.ctx, recheckTime)
	defer cancel()
	now, _ := h.session.Grant()
	r := h.request
	r.Recheck, r.Grant = true, now
	r.Running = time.Since(h.session.Started)
	h.door.look(&r, now.PathOf(r.Path))
	grant, err := h.door.Admit(ctx, &r)
	switch {
	case h.ctx.Err() != nil: // the session has ended
	case err != nil && undecided(err):
		h.warn("recheck failed: the session goes on under its present terms", err)
		h.wind(now.Terms)
	case err != nil:
		h.warn("session ends: the recheck denied it", err)
		h.session.Kick(&session.Refusal{Reason: session.Revoked, Peer: session.PeerText(err), Err: errors.Join(errDenied, err)})
	case grant.PathOf(r.Path) != now.PathOf(r.Path):
		h.session.Kick(session.Because(session.Revoked, errors.New("the recheck granted a different stream")))
	default:
		h.session.SetGrant(grant)
		h.wind(grant.Terms)
	}
}

// errDenied ends a session whose recheck was denied.
var errDenied = errors.New("the recheck denied the session")

// undecided reports whether err says nothing of the peer, but that nobody could be asked about it.
func undecided(err error) bool {
	switch session.ReasonOf(err) {
	case session.Hook, session.Timeout, session.Internal, session.EOF, session.Shutdown:
		return true
	}
	return false
}

func (h *hold) warn(message string, err error) {
	h.door.Log.Warn(message, slog.String("session", h.session.ID), slog.String("stream", h.session.Stream()), //nolint:sloglint // one of two constants
		slog.String("remote", h.session.From()), slog.String("err", session.ErrorText(err, maxLogged)))
}

// stop ends the hold with its session, or when another takes its place.
func (h *hold) stop() {
	h.mu.Lock()
	h.stopped = true
	stopTimer(h.end)
	stopTimer(h.recheck)
	stopTimer(h.ran)
	h.mu.Unlock()
	h.cancel()
}
