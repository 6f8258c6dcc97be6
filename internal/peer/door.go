// Package peer is the life of a peer in the server, whatever its protocol: the one door through
// which publishers and players come (path rules, admission, session, limits, reasons), what a
// player holds while it plays, and how connections are accepted and handed to the delivery engine.
package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"weir/internal/admit"
	"weir/internal/fanout"
	"weir/internal/hops"
	"weir/internal/intake"
	"weir/internal/mux"
	"weir/internal/session"
	"weir/internal/stream"
)

// Door lets the peers of one protocol in.
type Door struct {
	// Name is the protocol's name: its log key, metric label and API name.
	Name string
	// Server is the id by which this server finds itself in Ask.Hops.
	Server   string
	Log      *slog.Logger
	Hub      *stream.Hub
	Mux      *mux.Set
	Engine   *fanout.Engine
	Sessions *session.Registry
	Metrics  Metrics
	Admit    Admission
	// SecretName reports whether the name that a peer asks for may be a key, and is not to be logged; nil: never.
	SecretName func(r *admit.Request) bool
	// Hides reports whether a player asks for a name that is a key (session.Grant.Hidden), for those that Admit is not asked about;
	// nil: never.
	Hides func(r *admit.Request) bool
	// Users may be nil: then no protocol asks for user and password by itself.
	Users Users
	// Reserved is the names that publishers may not take.
	Reserved *Reserved
	// Want, if not nil, is told of each player that was admitted and has joined its stream, which may have to be fetched.
	// An error refuses the player.
	Want func(r *admit.Request, g session.Grant) error
	// Missing, if not nil, says why the stream at a path is not there for which a player has waited in vain; nil: nobody publishes it.
	Missing func(path string) error
	// Wait returns how long a player of the path waits for a publisher.
	Wait func(path string) time.Duration
	// Start returns where players of the path begin that do not say so.
	Start func(path string) Start
	// Repair returns whether players of the path get whole pictures of a publisher that sends
	// them in pieces, instead of its bytes.
	Repair func(path string) bool
	// Poller waits for the bytes of silent players; nil makes each use a goroutine.
	Poller *intake.Poller
	// Portable makes players use a goroutine each.
	Portable bool
	// Refused and Skipped, if not nil, are told of each refusal, with the path as far as it may be
	// shown, and of each player that skipped ahead because it was lag behind. They must not block.
	Refused func(r *admit.Request, path string, refusal *session.Refusal)
	// Began, if not nil, is told of each request to which somebody has said yes who waits for the end (admit.Request.Owed),
	// with the stream's path as far as it may be told, and Gone that nothing comes of the last one of an id. The session's own
	// end is told to its observer alone.
	Began func(r *admit.Request, path string)
	Gone  func(id string, role session.Role, reason session.Reason)
	// Connects decides about a connection before it names a stream, and returns the app that it belongs to; ok is false
	// if nobody is asked. It may be nil.
	Connects func(ctx context.Context, r *admit.Request) (app string, ok bool, err error)
	// Keeps reports whether what peers show is kept with their sessions; nil is no.
	Keeps   func() bool
	Skipped func(s *session.Session, lag time.Duration, bytes int64)
}

// Metrics counts what protocols have to count by themselves.
type Metrics interface {
	// Dropped counts a message that was thrown away.
	Dropped(protocol, reason string)
	// HandshakeFailed counts a connection that never became a session.
	HandshakeFailed(protocol, reason string)
	// Rejected counts a peer that may not do what it asked for.
	Rejected(reason string)
}

// Ask is what a peer asks for, and what it shows, as its protocol has it.
type Ask struct {
	Path string // of the stream: app/name
	// RawQuery is what followed the name, as sent. It holds keys: never log it.
	RawQuery   string
	Credential admit.Credential
	// URL is as admit.Request has it.
	URL string
	// PageURL and TCURL are what RTMP's connect says of where the peer comes from and goes to.
	PageURL, TCURL string
	// Hops are the servers that a stream to publish came through, or one to play goes through, as the peer says.
	Hops []string
}

