package hls

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/peer"
	"weir/internal/session"
)

const (
	// silentTime is how long after its last playlist a viewer is thought to be gone.
	silentTime = 30 * time.Second
	// rememberTime is how much longer it is remembered: a player that was paused goes on.
	rememberTime = 2 * time.Minute
	// reloadTime is the age from which an id whose viewer has asked us for no media is assumed to be playing
	// from a cache.
	reloadTime = 10 * time.Second
	// barTime is how long one that the operator has sent away is refused.
	barTime = time.Minute
)

// viewer is a client that plays: it has asked for a playlist and then for media. It has a session
// as long as it asks for playlists. Its query is not kept: its id stands for it.
type viewer struct {
	key   viewerKey
	grant session.Grant // what it was let in with
	held  atomic.Int32

	mu       sync.Mutex // guards below
	silence  time.Duration
	session  *session.Session
	view     *peer.View
	used     time.Time
	barred   error     // it was sent away
	barredAt time.Time // and does not come back, or not for barTime if the operator did that
	// proof is the one that it was asked about last, at askedAt; 0 is the one in its id.
	proof   proof
	askedAt time.Time
	begun   bool // it has had a session
	// forgotten says that it is not in the table any more: it gets no session.
	forgotten bool
}

// viewerKey tells viewers apart.
type viewerKey struct{ path, token string }

func newViewer(key viewerKey, g session.Grant) *viewer {
	return &viewer{key: key, grant: g, silence: silentTime, used: time.Now()}
}

// isShared reports whether the viewer stands for an address with perhaps many viewers behind it.
func (v *viewer) isShared() bool { return v.key.token[0] == '@' }

// enter gives a session to a viewer that has asked for a stream's media. It fails with the limit
// that has been reached, or with the reason why the viewer was sent away.
func (p *HLS) enter(key viewerKey, g session.Grant, who session.Info) (*viewer, error) {
	for {
		v, err := p.viewers.add(key, g)
		if err != nil {
			return nil, err
		}
		switch err := v.begin(p, who); {
		case err == nil:
			p.newcomers.forget(who.Remote.Addr(), key)
			return v, nil
		case !errors.Is(err, errForgotten):
			p.viewers.forget(v, false)
			return nil, err
		}
	}
}

// errForgotten says that a viewer was forgotten while it was being looked up.
var errForgotten = errors.New("the viewer was forgotten")

// begin gives the viewer a session if it has none.
func (v *viewer) begin(p *HLS, who session.Info) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.forgotten {
		return errForgotten
	}
	v.used = time.Now()
	if err := v.bars(); err != nil {
		return err
	}
	v.barred = nil
	if v.session != nil {
		return nil
	}
	who.Cancel = v.bar
	if t := v.grant.Terms; t != nil && !v.begun && p.taken.take(t.Session, v.used) {
		who.ID = t.Session
	}
	v.begun = true
	s, err := p.env.Sessions.Open(who)
	if err != nil {
		return err
	}
	view, err := p.env.ViewFor(s, v.key.path, nil)
	if err != nil {
		s.CloseWith(err)
		return err
	}
	r := p.env.RequestOf(s, session.Play, &peer.Ask{Path: v.key.path})
	if _, err = s.BindGrant(v.grant, session.Play, v.key.path); err == nil {
		p.env.Hold(s, r, v.grant)
		err = s.Watch(session.Play, v.key.path)
	}
	if err != nil {
		view.Leave()
		err = p.env.Refuse(r, err)
		s.CloseWith(err)
		return err
	}
	v.session, v.view = s, view
	return nil
}

// bars returns with what the viewer was sent away, if it may not come back yet. mu is held.
func (v *viewer) bars() error {
	if v.barred != nil && session.ReasonOf(v.barred) == session.Kicked && time.Since(v.barredAt) >= barTime {
		return nil
	}
	return v.barred
}

