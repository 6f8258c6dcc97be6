package weir

import (
	"context"
	"iter"
	"net/http"
	"net/netip"
	"time"

	"weir/av"
	"weir/internal/admit"
	"weir/internal/event"
	"weir/internal/server"
	"weir/internal/session"
	"weir/internal/stream"
)

// Grant says on which terms a peer is let in. The zero value lets it in as it asked.
type Grant struct {
	// Path is the stream's public path, if it is not the one that the peer asked for: nothing that is sent,
	// logged or listed has the other one, which may be a secret.
	Path string
	// User and Labels are told in the API and to hooks: at most 128 bytes, and 512 in all.
	User   string
	Labels map[string]string
	// Until is when the session ends, and Duration the longest that it may last; zero for no end.
	Until    time.Time
	Duration time.Duration
	// Recheck is how often decide is asked again while the session runs, a second at least; 0 for never. Its grant takes
	// the place of the one before, but for the Path, which stays. What a key or a hook said stays too.
	Recheck time.Duration
	// Bitrate bounds a publisher, in bits per second, and Players the players of its stream; 0 for no bound.
	Bitrate int64
	Players int
	// Redirect sends a player to another URL instead.
	Redirect string
}

func (g *Grant) isZero() bool {
	return g.Path == "" && g.User == "" && len(g.Labels) == 0 && g.Until.IsZero() && g.Duration == 0 && g.Recheck == 0 &&
		g.Bitrate == 0 && g.Players == 0 && g.Redirect == ""
}

// Decide makes the server ask decide about each publisher and player that the configured keys and
// addresses let in, before the peer is told of success. An error refuses; its text is shown to the
// peer. decide may take its time; ctx ends when the peer goes.
func Decide(decide func(ctx context.Context, r Request) (Grant, error)) Option {
	return Option{func(o *server.Options) {
		o.Admit = func(ctx context.Context, r *admit.Request) (*session.Terms, error) {
			g, err := decide(ctx, requestOf(r))
			if err != nil || g.isZero() {
				return nil, err
			}
			return &session.Terms{
				By: "program", Path: g.Path, User: g.User, Labels: g.Labels, Until: g.Until, Duration: g.Duration,
				Recheck: g.Recheck, Bitrate: g.Bitrate, Players: g.Players, Redirect: g.Redirect,
			}, nil
		}
	}}
}

func requestOf(r *admit.Request) Request {
	return Request{
		Publish: r.Role == session.Publish, Recheck: r.Recheck, Protocol: r.Protocol, Session: r.Session,
		Remote: r.Remote, TLS: r.TLS, UserAgent: r.UserAgent, Path: r.Path, Query: r.RawQuery,
		User: r.Credential.User, Password: r.Credential.Secret, Token: r.Credential.Token,
	}
}

// StreamInfo is what is known of a stream.
type StreamInfo struct {
	Path string
	// Live says that it has a publisher, whose session is Publisher; without one players wait for its return.
	Live      bool
	Publisher string
	Started   time.Time // of the first media frame; zero before
	Players   int
	Bytes     int64 // of payload received so far
	Bitrate   int64 // bits per second over the last two seconds
	// BitrateOut is the same of what its players are sent, and FrameRate how many pictures a second have come over the
	// last ten seconds; 0 before that.
	BitrateOut int64
	FrameRate  float64
	// Silent is for how long the publisher has sent nothing, and Stalled that this is longer than encoders pause.
	Silent  time.Duration
	Stalled bool
	// KeyInterval is the longest time between two key frames of the present publisher so far.
	KeyInterval time.Duration
	Tracks      []av.Track
}

// SessionInfo is what is known of a publisher or player.
type SessionInfo struct {
	ID       string
	Protocol string
	// Role is "pending", "waiting", "publish" or "play", and Stream the path that it is about.
	Role, Stream string
	Remote       netip.AddrPort // invalid if the peer is part of the program
	UserAgent    string
	Started      time.Time
	User, KeyID  string
	Labels       map[string]string
	// BytesReceived and BytesSent are counted from the session's begin, and Skips how often a player skipped ahead.
	BytesReceived, BytesSent, Skips uint64
}