// Users checks users and passwords for protocols whose peers prove that they know a password without showing it,
// and before they name a stream. Whether they may publish or play it is Admission's, who gets both.
type Users interface {
	// AsksUser reports whether all publishers of an app have to come with user and password.
	AsksUser(app string) bool
	// Password returns the password of a user.
	Password(user string) (password string, ok bool)
	// MayTry fails while an address has to wait because of wrong passwords.
	MayTry(addr netip.Addr) error
	// WrongPassword counts a wrong password against an address, and returns the refusal.
	WrongPassword(addr netip.Addr) error
}

// Admission decides about a request; an error refuses, and session.ReasonOf tells why.
type Admission func(ctx context.Context, r *admit.Request) (session.Grant, error)

// RequestOf is what a session asks for.
func (d *Door) RequestOf(s *session.Session, role session.Role, ask *Ask) *admit.Request {
	r := d.request(role, ask, &session.Info{
		Remote: s.Remote, Via: s.Via(), TLS: s.TLS(), UserAgent: s.UserAgent(), InProcess: s.InProcess(),
	})
	r.Session = s.ID
	return r
}

// request is what a peer asks for, with or without a session.
func (d *Door) request(role session.Role, ask *Ask, who *session.Info) *admit.Request {
	return &admit.Request{
		Role: role, Protocol: d.Name, Remote: who.Remote, Via: who.Via, TLS: who.TLS,
		UserAgent: session.Printable(who.UserAgent, session.MaxUserAgent),
		PageURL:   ask.PageURL, TCURL: ask.TCURL, URL: ask.URL, Path: ask.Path, RawQuery: ask.RawQuery, Credential: ask.Credential,
		Hops: ask.Hops, InProcess: who.InProcess,
	}
}

// Connect lets a connection into an app, before it names a stream, and returns the app, which may be another than ask's
// path. It fails with a *session.Refusal.
func (d *Door) Connect(ctx context.Context, s *session.Session, ask Ask) (app string, err error) {
	if d.Connects == nil {
		return ask.Path, nil
	}
	r := d.RequestOf(s, session.Pending, &ask)
	app, asked, err := d.Connects(ctx, r)
	if err == nil && app != ask.Path {
		if err = CheckPath(app + "/x"); err != nil {
			err = session.Because(session.Path, fmt.Errorf("the app was renamed to one that is not valid: %w", err))
		}
	}
	if err != nil && r.Owed { // whoever let it in hears of its end
		s.SetConnected(ask.Path)
	}
	r.Owed = false // Disconnect is its end
	if err != nil {
		return "", d.Refuse(r, err)
	}
	if asked {
		s.SetConnected(app)
		if d.keeps() {
			s.SetShown(session.Shown{ConnectQuery: ask.RawQuery, TCURL: ask.TCURL, PageURL: ask.PageURL})
		}
	}
	return app, nil
}

func (d *Door) keeps() bool { return d.Keeps != nil && d.Keeps() }

// keep keeps what a session showed for the stream that it has got.
func (d *Door) keep(s *session.Session, r *admit.Request) {
	if !d.keeps() {
		return
	}
	shown := *r.Shown()
	if before := s.Shown(); before != nil {
		shown.ConnectQuery = before.ConnectQuery
	}
	s.SetShown(shown)
}

// Publish lets a session publish a stream, and makes it a publisher of the hub. The stream's path is that of
// the grant, which may be another than was asked for. end is called once when the hub ends the
// publisher. Publish fails with a *session.Refusal. A session publishes one stream at a time.
func (d *Door) Publish(ctx context.Context, s *session.Session, ask Ask, end context.CancelCauseFunc) (*stream.Publisher, error) {
	r := d.RequestOf(s, session.Publish, &ask)
	grant, err := d.Allow(ctx, r)
	if err != nil {
		return nil, err
	}
	asked := *r
	admitted(r, grant)
	if err := hops.Check(ask.Hops, hops.Entry(d.Server, r.Path)); err != nil {
		return nil, d.Refuse(r, err)
	}
	info := stream.Info{Session: s.ID, Protocol: d.Name, Remote: s.From(), Query: ask.RawQuery, Hops: ask.Hops, End: end}
	if grant.Terms != nil {
		info.MaxPlayers = grant.Terms.Players
	}
	undo, err := s.BindGrant(grant, session.Publish, r.Path)
	if err != nil {
		return nil, d.Refuse(r, err)
	}
	pub, err := d.Hub.Publish(r.Path, info)
	if err != nil {
		undo()
		return nil, d.Refuse(r, err)
	}
	d.Hold(s, &asked, grant)
	d.keep(s, &asked)
	s.Promote(session.Publish, r.Path)
	return pub, nil
}

