// Package hls plays streams by HTTP Live Streaming (RFC 8216 and RFC 8216bis, with
// Low-Latency HLS). The playlists and segments are internal/hls's; here are the requests:
// who may watch, who is watching, what is held and what may be cached.
//
// A viewer begins with the multivariant playlist, which is its own: the media playlists in
// it carry its id (?v=). The id proves by itself, sealed, that the viewer was admitted, so that a viewer
// costs nothing before it plays: it gets a session when it first asks for media. Parts and
// segments are the same for everybody, so that caches between can keep them. Their names cannot
// be guessed: a viewer that has one was given a playlist.
package hls

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/admit"
	"weir/internal/hls"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/stream"
)

const (
	// readyTime is how long a viewer waits for a stream's first segment.
	readyTime = 15 * time.Second
	// maxHeld bounds the requests that are held until there is what they ask for,
	// maxStreamHeld those for one stream, and maxViewerHeld those of one viewer.
	maxHeld       = 1 << 16
	maxStreamHeld = 1 << 14
	maxViewerHeld = 16
	// writeTime is how long a viewer may take to take an answer, at the least.
	writeTime = 30 * time.Second
	// leastRate is how fast a viewer must take a segment, in bytes a second.
	leastRate = 16 << 10
)

// HLS is the protocol.
type HLS struct {
	env     protocol.Env
	conf    func(path string) (set hls.Settings, enabled bool)
	set     *hls.Set
	cdn     func(path string) string // the secret that a stream's CDN shows, "" for none; may be nil
	viewers viewers
	held    atomic.Int64

	tokens    *tokens
	newcomers *newcomers
	taken     takenIDs

	holding sync.Mutex // guards below; a leaf
	heldOf  map[*hls.Packager]int
}

// New returns HLS. conf returns a stream's settings, and whether it may be played by HLS.
func New(env protocol.Env, conf func(path string) (set hls.Settings, enabled bool)) *HLS {
	settings := func(path string) hls.Settings {
		s, _ := conf(path)
		return s
	}
	warn := func(path string, w hls.Warning) {
		log := env.Log
		if w.Detail != "" {
			log = log.With(slog.String("detail", w.Detail))
		}
		log.Warn("HLS: "+w.Text, slog.String("stream", path)) //nolint:sloglint // the text is a constant of package hls
	}
	set := hls.NewSet(env.Hub.Now, settings, warn)
	if env.Segments != nil {
		set.Tell(listener{env})
	}
	return &HLS{
		env: env, conf: conf, set: set, tokens: newTokens(), newcomers: newNewcomers(),
		viewers: viewers{byKey: map[viewerKey]*viewer{}}, heldOf: map[*hls.Packager]int{},
	}
}

// listener passes on which segments are done.
type listener struct{ env protocol.Env }

// Wanted implements hls.Listener.
func (l listener) Wanted() bool { return l.env.Segments.Wanted() }

// SegmentDone implements hls.Listener.
func (l listener) SegmentDone(path string, d hls.Done) {
	l.env.Segments.Done(protocol.Segment{
		Path: path, URL: path + "/" + d.Name, Playlist: path + "/index.m3u8", Protocol: l.env.Name, Rendition: d.Rendition,
		Number: d.Number, File: d.File, Begin: d.Begin, Duration: d.Duration, Size: d.Size, Discontinuous: d.Discontinuity,
	})
}

// Run implements protocol.Protocol: it ends viewers that ask for nothing any more.
func (p *HLS) Run(ctx context.Context) error {
	defer p.viewers.close(session.ErrShutdown)
	defer p.set.Close()
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			p.viewers.sweep(now)
			p.taken.sweep(now)
		}
	}
}

// MediaBytes implements protocol.MediaKeeper.
func (p *HLS) MediaBytes() int64 { return p.set.Memory() }

