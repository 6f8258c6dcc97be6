// Package session keeps the registry of connected peers of all protocols: who they are, what they
// do, their counters, how to end them and why they ended. It opens no connection and owns no
// goroutine; it ends a session by calling the function that its protocol gave to Open.
package session

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Role is what a session does.
type Role uint8

// The roles. A session is Pending until it publishes or plays, and Waiting while it waits for a
// stream that nobody publishes. Waiting counts like Pending against limits.
const (
	Pending Role = iota
	Waiting
	Publish
	Play
	roleCount
)

// String returns "pending", "waiting", "publish" or "play".
func (r Role) String() string {
	switch r {
	case Waiting:
		return "waiting"
	case Publish:
		return "publish"
	case Play:
		return "play"
	}
	return "pending"
}

// MarshalText implements encoding.TextMarshaler.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Info is what a protocol knows of a peer when it connects.
type Info struct {
	ID        string         // the session's, made by NewID; an empty one, or one that a session has, is made anew
	Protocol  string         // the protocol's name in the table of protocols; never what a peer sent
	Remote    netip.AddrPort // the peer, or the client a trusted proxy speaks for
	UserAgent string         // the peer's name for itself, if known; see SetUserAgent
	// InProcess says that the peer is part of this program, and so trusted. It has no Remote then; a
	// peer whose address is unknown is not trusted for that.
	InProcess bool
	// Source is the host from which the program fetches what it publishes; empty: it makes that itself.
	Source string
	// TLS says that the peer's connection is encrypted up to this server.
	TLS bool
	// Via are the trusted proxies through which the peer came, the nearest one last.
	Via []netip.Addr
	// Cancel ends the session with a cause: usually a context.CancelCauseFunc. It is called at most
	// once, outside locks, and must not wait. It may be nil.
	Cancel func(cause error)
}

// Session is one connected peer. ID, Protocol, Remote and Started do not change; the
// counters are for anyone to add to while the session is open. A session takes about 200 bytes
// beside its texts and its entry in the registry.
type Session struct {
	ID       string // short, random, hard to guess
	Protocol string
	Remote   netip.AddrPort
	Started  time.Time

	BytesIn  atomic.Uint64 // received from the peer
	BytesOut atomic.Uint64 // given to the kernel for the peer
	Frames   atomic.Uint64 // frames published, or sent to a player
	Skips    atomic.Uint64 // times that a player skipped ahead

	tls    bool
	origin *origin // nil: it comes from Remote directly

	reg      *Registry
	cancel   func(cause error)
	activity atomic.Pointer[activity]
	agent    atomic.Pointer[string] // nil: unknown
	cause    atomic.Pointer[cause]
	grant    atomic.Pointer[Grant]
	network  atomic.Pointer[func() (Network, bool)]
	shown    atomic.Pointer[Shown]
	app      atomic.Pointer[connection] // nil unless SetConnected
	open     bool                       // guarded by reg.mu
	cleanup  func()                     // guarded by reg.mu
	counted  uint64                     // of BytesOut, see Registry.settle; guarded by reg.mu
	user     user                       // under which it is counted; guarded by reg.mu

	telling sync.Mutex // held while the role changes and the observer is told, so that it hears of it in order
}

// activity is what a session does, and to which stream.
type activity struct {
	role   Role
	stream string
	since  time.Time
}

// origin is where a session comes from if that is not its address alone.
type origin struct {
	inProcess bool
	source    string // Info.Source
	via       []netip.Addr
}

// pendingActivity is shared by all pending sessions.
var pendingActivity = &activity{}

type cause struct{ err error }

// connection is what is known of a session that was let into an app before it named a stream.
type connection struct {
	app  string
	last string // the stream that it published or played last, and does no longer
}

// Role returns what the session does now.
func (s *Session) Role() Role { return s.activity.Load().role }

// Stream returns the path of the stream that it publishes, plays or waits for; empty while pending.
func (s *Session) Stream() string { return s.activity.Load().stream }

// LastStream returns the path of the stream that a connection which is Connected published, played or waited for last, which it
// may do still; empty for none.
func (s *Session) LastStream() string {
	if now := s.activity.Load(); now.role != Pending {
		return now.stream
	}
	if c := s.app.Load(); c != nil {
		return c.last
	}
	return ""
}

// From returns where the peer is, for people: its address, the host from which the program fetches what it publishes, or "in-process".
func (s *Session) From() string {
	switch {
	case s.origin != nil && s.origin.source != "":
		return s.origin.source
	case s.InProcess():
		return "in-process"
	}
	return s.Remote.String()
}

// InProcess reports whether the peer is part of this program.
func (s *Session) InProcess() bool { return s.origin != nil && s.origin.inProcess }

// TLS reports whether the peer's connection is encrypted up to this server.
func (s *Session) TLS() bool { return s.tls }

// Via returns the trusted proxies through which the peer came. They must not be changed.
func (s *Session) Via() []netip.Addr {
	if s.origin == nil {
		return nil
	}
	return s.origin.via
}

// UserAgent returns the peer's name for itself; empty if it gave none.
func (s *Session) UserAgent() string {
	if a := s.agent.Load(); a != nil {
		return *a
	}
	return ""
}

