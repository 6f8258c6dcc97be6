package peer

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"weir/internal/admit"
	"weir/internal/fanout"
	"weir/internal/hops"
	"weir/internal/mux"
	"weir/internal/session"
	"weir/internal/stream"
)

// Remote returns the viewer's address: the request's RemoteAddr, which the server has set to that
// of a trusted proxy's client, with port 0, if there is one.
func Remote(r *http.Request) netip.AddrPort {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// viaKey is the context key of Via.
type viaKey struct{}

// WithVia returns a context for a request that came through trusted proxies, the nearest one last.
func WithVia(ctx context.Context, via []netip.Addr) context.Context {
	return context.WithValue(ctx, viaKey{}, via)
}

// Via returns the trusted proxies through which a request came, the nearest one last.
func Via(r *http.Request) []netip.Addr {
	via, _ := r.Context().Value(viaKey{}).([]netip.Addr)
	return via
}

// HTTPViewer is an admitted viewer whose request is being answered. It waits for its stream and
// then becomes a Player.
type HTTPViewer struct {
	Session *session.Session
	View    *View

	start  Start
	cancel context.CancelCauseFunc
	ctx    context.Context
	player atomic.Pointer[Player]
}

// end ends the viewer whatever it is doing.
func (v *HTTPViewer) end(cause error) {
	v.cancel(cause)
	if p := v.player.Load(); p != nil {
		p.Close(cause)
	}
}

// Play makes the viewer a player, which is sent first and then the stream, through sink. onEnd, if
// not nil, is called once at its end.
func (v *HTTPViewer) Play(sink fanout.Sink, first []byte, onEnd func()) *Player {
	p := v.View.Player(v.Session, sink, first, onEnd)
	v.player.Store(p)
	if cause := context.Cause(v.ctx); cause != nil { // it ended before the player could be told
		p.Close(cause)
	}
	p.Join(v.start, nil)
	return p
}

// Refuse answers a viewer that cannot play the stream because of err, the text of which is for the peer.
func (v *HTTPViewer) Refuse(w http.ResponseWriter, err error) {
	refusal := v.View.Refuse(v.Session, err.Error(), err)
	v.View.door.Fail(w, refusal)
	v.Session.CloseWith(refusal)
}

// Leave gives up a viewer that did not become a player.
func (v *HTTPViewer) Leave(cause error) {
	if v.View != nil {
		v.View.Leave()
	}
	v.Session.CloseWith(cause)
}

// EnterHTTP is PlayLive for the viewer of a request, who gets a session. Nothing is answered before the stream has
// begun and its tracks are known. variant is as for Play. EnterHTTP returns nil if it has answered the
// request itself, with a refusal or because nothing is to be played.
func (d *Door) EnterHTTP(w http.ResponseWriter, r *http.Request, path string, variant func(path string) mux.Variant) *HTTPViewer {
	ctx, cancel := context.WithCancelCause(r.Context())
	v := &HTTPViewer{ctx: ctx, cancel: cancel}
	s, err := d.Sessions.Open(d.Info(r, v.end))
	if err != nil {
		d.Fail(w, err)
		return nil
	}
	v.Session = s
	if v.View, err = d.PlayLive(ctx, s, AskOf(r, path), variant); err != nil {
		d.Fail(w, err)
		s.CloseWith(err)
		return nil
	}
	v.start = d.StartOf(v.View.Stream.Path(), r.URL.Query().Get("start"), hops.ParseVia(r.Header.Values("Via")))
	return v
}

// Info is what a request tells of its sender. cancel ends its session.
func (d *Door) Info(r *http.Request, cancel func(cause error)) session.Info {
	return session.Info{
		Protocol: d.Name, Remote: Remote(r), UserAgent: r.UserAgent(), TLS: r.TLS != nil, Via: Via(r), Cancel: cancel,
	}
}

// AskOf returns what a request for the stream at path asks for and shows.
func AskOf(r *http.Request, path string) Ask {
	ask := Ask{Path: path, RawQuery: r.URL.RawQuery, PageURL: r.Referer(), URL: urlOf(r), Hops: hops.ParseVia(r.Header.Values("Via"))}
	if user, secret, ok := r.BasicAuth(); ok {
		ask.Credential = admit.Credential{Kind: "basic", User: user, Secret: secret}
	} else if token, ok := session.BearerToken(r.Header.Get("Authorization")); ok {
		ask.Credential = admit.Credential{Kind: "bearer", Token: token}
	}
	return ask
}

// urlOf returns what a request asks for, as its client named it.
func urlOf(r *http.Request) string {
	u := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return u.String()
}

// Request is what the sender of a request, who has no session, asks for.
func (d *Door) Request(r *http.Request, path string) *admit.Request {
	ask, who := AskOf(r, path), d.Info(r, nil)
	return d.request(session.Play, &ask, &who)
}

// Unasked returns the grant of the sender of a request that Admit need not be asked about.
func (d *Door) Unasked(r *http.Request, path string, g session.Grant) session.Grant {
	if d.Hides != nil {
		ask := d.Request(r, path)
		d.look(ask, path)
		g.Hidden = d.Hides(ask)
	}
	return g
}

// PlayLive is Play for a session that waits until the stream has begun and its tracks are known.
func (d *Door) PlayLive(ctx context.Context, s *session.Session, ask Ask, variant func(path string) mux.Variant) (*View, error) {
	v, err := d.Play(ctx, s, ask, variant)
	if err != nil {
		return nil, err
	}
	if err := d.Await(ctx, v.Stream, v.Stream.Settled()); err != nil {
		v.Leave()
		return nil, err
	}
	s.Promote(session.Play, v.Stream.Path())
	return v, nil
}

// errNotLive ends a viewer that waited in vain.
var errNotLive = session.Because(session.NotFound, errors.New("nobody publishes this stream"))

// NotLive is what a player is told whose stream has ended because of cause and never began. Nobody but servers knows what other errors than
// refusals mean.
func NotLive(cause error) error {
	if _, ok := errors.AsType[*session.Refusal](cause); ok || errors.Is(cause, session.ErrShutdown) {
		return cause
	}
	return errNotLive
}

// Await waits, as long as players of the stream do, until c is closed, which is the stream's Begun or Settled. That
// its tracks are not all known yet stops nobody when the time is over.
func (d *Door) Await(ctx context.Context, s *stream.Stream, c <-chan struct{}) error {
	t := time.NewTimer(d.Wait(s.Path()))
	defer t.Stop()
	select {
	case <-c:
		return nil
	case <-t.C:
		select {
		case <-s.Begun():
			return nil
		default:
		}
		if d.Missing != nil {
			if err := d.Missing(s.Path()); err != nil {
				return err
			}
		}
		return errNotLive
	case <-s.Over():
		return NotLive(s.Unbegun())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Fail answers a viewer with an error: the status of its reason and the text for the peer.
func (d *Door) Fail(w http.ResponseWriter, err error) {
	status := http.StatusForbidden
	refusal, _ := errors.AsType[*session.Refusal](err)
	switch session.ReasonOf(err) {
	case session.NotFound, session.StreamEnded, session.Path:
		status = http.StatusNotFound
		w.Header().Set("Retry-After", strconv.Itoa(session.RetrySeconds))
	case session.Internal:
		status = http.StatusInternalServerError
	case session.Limit, session.Shutdown, session.Timeout, session.Hook:
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", strconv.Itoa(session.RetrySeconds))
	case session.Unsupported:
		status = http.StatusNotAcceptable
	case session.Throttled:
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", "60")
	case session.Loop:
		status = http.StatusLoopDetected
	case session.Redirected:
		if refusal != nil && refusal.Redirect != "" {
			status = http.StatusTemporaryRedirect
			w.Header().Set("Location", refusal.Redirect)
		}
	}
	if refusal != nil && refusal.Login {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="weir", charset="UTF-8"`)
	}
	if refusal != nil && refusal.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(refusal.RetryAfter.Seconds()))))
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, session.PeerText(err), status)
}
