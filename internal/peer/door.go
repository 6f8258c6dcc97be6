// Package peer is the life of a peer in the server, whatever its protocol: the one door through
// which publishers and players come (path rules, admission, session, limits, reasons), what a
// player holds while it plays, and how connections are accepted and handed to the delivery engine.
package peer

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"weir/internal/fanout"
	"weir/internal/intake"
	"weir/internal/mux"
	"weir/internal/session"
	"weir/internal/stream"
)

// Door lets the peers of one protocol in.
type Door struct {
	// Name is the protocol's name: its log key, metric label and API name.
	Name     string
	Log      *slog.Logger
	Hub      *stream.Hub
	Mux      *mux.Set
	Engine   *fanout.Engine
	Sessions *session.Registry
	Metrics  Metrics
	Admit    Admission
	// Reserved is the names that publishers may not take.
	Reserved *Reserved
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

// Request is what a peer asks for.
type Request struct {
	Role     session.Role // Publish or Play
	Protocol string
	Session  string
	Remote   netip.AddrPort
	Path     string
	// RawQuery is what followed the name, as sent. It holds keys: never log it.
	RawQuery string
	// InProcess is true of a peer that is part of the program: it needs no key, and has no address.
	InProcess bool
}

// Admission decides about a request; an error refuses, and session.ReasonOf tells why.
type Admission func(ctx context.Context, r *Request) (session.Grant, error)

// request is what a session asks for.
func (d *Door) request(s *session.Session, role session.Role, path, rawQuery string) *Request {
	return &Request{
		Role: role, Protocol: d.Name, Session: s.ID, Remote: s.Remote, Path: path, RawQuery: rawQuery, InProcess: s.InProcess(),
	}
}

// Publish lets a session publish the stream at path, and makes it a publisher of the hub. end is
// called once when the hub ends the publisher. It fails with a *session.Refusal.
func (d *Door) Publish(ctx context.Context, s *session.Session, path, rawQuery string, end context.CancelCauseFunc) (*stream.Publisher, error) {
	r := d.request(s, session.Publish, path, rawQuery)
	if err := d.enter(ctx, s, r); err != nil {
		return nil, err
	}
	pub, err := d.Hub.Publish(path, stream.Info{Session: s.ID, Protocol: d.Name, Remote: s.From(), End: end})
	if err != nil {
		return nil, d.Refuse(r, err)
	}
	s.Promote(session.Publish, path)
	return pub, nil
}

// Play lets a session play the stream at path in a variant, nil if it reads no log. The session
// is Waiting until the caller promotes it. It fails with a *session.Refusal.
func (d *Door) Play(ctx context.Context, s *session.Session, path, rawQuery string, v mux.Variant) (*View, error) {
	r := d.request(s, session.Play, path, rawQuery)
	if err := d.enter(ctx, s, r); err != nil {
		return nil, err
	}
	view, err := d.View(s, path, v)
	if err != nil || s.Role() != session.Pending {
		return view, err
	}
	if err := s.Watch(session.Waiting, path); err != nil {
		view.Leave()
		return nil, d.Refuse(r, err)
	}
	return view, nil
}

// enter lets a session in. The grant stays with it.
func (d *Door) enter(ctx context.Context, s *session.Session, r *Request) error {
	grant, err := d.Allow(ctx, r)
	if err == nil {
		s.SetGrant(grant)
	}
	return err
}

// Allow applies the rules of paths and asks for admission, for a peer with or without a
// session. It fails with a *session.Refusal, which has been counted and logged.
func (d *Door) Allow(ctx context.Context, r *Request) (session.Grant, error) {
	err := CheckPath(r.Path)
	if err == nil && r.Role == session.Publish {
		err = d.Reserved.Check(r.Path)
	}
	if err != nil { // the rules are no secret
		return session.Grant{}, d.Refuse(r, &session.Refusal{Reason: session.Path, Peer: err.Error(), Err: err})
	}
	grant, err := d.Admit(ctx, r)
	if err != nil {
		if _, ok := errors.AsType[session.Reasoner](err); !ok {
			err = session.Because(session.Denied, err)
		}
		return session.Grant{}, d.Refuse(r, err)
	}
	return grant, nil
}

// Refuse counts and logs that a peer does not get what it asks for because of err, and returns
// the refusal: err itself if it is one, else one with the reason that err has.
func (d *Door) Refuse(r *Request, err error) error {
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
	remote := r.Remote.String()
	if r.InProcess {
		remote = d.Name
	}
	d.Log.Warn("refused", slog.String("role", r.Role.String()), slog.String("stream", session.Printable(r.Path, maxPath)),
		slog.String("session", r.Session), slog.String("remote", remote), slog.String("reason", refusal.Reason.String()),
		slog.String("err", session.Printable(refusal.Err.Error(), maxLogged)))
	return refusal
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