// SetUserAgent is for protocols in which the peer names itself after connecting. The name is cut to
// 128 bytes without control characters.
func (s *Session) SetUserAgent(name string) {
	if name != "" {
		name = Printable(name, MaxUserAgent)
		s.agent.Store(&name)
	}
}

// MaxUserAgent bounds what is kept of a peer's name for itself, in bytes.
const MaxUserAgent = 128

// Shown is what a peer showed when it came. It holds keys and tokens, and is kept in memory alone, for the hooks whose
// services were written to get it back at the end: it is for no log, API or file.
type Shown struct {
	Path           string // of the stream that it asked for, which may go by another name
	Query          string // of the stream's name, as sent, without its question mark
	ConnectQuery   string // of RTMP's connect
	TCURL, PageURL string
	// Base is where the peer says that it came to, scheme://host, as far as its protocol has it. It holds no secret.
	Base string
}

// Shown returns what was given to SetShown last, nil for nothing.
func (s *Session) Shown() *Shown { return s.shown.Load() }

// SetShown keeps what the peer showed.
func (s *Session) SetShown(x Shown) { s.shown.Store(&x) }

// Connected returns the app that a connection was let into before it named a stream; false if nobody was asked about it.
func (s *Session) Connected() (app string, ok bool) {
	if c := s.app.Load(); c != nil {
		return c.app, true
	}
	return "", false
}

// SetConnected notes that the connection was let into an app.
func (s *Session) SetConnected(app string) { s.app.Store(&connection{app: app}) }

// End is how a session ended.
type End struct {
	Role     Role   // its last role
	Stream   string // and the stream of that role
	Reason   Reason
	Err      error // all details, for the log; nil for a plain end
	Duration time.Duration
}

// Promote says that the session now publishes, plays or waits for stream. Pending, with any stream,
// says that it has stopped, as an RTMP connection may publish again. Promote reports false, and
// does nothing, if the session is closed.
func (s *Session) Promote(role Role, stream string) bool {
	s.telling.Lock()
	defer s.telling.Unlock()
	was, ok := s.reg.move(s, role, stream)
	if !ok {
		return false
	}
	if c := s.app.Load(); c != nil && (was.role == Publish || was.role == Play) {
		s.app.Store(&connection{c.app, was.stream})
	}
	if f := s.reg.observer.Stopped; f != nil && (was.role == Publish || was.role == Play) {
		f(s, End{Role: was.role, Stream: was.stream, Reason: Unpublish, Duration: time.Since(was.since)})
	}
	if f := s.reg.observer.Promoted; f != nil && (role == Publish || role == Play) {
		f(s)
	}
	return true
}

// Watch is Promote for a pending session that begins to wait for a stream (Waiting) or to play it
// (Play). It fails with a *LimitError if there are as many players as there may be.
func (s *Session) Watch(role Role, stream string) error {
	s.telling.Lock()
	defer s.telling.Unlock()
	if err := s.reg.watch(s, role, stream); err != nil {
		return err
	}
	if f := s.reg.observer.Promoted; f != nil && role == Play {
		f(s)
	}
	return nil
}

// Kick asks the session to end because of err, by the Cancel of its Info. Only the first cause
// counts, and it goes before the reason that the protocol gives to Close. A nil err stands for
// ErrKicked. Kick returns at once: false if the session was already asked to end.
func (s *Session) Kick(err error) bool {
	if err == nil {
		err = ErrKicked
	}
	if !s.cause.CompareAndSwap(nil, &cause{err}) {
		return false
	}
	if s.cancel != nil {
		s.cancel(err)
	}
	return true
}

// Close removes the session from the registry and tells the observer, once; later calls do nothing
// and report false. err may be nil. If the session was kicked, the reason and the error are those
// of the kick. Close does not call Cancel.
func (s *Session) Close(reason Reason, err error) bool {
	e := End{Reason: reason, Err: err}
	if k := s.cause.Load(); k != nil {
		e.Reason, e.Err = ReasonOf(k.err), k.err
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	e.Duration = time.Since(s.Started)
	if !s.reg.remove(s, &e) {
		return false
	}
	if f := s.takeCleanup(); f != nil {
		f()
	}
	if f := s.reg.observer.Closed; f != nil {
		f(s, e)
	}
	s.reg.tasks.Done()
	return true
}

// OnClose makes Close call f, which may be nil, and calls at once what an earlier OnClose gave. If the session is
// closed it calls f itself.
func (s *Session) OnClose(f func()) {
	s.reg.mu.Lock()
	call := s.cleanup
	if s.open {
		s.cleanup = f
	} else {
		call = f
	}
	s.reg.mu.Unlock()
	if call != nil {
		call()
	}
}

// Task counts work for the session that runs beside its connection, until done is called: Registry.Wait waits for it.
func (s *Session) Task() (done func()) {
	s.reg.tasks.Add(1)
	return s.reg.tasks.Done
}

func (s *Session) takeCleanup() func() {
	s.reg.mu.Lock()
	defer s.reg.mu.Unlock()
	f := s.cleanup
	s.cleanup = nil
	return f
}

// CloseWith is Close with the reason that ReasonOf finds in err.
func (s *Session) CloseWith(err error) bool { return s.Close(ReasonOf(err), err) }