// Streams returns the streams that there are, by path.
func (s *Server) Streams() []StreamInfo {
	list := []StreamInfo{}
	for _, st := range s.s.Hub().List() {
		list = append(list, s.streamInfo(st))
	}
	return list
}

// Stream returns what is known of one stream; false if there is none of the path.
func (s *Server) Stream(path string) (StreamInfo, bool) {
	st := s.s.Hub().Get(path)
	if st == nil {
		return StreamInfo{}, false
	}
	return s.streamInfo(st), true
}

func (s *Server) streamInfo(st *stream.Stream) StreamInfo {
	stats := st.Stats()
	i := StreamInfo{
		Path: st.Path(), Live: stats.Live, Started: stats.Started, Players: stats.Players, Bytes: stats.Bytes, Bitrate: stats.Bitrate,
		BitrateOut: s.s.Sessions().StreamRate(st.Path()), FrameRate: s.s.FrameRate(st.Path()),
		Silent: stats.Silent, Stalled: stats.Stalled, KeyInterval: stats.KeyInterval,
	}
	if p, ok := st.Publisher(); ok {
		i.Publisher = p.Session
	}
	for _, t := range st.Headers().Tracks {
		i.Tracks = append(i.Tracks, t.Track)
	}
	return i
}

// Sessions returns the sessions that there are, the oldest first.
func (s *Server) Sessions() []SessionInfo {
	list := []SessionInfo{}
	for _, x := range s.s.Sessions().List() {
		terms := x.Terms()
		list = append(list, SessionInfo{
			ID: x.ID, Protocol: x.Protocol, Role: x.Role().String(), Stream: x.Stream(), Remote: x.Remote, UserAgent: x.UserAgent(),
			Started: x.Started, User: terms.User, KeyID: terms.KeyID, Labels: terms.Labels,
			BytesReceived: x.BytesIn.Load(), BytesSent: x.BytesOut.Load(), Skips: x.Skips.Load(),
		})
	}
	return list
}

// Kick ends a session. It reports false if there is none with the id, or it is ending already.
func (s *Server) Kick(id string) bool { return s.s.Sessions().Kick(id, session.ErrKicked) }

// EndStream ends a stream, its publisher and its players, without grace; also one that waits for its publisher's
// return. It reports false if there is none of the path.
func (s *Server) EndStream(path string) bool { return s.s.EndStream(path) }

// Handler plays streams and shows their pages, as the server's own HTTP listeners do, so that a program
// can mount them on its own: below a path with http.StripPrefix, as all their URLs are relative.
// Of http's keys, cors, index and trusted_proxies hold for it. The limits of connections are the program's own affair;
// those of sessions hold. The server must run.
func (s *Server) Handler() http.Handler { return s.s.Handler() }

// Event is one thing that happened.
type Event struct {
	// ID is unique, and sorted as the events are.
	ID   string
	Type string // one of EventTypes: "publish.start"
	Time time.Time
	// Stream is the path of the stream that it is about, and Session the id of the session; empty if it is about none.
	Stream, Session string
	// Data is what only this type has: docs/hooks.md lists it. Durations are in seconds, rates in bits per second.
	Data map[string]any
}

// EventTypes returns the types of events. Each "….start" has exactly one "….stop" of the same session, and
// "stream.online" one "stream.offline".
func EventTypes() []string { return event.Types() }

// Events returns what happens from now on, of the types, which may end in ".*"; of all if none is given. It ends
// when ctx does. Up to 1,024 events wait for a program that is slow; beyond that it misses some, which
// never hinders the server.
func (s *Server) Events(ctx context.Context, types ...string) iter.Seq[Event] {
	sub := s.s.Events().Subscribe(maxWaiting, types)
	stop := context.AfterFunc(ctx, sub.Close)
	return func(yield func(Event) bool) {
		defer sub.Close()
		defer stop()
		for e := range sub.C() {
			out := Event{ID: e.ID, Type: e.Type, Time: e.Time, Data: e.Data}
			if e.Stream != nil {
				out.Stream = e.Stream.Path
			}
			if e.Session != nil {
				out.Session = e.Session.ID
			}
			if !yield(out) {
				return
			}
		}
	}
}

// maxWaiting is how many events wait for a program that reads them.
const maxWaiting = 1024
