package httphls

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/peer"
	"weir/internal/session"
	"weir/internal/stream"
)

const (
	// silentTime is how long after its last playlist a viewer is thought to be gone.
	silentTime = 30 * time.Second
	// rememberTime is how much longer it is remembered: a player that was paused goes on.
	rememberTime = 2 * time.Minute
	tokenSize    = 16
)

// viewer is somebody who asks for playlists. It has a session while it does.
type viewer struct {
	path, token string
	rawQuery    string // what it was admitted with: it may hold a key
	held        atomic.Int32
	entered     atomic.Bool   // it had a session
	turn        chan struct{} // held by the request that enters for all of the viewer's
	asking      int           // requests that look whether it may watch; guarded by viewers.mu

	mu      sync.Mutex // guards below
	silence time.Duration
	session *session.Session
	view    *peer.View
	cancel  context.CancelCauseFunc // ends the wait to be let in
	used    time.Time
	barred  error // it was sent away, and does not come back
}

func newViewer(path, token, rawQuery string) *viewer {
	return &viewer{path: path, token: token, rawQuery: rawQuery, turn: make(chan struct{}, 1), silence: silentTime, used: time.Now()}
}

func newToken() string { return strings.ToLower(rand.Text()[:tokenSize]) }

// isShared reports whether the viewer is an address, behind which there may be many.
func (v *viewer) isShared() bool { return v.token[0] == '@' }

// viewerKey tells viewers apart.
type viewerKey struct{ path, token string }

func (v *viewer) key() viewerKey { return viewerKey{v.path, v.token} }

// stream returns the stream that it watches; only while it has a session.
func (v *viewer) stream() *stream.Stream {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.view.Stream
}

// enter gives the viewer a session: it is admitted, and waits for the stream to begin.
func (p *HLS) enter(r *http.Request, v *viewer) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	v.mu.Lock()
	v.cancel = cancel
	v.mu.Unlock()
	s, err := p.env.Sessions.Open(session.Info{Protocol: p.env.Name, Remote: peer.Remote(r), UserAgent: r.UserAgent(), Cancel: v.bar})
	if err != nil {
		return err
	}
	view, err := p.env.Claim(ctx, s, v.path, v.rawQuery, nil)
	if err != nil {
		s.CloseWith(err)
		return err
	}
	v.mu.Lock()
	v.cancel = nil
	barred := v.barred
	if barred == nil {
		v.session, v.view, v.used = s, view, time.Now()
		v.entered.Store(true)
	}
	v.mu.Unlock()
	if barred != nil { // meanwhile
		view.Leave()
		s.CloseWith(barred)
	}
	return barred
}

// bar sends the viewer away.
func (v *viewer) bar(cause error) {
	v.mu.Lock()
	v.barred = cause
	cancel := v.cancel
	v.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
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

// touch notes that the viewer is there, and asks again within silence unless it is gone. It
// reports whether it has a session, and the reason why it may not have one.
func (v *viewer) touch(silence time.Duration) (in bool, barred error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.used, v.silence = time.Now(), max(silence, silentTime)
	return v.session != nil, v.barred
}

// sent counts what the viewer alone is sent.
func (v *viewer) sent(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.session != nil {
		v.session.BytesOut.Add(uint64(n))
	}
}

// errSilent is the end of a viewer that asks for nothing any more.
var errSilent = session.Because(session.EOF, errors.New("no playlist was asked for any more"))

// review ends the session of a viewer that is gone. It reports whether to forget it.
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

// viewers is everybody who watches, or did a short while ago.
type viewers struct {
	mu     sync.Mutex // guards below
	byKey  map[viewerKey]*viewer
	closed error
}

// add adds a viewer that has a session. It fails with the cause of close after that.
func (vs *viewers) add(v *viewer) error {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if vs.closed == nil {
		vs.byKey[v.key()] = v
	}
	return vs.closed
}

// ask returns a viewer, which is known from now on. leave gives it back: who was not let in is
// not kept.
func (vs *viewers) ask(path, token, rawQuery string) *viewer {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	v := vs.byKey[viewerKey{path, token}]
	if v == nil {
		v = newViewer(path, token, rawQuery)
		vs.byKey[v.key()] = v
	}
	v.asking++
	return v
}

// leave ends ask.
func (vs *viewers) leave(v *viewer) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if v.asking--; v.asking == 0 && !v.entered.Load() {
		delete(vs.byKey, v.key())
	}
}

func (vs *viewers) list() []*viewer {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	l := make([]*viewer, 0, len(vs.byKey))
	for _, v := range vs.byKey {
		l = append(l, v)
	}
	return l
}

// sweep ends and forgets those who are gone.
func (vs *viewers) sweep(now time.Time) {
	for _, v := range vs.list() {
		if !v.review(now) {
			continue
		}
		vs.mu.Lock()
		if v.asking == 0 {
			delete(vs.byKey, v.key())
		}
		vs.mu.Unlock()
	}
}

// close ends everybody, and whoever enters meanwhile.
func (vs *viewers) close(cause error) {
	vs.mu.Lock()
	vs.closed = cause
	vs.mu.Unlock()
	for _, v := range vs.list() {
		v.bar(cause)
	}
}

// viewer returns who asks for a playlist, admitted; it asks again within silence. A request
// with an id that is not known is decided by its own query. One without an id, such as a
// cache's, counts as the viewer at its address with its query: those behind one address
// share a viewer only if they show the same key.
func (p *HLS) viewer(r *http.Request, path, token string, silence time.Duration) (*viewer, error) {
	if !isToken(token) {
		token = "@" + peer.Remote(r).Addr().String() + "?" + credentials(r.URL.Query())
	}
	v := p.viewers.ask(path, token, r.URL.RawQuery)
	defer p.viewers.leave(v)
	if in, barred := v.touch(silence); in || barred != nil {
		return v.unlessBarred(barred)
	}
	select {
	case v.turn <- struct{}{}:
		defer func() { <-v.turn }()
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	if in, barred := v.touch(silence); in || barred != nil { // another of its requests was first
		return v.unlessBarred(barred)
	}
	return v, p.enter(r, v)
}

func (v *viewer) unlessBarred(barred error) (*viewer, error) {
	if barred != nil {
		return nil, barred
	}
	return v, nil
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

func isToken(s string) bool {
	return len(s) == tokenSize && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}