// Routes implements protocol.Router.
func (p *HLS) Routes() []protocol.Route {
	return []protocol.Route{
		{Method: http.MethodGet, Suffix: "/index.m3u8", Handler: p.index},
		{Method: http.MethodGet, Suffix: ".m3u8", Handler: p.redirect},
		{Method: http.MethodGet, Resource: isResource, Handler: p.resource},
	}
}

func isResource(name string) bool {
	_, ok := hls.ParseName(name)
	return ok
}

// redirect leads from the short form to the multivariant playlist.
func (p *HLS) redirect(w http.ResponseWriter, r *http.Request, stream string) {
	w.Header().Set("Cache-Control", "no-cache")
	protocol.Redirect(w, r, path.Base(stream)+"/index.m3u8")
}

// errOff is the answer for streams that are not played by HLS.
var errOff error = &session.Refusal{
	Reason: session.NotFound, Peer: "HLS is turned off for this stream.", Err: errors.New("hls.enabled is false"),
}

// index answers with the multivariant playlist. A client that then asks for media becomes a viewer,
// with the id in the playlist.
func (p *HLS) index(w http.ResponseWriter, r *http.Request, path string) {
	if _, on := p.conf(path); !on {
		p.env.Fail(w, errOff)
		return
	}
	grant, by, err := p.let(r, path)
	if err != nil {
		p.env.Fail(w, err)
		return
	}
	public := grant.PathOf(path)
	if public != path && !grant.Hidden {
		// Everything that belongs to the stream has its public name; the name asked for may be a secret.
		w.Header().Set("Cache-Control", "no-store")
		root := strings.Repeat("../", strings.Count(path, "/")+1)
		protocol.RedirectWith(w, root+public+"/index.m3u8", "v="+p.tokens.issue(public, grant, by, time.Now()))
		return
	}
	path = public
	issue, caching := func() string { return "?v=" + p.tokens.issue(path, grant, by, time.Now()) }, "no-store" // the id in it is this viewer's alone
	if grant == cdnGrant {
		issue, caching = func() string { return "" }, "max-age=1"
	}
	text, err := p.multivariant(r, path, grant, issue)
	if err != nil {
		p.env.Decline(grant, err)
		p.env.Fail(w, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", playlistType)
	header.Set("Cache-Control", caching)
	header.Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method == http.MethodHead {
		return
	}
	patience(w, len(text))
	n, _ := w.Write(text)
	p.env.Sessions.Sent(p.env.Name, uint64(n))
}

// let admits the sender of a request for a multivariant playlist, by its id if it was given one, and returns what it was
// let in by.
func (p *HLS) let(r *http.Request, path string) (session.Grant, proof, error) {
	if p.isCDN(r, path) {
		return p.env.Unasked(r, path, cdnGrant), 0, nil
	}
	q := r.URL.Query()
	if id := q.Get("v"); id != "" {
		if grant, by, _, good := p.tokens.open(path, id, time.Now()); good {
			return grant, by, nil
		}
	}
	grant, err := p.env.Allow(r.Context(), p.question(r, path))
	return grant, proofOf(r, q), err
}

// question is what the sender of a request asks for who has no session, with the id that its session will have.
func (p *HLS) question(r *http.Request, path string) *admit.Request {
	q := p.env.Request(r, path)
	q.Offer = session.NewID()
	return q
}

// multivariant waits for the stream's first segments, and makes the playlist that a viewer begins with. issue returns what
// is put behind the names in it.
func (p *HLS) multivariant(r *http.Request, path string, grant session.Grant, issue func() string) ([]byte, error) {
	s, err := p.env.Hub.Play(path)
	if err != nil {
		return nil, p.env.Refuse(p.env.Request(r, path), err)
	}
	defer s.Leave()
	if err := p.env.Wanted(p.env.Request(r, path), grant); err != nil {
		return nil, err
	}
	packager, err := p.packager(r, s)
	if err != nil {
		return nil, err
	}
	suffix := issue()
	text, err := packager.Multivariant(func(name string) string { return name + suffix })
	return text, reasoned(err)
}

// packager returns a stream's packager once it has a playlist. A request that waits for that is a
// session that waits meanwhile, so that the limits hold for it.
func (p *HLS) packager(r *http.Request, s *stream.Stream) (*hls.Packager, error) {
	if isSettled(s) {
		packager, err := p.set.Open(s)
		if err != nil || packager.IsReady() {
			return packager, reasoned(err)
		}
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	waiting, err := p.env.Sessions.Open(p.env.Info(r, cancel))
	if err != nil {
		return nil, err
	}
	var packager *hls.Packager
	if err = waiting.Watch(session.Waiting, s.Path()); err == nil {
		packager, err = p.awaitPackager(ctx, s)
	}
	if err == nil { // it waits for nothing any more: the viewer's own session counts from its first media on
		waiting.Promote(session.Pending, "")
	}
	waiting.CloseWith(err)
	return packager, err
}

func isSettled(s *stream.Stream) bool {
	select {
	case <-s.Settled():
		return true
	default:
		return false
	}
}

// awaitPackager waits until a stream has begun and has a playlist.
func (p *HLS) awaitPackager(ctx context.Context, s *stream.Stream) (*hls.Packager, error) {
	if err := p.env.Await(ctx, s, s.Settled()); err != nil {
		return nil, err
	}
	packager, err := p.set.Open(s)
	if err != nil {
		return nil, reasoned(err)
	}
	ready, stop := context.WithTimeout(ctx, readyTime)
	defer stop()
	err = packager.Ready(ready)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return packager, reasoned(err)
}

// reasoned gives the packager's errors their reason.
func reasoned(err error) error {
	switch {
	case errors.Is(err, hls.ErrCodec):
		return session.Because(session.Unsupported, err)
	case errors.Is(err, hls.ErrEnded), errors.Is(err, hls.ErrNothing), errors.Is(err, hls.ErrNoKeyFrames), errors.Is(err, hls.ErrUnknown):
		return session.Because(session.NotFound, err)
	}
	return err
}

// resource answers with a media playlist, or with a part of the media.
func (p *HLS) resource(w http.ResponseWriter, r *http.Request, path string) {
	n, ok := hls.ParseName(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	packager := p.set.Get(n.ID, path)
	if !ok || packager == nil {
		gone(w, "the stream has ended, or has begun anew: begin with index.m3u8")
		return
	}
	if n.Kind == hls.KindPlaylist {
		p.playlist(w, r, packager, n)
	} else {
		p.media(w, r, packager, n)
	}
}

// gone is the answer for what is not there any more.
func gone(w http.ResponseWriter, why string) {
	w.Header().Set("Cache-Control", "max-age=1")
	http.Error(w, why, http.StatusNotFound)
}

// hold counts a request that is to be held. If too many are, it has answered and reports false. v is
// nil for a request that belongs to no viewer.
func (p *HLS) hold(w http.ResponseWriter, packager *hls.Packager, v *viewer) (release func(), ok bool) {
	all, own := p.held.Add(1), int32(1)
	if v != nil {
		own = v.held.Add(1)
	}
	p.holding.Lock()
	p.heldOf[packager]++
	ofStream := p.heldOf[packager]
	p.holding.Unlock()
	release = func() {
		p.held.Add(-1)
		if v != nil {
			v.held.Add(-1)
		}
		p.holding.Lock()
		defer p.holding.Unlock()
		if p.heldOf[packager]--; p.heldOf[packager] == 0 {
			delete(p.heldOf, packager)
		}
	}
	if all <= maxHeld && ofStream <= maxStreamHeld && (own <= maxViewerHeld || v.isShared()) {
		return release, true
	}
	release()
	w.Header().Set("Retry-After", "1")
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "too many requests are waiting", http.StatusTooManyRequests)
	return nil, false
}

// patience gives a viewer the time that it may take for an answer of n bytes. The deadline is
// the connection's: the server takes it back when the next request comes.
func patience(w http.ResponseWriter, n int) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime + time.Duration(n/leastRate)*time.Second))
}
