// Package protocol defines what the server expects of a protocol and what it provides to one.
//
// Each protocol has a folder below this one, and imports no other protocol.
package protocol

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"weir/internal/intake"
	"weir/internal/listen"
	"weir/internal/peer"
	"weir/internal/session"
)

// Env is what the server provides to a protocol.
type Env struct {
	// Door lets the protocol's peers in.
	*peer.Door
	// Bitrate bounds a publisher, in bits per second; 0 is no bound.
	Bitrate func() int64
	// Pacer sets the beat at which publishers are read.
	Pacer *intake.Pacer
	// Settings returns the protocol's settings from the entry of streams that applies to a path: a pointer to its
	// struct in StreamProtocols, which does not change. It is nil for a protocol without such a struct.
	Settings func(path string) any
	// Segments is told of segments of media that are complete; nil if nobody ever is.
	Segments Segments
	// Listen opens the TCP listener of the folder that has this name in Listeners, and logs where it listens. The
	// address may change while the listener is served: with an empty one it accepts nothing for now.
	Listen func(proto, addr string) (net.Listener, error)
	// ListenTLS is Listen for one that speaks TLS, with the configuration for its connections. It accepts nothing while
	// conf is not enabled.
	ListenTLS func(proto string, conf *listen.TLSConfig) (net.Listener, *tls.Config, error)
}

// Segments is told of segments of media that a protocol makes for its players.
type Segments interface {
	// Wanted reports whether anybody wants to know, so that nothing is described in vain. It does not wait.
	Wanted() bool
	// Done tells of one. It does not wait.
	Done(s Segment)
}

// Segment is a segment of media that is complete and can be fetched.
type Segment struct {
	Path          string // of the stream
	URL, Playlist string // of it and of the playlist that leads to it, from the server's root on
	Protocol      string
	Rendition     string // which of the stream's; "main" as a rule
	Number        uint64 // they rise
	File          string // where it is on disk; empty if it is in memory
	Begin         time.Time
	Duration      time.Duration
	Size          int // bytes
	Discontinuous bool
}

// BitrateOf returns the function that bounds what a publisher's session sends: by Bitrate or, if that is tighter, by
// its own terms.
func (e *Env) BitrateOf(s *session.Session) func() (most int64, own bool) {
	return func() (int64, bool) {
		most := e.Bitrate()
		if own := s.Terms().Bitrate; own > 0 && (most == 0 || own < most) {
			return own, true
		}
		return most, false
	}
}

// Protocol serves until ctx ends, and returns once all its goroutines have ended.
type Protocol interface {
	Run(ctx context.Context) error
}

// Retracker is a protocol that wants to know when a stream's tracks or their codecs have changed.
// Retracked is called on the publisher's goroutine and must not block.
type Retracker interface {
	Retracked(path string)
}

// MediaKeeper is a protocol that keeps media in memory beside the streams' logs.
type MediaKeeper interface {
	// MediaBytes returns how many bytes that media takes.
	MediaBytes() int64
}

// Route is a request that a Router answers: one with the method, or HEAD where it is GET,
// whose path is a stream's path followed by Suffix, and which asks for a WebSocket or not.
type Route struct {
	Method string
	Suffix string
	// Resource, if not nil, replaces Suffix: the path is that of a stream, a slash, and a name that
	// Resource accepts. It has precedence over every suffix.
	Resource func(name string) bool
	// Fixed, if not empty, replaces both: the path is Fixed or, if Fixed is longer than "/" and
	// ends in one, begins with it. It belongs to no stream: Handler gets what follows Fixed.
	Fixed     string
	WebSocket bool
	// When, if not nil, narrows the route to requests whose query it accepts. Of two routes that account for the same,
	// the one with it is right.
	When    func(query url.Values) bool
	Handler func(w http.ResponseWriter, r *http.Request, path string)
}

// Match returns the path of the stream that a request's path names, and how much of the path the
// route accounts for: of several routes the one that accounts for most is right.
func (r *Route) Match(path string) (stream string, weight int, ok bool) {
	if r.Fixed != "" {
		rest, ok := strings.CutPrefix(path, r.Fixed)
		isFolder := len(r.Fixed) > 1 && strings.HasSuffix(r.Fixed, "/")
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

// Router is a protocol that is spoken over the HTTP listeners.
type Router interface {
	Routes() []Route
}
