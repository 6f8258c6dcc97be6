// Package protocol says what a protocol is to the server and what the server lends it.
//
// Each protocol has a folder below this one and never imports another.
package protocol

import (
	"context"
	"net"
	"net/http"
	"strings"

	"weir/internal/intake"
	"weir/internal/peer"
)

// Env is what the server lends a protocol.
type Env struct {
	// Door lets the protocol's peers in.
	*peer.Door
	// Bitrate bounds a publisher, in bits per second; 0 is no bound.
	Bitrate func() int64
	// Pacer sets the beat at which publishers are read.
	Pacer *intake.Pacer
	// Settings returns the protocol's part of the entry of streams that applies to a path: a pointer to
	// its struct in the table of protocols, which does not change. It is nil without one.
	Settings func(path string) any
	// Listen opens a TCP listener and logs where it listens.
	Listen func(proto, addr string) (net.Listener, error)
}

// Protocol serves until ctx ends, and returns once all its goroutines have ended.
type Protocol interface {
	Run(ctx context.Context) error
}

// Retracker is a protocol that wants to know when a stream's tracks or their codecs have
// changed. It is told on the publisher's goroutine, and must not block.
type Retracker interface {
	Retracked(path string)
}

// Holder is a protocol that keeps media in memory beside the streams' logs.
type Holder interface {
	// Held returns how many bytes that media takes.
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

// Router is a protocol that is spoken over the HTTP listeners.
type Router interface {
	Routes() []Route
}