// sentAway is bars for who does not hold mu. v may be nil.
func (v *viewer) sentAway() error {
	if v == nil {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bars()
}

// bar sends the viewer away.
func (v *viewer) bar(cause error) {
	v.mu.Lock()
	v.barred, v.barredAt = cause, time.Now()
	if v.session != nil && session.ReasonOf(cause) == session.Expired && v.lasts(v.barredAt) {
		v.barred = nil // its time was extended when it had just run out: it comes back
	}
	v.mu.Unlock()
	v.end(cause)
}

// end ends the viewer's session, if it has one.
func (v *viewer) end(cause error) {
	v.mu.Lock()
	s, view := v.session, v.view
	v.session, v.view = nil, nil
	v.mu.Unlock()
	if s != nil {
		view.Leave()
		s.CloseWith(cause)
	}
}

// touch notes that the viewer asks for a playlist, and asks again within silence unless it is gone.
func (v *viewer) touch(silence time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.used, v.silence = time.Now(), max(silence, silentTime)
}

// sent counts what the viewer alone is sent. It reports false if it has no session to count it on.
func (v *viewer) sent(n int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.session != nil {
		v.session.BytesOut.Add(uint64(n))
	}
	return v.session != nil
}

// errSilent is the end of a viewer that asks for nothing any more.
var errSilent = session.Because(session.EOF, errors.New("the viewer has stopped asking for playlists"))

// review ends the session of a viewer that is gone. It reports whether to forget the viewer.
func (v *viewer) review(now time.Time) (forget bool) {
	v.mu.Lock()
	idle, silence, view := now.Sub(v.used), v.silence, v.view
	if v.held.Load() > 0 {
		idle = 0
	}
	v.mu.Unlock()
	if view != nil {
		select {
		case <-view.Stream.Over():
			v.end(session.Because(session.StreamEnded, errors.New("the stream has ended")))
		default:
			if idle > silence {
				v.end(errSilent)
			}
		}
	}
	return idle > silence+rememberTime
}

// viewer returns who asks for a media playlist, which asks again within silence; nil for a
// newcomer, who is admitted but has no session yet. A request whose id is not good is decided by
// its own query. One without an id, such as a cache's, counts as the viewer at its address with
// its query: those behind one address share a viewer only if they show the same key.
func (p *HLS) viewer(r *http.Request, path string, q url.Values, silence time.Duration) (*viewer, error) {
	now, remote := time.Now(), peer.Remote(r)
	if p.isCDN(r, path) {
		v, err := p.enter(viewerKey{path, cdnToken}, cdnGrant, p.env.Info(r, nil))
		if err == nil {
			v.touch(silence)
		}
		return v, err
	}
	key := viewerKey{path, q.Get("v")}
	v := p.viewers.get(key)
	var grant session.Grant
	var age time.Duration
	if v == nil {
		var good bool
		grant, _, age, good = p.tokens.open(path, key.token, now)
		if end := grant.Terms.End(now.Add(-age)); !good || !end.IsZero() && now.After(end) {
			key.token, age = sharedToken(remote.Addr(), q), 0
			if v = p.viewers.get(key); v == nil {
				var err error
				if grant, err = p.env.Allow(r.Context(), p.question(r, path)); err != nil {
					return nil, err
				}
			}
		}
	}
	if v != nil {
		p.renew(r, v, q)
	}
	if v == nil && !p.newcomers.note(remote.Addr(), key, grant, now) && age < reloadTime {
		// One who comes as another each time never becomes a session, but where no player may come it gets nothing either.
		if err := p.env.Sessions.Room(remote.Addr()); err != nil {
			return nil, p.env.Refuse(p.env.Request(r, path), err)
		}
		return nil, nil
	}
	key.token = strings.Clone(key.token) // it may be part of a long query
	v, err := p.enter(key, grant, p.env.Info(r, nil))
	if err == nil {
		v.touch(silence)
	}
	return v, err
}

// asks notes that the sender of a request has asked for a stream's media, and so plays. What
// hinders it is the answer to its next playlist.
func (p *HLS) asks(r *http.Request, path string) {
	remote := peer.Remote(r)
	if key, grant, ok := p.newcomers.ask(remote.Addr(), path, time.Now()); ok {
		_, _ = p.enter(key, grant, p.env.Info(r, nil))
	}
}

// sharedToken is the id of those at an address who show the same in their queries. The query is
// not kept: it may be long.
func sharedToken(addr netip.Addr, q url.Values) string {
	sum := sha256.Sum256([]byte(credentials(q)))
	return "@" + addr.String() + "?" + hex.EncodeToString(sum[:])
}

// credentials is a query without what differs from one request of a viewer to the next.
func credentials(q url.Values) string {
	for name := range q {
		if name == "v" || strings.HasPrefix(name, "_HLS_") {
			delete(q, name)
		}
	}
	return q.Encode()
}