// Play lets a session play a stream, in the variant that it has for the path of the grant; variant is nil if the
// session reads no log. The session is Waiting until the caller promotes it. Play fails with a *session.Refusal.
func (d *Door) Play(ctx context.Context, s *session.Session, ask Ask, variant func(path string) mux.Variant) (*View, error) {
	r := d.RequestOf(s, session.Play, &ask)
	grant, err := d.Allow(ctx, r)
	if err != nil {
		return nil, err
	}
	asked := *r
	admitted(r, grant)
	var v mux.Variant
	if variant != nil {
		v = variant(r.Path)
	}
	undo, err := s.BindGrant(grant, session.Play, r.Path)
	if err != nil {
		return nil, d.Refuse(r, err)
	}
	view, err := d.ViewFor(s, r.Path, v)
	if err != nil {
		d.gone(r, session.ReasonOf(err))
		undo()
		return nil, err
	}
	if err := d.Wanted(r, grant); err != nil {
		view.Leave()
		undo()
		return nil, err
	}
	if s.Role() == session.Pending {
		if err := s.Watch(session.Waiting, r.Path); err != nil {
			view.Leave()
			undo()
			return nil, d.Refuse(r, err)
		}
	}
	d.Hold(s, &asked, grant)
	d.keep(s, &asked)
	return view, nil
}

// Wanted passes on that an admitted player waits for the stream at r.Path, which may have to be fetched from elsewhere. The
// player has joined the stream before, so that it hears at once if that fails. It fails with a *session.Refusal, also for a
// server that would send the stream back to this one.
func (d *Door) Wanted(r *admit.Request, g session.Grant) error {
	if err := hops.Check(r.Hops, hops.Entry(d.Server, r.Path)); err != nil {
		return d.Refuse(r, err)
	}
	if d.Want == nil {
		return nil
	}
	if err := d.Want(r, g); err != nil {
		return d.Refuse(r, err)
	}
	return nil
}

// admitted makes of what was asked for what was granted: from here on the stream has its public name, and
// the one that the peer used is not told.
func admitted(r *admit.Request, g session.Grant) { r.Path, r.SecretName = g.PathOf(r.Path), false }

// look notes in a request what the stream is doing.
func (d *Door) look(r *admit.Request, path string) {
	r.Online, r.Players = false, 0
	if st := d.Hub.Get(path); st != nil {
		_, r.Online = st.Publisher()
		r.Players = st.Stats().Players
	}
}

// Allow applies the rules of paths and asks for admission, and does nothing with the answer: for a peer without
// a session, or for Publish and Play. It fails with a *session.Refusal, which has been counted and logged.
func (d *Door) Allow(ctx context.Context, r *admit.Request) (session.Grant, error) {
	if err := d.checkPath(r.Role, r.Path); err != nil {
		r.SecretName = d.SecretName != nil && d.SecretName(r)
		return session.Grant{}, d.Refuse(r, err)
	}
	d.look(r, r.Path)
	grant, err := d.Admit(ctx, r)
	if r.Owed {
		d.began(r, grant, err)
	}
	if err != nil {
		if _, ok := errors.AsType[session.Reasoner](err); !ok {
			err = session.Because(session.Denied, err)
		}
		return session.Grant{}, d.Refuse(r, err)
	}
	r.SecretName = r.SecretName || grant.PathOf(r.Path) != r.Path // the name led to another one
	if err := grant.Terms.Check(); err != nil {
		return session.Grant{}, d.Refuse(r, session.Because(session.Internal, err))
	}
	if t := grant.Terms; t != nil {
		if t.Redirect != "" {
			return session.Grant{}, d.Refuse(r, &session.Refusal{Reason: session.Redirected, Redirect: t.Redirect, Err: errRedirected})
		}
		if end := t.End(time.Now()); !end.IsZero() && !end.After(time.Now()) {
			return session.Grant{}, d.Refuse(r, session.Because(session.Expired, errExpired))
		}
		if t.Path != "" {
			if err := d.checkPath(r.Role, t.Path); err != nil {
				return session.Grant{}, d.Refuse(r, session.Because(session.Path, fmt.Errorf("the stream was renamed to a path that is not valid: %w", err)))
			}
		}
	}
	if r.ID() == "" { // it begins nothing that could end
		d.gone(r, session.EOF)
	}
	return grant, nil
}

