// Package protocol says what a protocol is to the server, what the server lends it,
// and holds what protocols share: admission, ingest, and a player's life.
//
// Each protocol has a folder below this one and never imports another.
package protocol

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"weir/internal/admit"
	"weir/internal/fanout"
	"weir/internal/intake"
	"weir/internal/mux"
	"weir/internal/session"
	"weir/internal/stream"
)

// Env is what the server lends a protocol.
type Env struct {
	// Name is the protocol's name in the table of protocols: its log key, metric
	// label and API name.
	Name     string
	Log      *slog.Logger
	Hub      *stream.Hub
	Mux      *mux.Set
	Engine   *fanout.Engine
	Sessions *session.Registry
	Metrics  Metrics
	Admit    Admission
	// Wait returns how long a player of the path waits for a publisher.
	Wait func(path string) time.Duration
	// Bitrate bounds a publisher, in bits per second; 0 is no bound.
	Bitrate int64
	// SkipLog bounds the log lines about slow players: when the network or the machine is
	// overloaded, thousands skip at once.
	SkipLog *LogLimit
	// Pacer sets the beat at which publishers are read.
	Pacer *intake.Pacer
	// Poller waits for the bytes of silent players; nil makes each use a goroutine.
	Poller *intake.Poller
	// Portable makes players use a goroutine each.
	Portable bool
	// Listen opens a TCP listener and logs where it listens.
	Listen func(proto, addr string) (net.Listener, error)
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
}

// Admission decides about a request; an error refuses. admit.ReasonOf and
// session.ReasonOf tell why.
type Admission func(ctx context.Context, r *Request) error

// Refusal is an error that refuses a peer, with the word that weir_rejected_total has for it.
type Refusal struct {
	Reason string // bad_key, address, throttled, limit, path, conflict, codec, hook
	Err    error
}

// Error implements error.
func (e *Refusal) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *Refusal) Unwrap() error { return e.Err }

// CloseReason implements session.Reasoner.
func (e *Refusal) CloseReason() session.Reason {
	switch e.Reason {
	case "limit":
		return session.Limit
	case "conflict":
		return session.Conflict
	case "codec":
		return session.Unsupported
	}
	return session.Rejected
}

// Refuse counts a refusal and makes the error for it. The reason is what admit or session
// find in err, else the one given.
func (e *Env) Refuse(reason string, err error) error {
	if r, ok := admit.ReasonOf(err); ok {
		reason = string(r)
	}
	e.Metrics.Rejected(reason)
	return &Refusal{reason, err}
}

// Allow asks for admission.
func (e *Env) Allow(ctx context.Context, s *session.Session, role session.Role, path, rawQuery string) error {
	err := e.Admit(ctx, &Request{Role: role, Protocol: e.Name, Session: s.ID, Remote: s.Remote, Path: path, RawQuery: rawQuery})
	if err != nil {
		return e.Refuse("hook", err)
	}
	return nil
}

// Protocol serves until ctx ends, then returns with no goroutine left behind.
type Protocol interface {
	Run(ctx context.Context) error
}

// Retracker is a protocol that wants to know when a stream's tracks or their codecs have
// changed. It is told on the publisher's goroutine, and must not block.
type Retracker interface {
	Retracked(path string)
}

// Holder is a protocol that holds media in memory which are no part of the streams' logs.
type Holder interface {
	// Held returns how many bytes they are.
	Held() int64
}

// Route is a request that a Router answers: one with the method, or HEAD where it is GET,
// whose path is a stream's path followed by Suffix, and which asks for a WebSocket or not.
type Route struct {
	Method string
	Suffix string
	// Resource, if not nil, takes the place of Suffix: the path is a stream's, a slash, and
	// a name that Resource accepts. It goes before every suffix.
	Resource func(name string) bool
	// Place, if not empty, takes the place of both: the path is this, or begins with it
	// if it is longer than "/" and ends so. It is no stream's: Handler gets what follows it.
	Place     string
	WebSocket bool
	Handler   func(w http.ResponseWriter, r *http.Request, path string)
}

// Match returns the path of the stream that a request's path is about, and how much of the
// path the route accounts for: of several routes the one that accounts for most is right.
func (r *Route) Match(path string) (stream string, weight int, ok bool) {
	if r.Place != "" {
		rest, ok := strings.CutPrefix(path, r.Place)
		isFolder := len(r.Place) > 1 && strings.HasSuffix(r.Place, "/")
		return rest, len(path) + 1, ok && (rest == "" || isFolder)
	}
	if r.Resource == nil {
		stream, ok = strings.CutSuffix(path, r.Suffix)
		return strings.TrimPrefix(stream, "/"), len(r.Suffix), ok
	}
	i := strings.LastIndexByte(path, '/')
	if i < 0 || !r.Resource(path[i+1:]) {
		return "", 0, false
	}
	return strings.TrimPrefix(path[:i], "/"), len(path) - i, true
}

// Router is a protocol that is spoken over the playback HTTP listeners.
type Router interface {
	Routes() []Route
}
