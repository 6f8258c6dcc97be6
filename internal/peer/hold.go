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

// Hold gives a session its grant, and ends the session when the grant ends. If the grant says so, the decision
// is asked for again while the session runs, and may end it or change its terms.
func (d *Door) Hold(s *session.Session, r *admit.Request, g session.Grant) {
	s.SetGrant(g)
	if g.Terms.End(s.Started).IsZero() && (g.Terms == nil || g.Terms.Recheck == 0) {
		return
	}
	h := &hold{door: d, session: s, request: *r}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	s.OnClose(h.stop)
	h.wind(g.Terms)
}

// recheckTime bounds one decision that is asked for again, and recheckLeast how soon it may be.
const (
	recheckTime  = 10 * time.Second
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
	if t != nil && t.Recheck > 0 {
		h.recheck = time.AfterFunc(max(t.Recheck, recheckLeast), h.again)
	}
}

func stopTimer(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}

// errWithdrawn ends a session whose recheck was denied.
var errWithdrawn = errors.New("the decision was asked for again, and is no now")

// again asks for the decision once more.
func (h *hold) again() {
	ctx, cancel := context.WithTimeout(h.ctx, recheckTime)
	defer cancel()
	r := h.request
	r.Recheck, r.By, r.KeyID = true, h.session.Terms().By, h.session.Terms().KeyID
	grant, err := h.door.Admit(ctx, &r)
	switch {
	case h.ctx.Err() != nil:
	case err != nil:
		h.door.Log.Warn("session ends: its grant was withdrawn", slog.String("session", h.session.ID),
			slog.String("stream", h.session.Stream()), slog.String("remote", h.session.From()),
			slog.String("err", session.Printable(err.Error(), maxLogged)))
		h.session.Kick(&session.Refusal{Reason: session.Revoked, Peer: session.PeerText(err), Err: errors.Join(errWithdrawn, err)})
	default:
		now, _ := h.session.Grant()
		if grant.PathOf(r.Path) != now.PathOf(r.Path) {
			h.session.Kick(session.Because(session.Revoked, errors.New("the decision was asked for again, and is for another stream now")))
			return
		}
		h.session.SetGrant(grant)
		h.wind(grant.Terms)
	}
}

// stop ends the hold with its session.
func (h *hold) stop() {
	h.mu.Lock()
	h.stopped = true
	stopTimer(h.end)
	stopTimer(h.recheck)
	h.mu.Unlock()
	h.cancel()
}