// began passes on that somebody waits for the end of what r asks for.
func (d *Door) began(r *admit.Request, g session.Grant, err error) {
	if d.Began == nil {
		return
	}
	path := r.Told()
	if err == nil {
		path = g.PathOf(r.Path)
	}
	d.Began(r, path)
}

// gone passes on that nothing comes of what r asks for, if somebody waits for the end.
func (d *Door) gone(r *admit.Request, reason session.Reason) {
	if r.Owed && d.Gone != nil {
		d.Gone(r.ID(), r.Role, reason)
	}
	r.Owed = false
}

// Decline says that nothing comes of what a peer without a session was granted, because of err.
func (d *Door) Decline(g session.Grant, err error) {
	if g.Terms != nil && g.Terms.Session != "" && d.Gone != nil {
		d.Gone(g.Terms.Session, session.Play, session.ReasonOf(err))
	}
}

var (
	errRedirected = errors.New("the peer was sent to another server")
	errExpired    = errors.New("the grant has expired")
)

// checkPath applies the rules of paths, which are no secret.
func (d *Door) checkPath(role session.Role, path string) error {
	err := CheckPath(path)
	if err == nil && role == session.Publish {
		err = d.Reserved.Check(path)
	}
	if err != nil {
		return &session.Refusal{Reason: session.Path, Peer: err.Error(), Err: err}
	}
	return nil
}

// Refuse counts and logs that a peer does not get what it asks for because of err, and returns
// the refusal: err itself if it is one, else one with the reason that err has.
func (d *Door) Refuse(r *admit.Request, err error) error {
	for _, known := range hubReasons {
		if errors.Is(err, known.err) {
			err = &session.Refusal{Reason: known.reason, Peer: known.peer, Err: err}
			break
		}
	}
	refusal, ok := errors.AsType[*session.Refusal](err)
	if !ok {
		refusal = &session.Refusal{Reason: session.ReasonOf(err), Err: err}
	}
	d.Metrics.Rejected(refusal.Reason.String())
	d.gone(r, refusal.Reason)
	remote := r.Remote.String()
	if r.InProcess {
		remote = d.Name
	}
	path := r.Told()
	if _, name, ok := strings.Cut(r.Path, "/"); ok && r.SecretName {
		refusal = withoutName(refusal, name)
	}
	if d.Refused != nil {
		d.Refused(r, path, refusal)
	}
	d.Log.Warn("refused", slog.String("role", r.Role.String()), slog.String("stream", session.Printable(path, maxPath)),
		slog.String("session", r.Session), slog.String("remote", remote), slog.String("reason", refusal.Reason.String()),
		slog.String("err", session.ErrorText(refusal.Err, maxLogged)))
	return refusal
}

// leastKey is the least length of a name that is taken for a key, in bytes: shorter ones are parts of words.
const leastKey = 6

// withoutName takes a name that may be a key out of what a refusal says: a service may have repeated it.
func withoutName(r *session.Refusal, name string) *session.Refusal {
	if len(name) < leastKey || r.Err == nil || !strings.Contains(r.Peer+"\n"+r.Err.Error(), name) {
		return r
	}
	masked := *r
	masked.Peer = strings.ReplaceAll(r.Peer, name, "***")
	masked.Err = errors.New(strings.ReplaceAll(r.Err.Error(), name, "***"))
	return &masked
}

// maxLogged bounds what a peer can make a log line hold, in bytes.
const maxLogged = 512

// hubReasons give the errors of the hub and the muxers their reason, and a sentence for the peer.
var hubReasons = []struct {
	err    error
	reason session.Reason
	peer   string
}{
	{stream.ErrBusy, session.Conflict, "Another publisher is live on this stream, and stays."},
	{stream.ErrFighting, session.Conflict, "Several publishers take this stream from each other: give each its own name."},
	{stream.ErrTooManyStreams, session.Limit, "The server has as many streams as it may have."},
	{stream.ErrTooManyPlayers, session.Limit, "The stream has as many players as it may have."},
	{stream.ErrHubClosed, session.Shutdown, "The server is stopping."},
	{mux.ErrTooManyVariants, session.Limit, "The stream is played in too many forms already."},
	{mux.ErrEnded, session.StreamEnded, ""},
}
