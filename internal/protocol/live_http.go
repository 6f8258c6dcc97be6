package protocol

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"weir/internal/mux"
	"weir/internal/session"
	"weir/internal/stream"
)

// Live is a format in which a stream is played over HTTP by a response that does not end,
// or over a WebSocket.
type Live struct {
	// Suffix is what the path of a request has behind the stream's.
	Suffix string
	// ContentType is that of the response.
	ContentType string
	// Plain and WebSocket are the format as it is and in the frames of a WebSocket.
	Plain, WebSocket mux.Format
	// Variant completes, if not nil, what a request's query asks for.
	Variant func(v *mux.Variant, q url.Values)
	// Check refuses, if not nil, a stream that cannot be played so.
	Check func(s *stream.Stream, v *mux.Variant) error
	// First returns, if not nil, what goes before the stream.
	First func(s *stream.Stream, v *mux.Variant) []byte
}

// variant is what a request asks for: its query may ask for all tracks, or for one kind of
// media only.
func (l *Live) variant(f mux.Format, r *http.Request) mux.Variant {
	q := r.URL.Query()
	v := mux.Variant{Format: f, AllTracks: q.Get("tracks") == "all", NoVideo: q.Has("onlyAudio"), NoAudio: q.Has("onlyVideo")}
	if v.NoVideo && v.NoAudio {
		v.NoVideo, v.NoAudio = false, false
	}
	if l.Variant != nil {
		l.Variant(&v, q)
	}
	return v
}

// enter admits the viewer of a request and returns it with what it is sent first. If it
// may not or need not go on it has been answered, and the viewer is nil.
func (l *Live) enter(e *Env, w http.ResponseWriter, r *http.Request, path string, f mux.Format) (v *HTTPViewer, first []byte) {
	choice := l.variant(f, r)
	v = e.Enter(w, r, path, func(*stream.Stream) mux.Variant { return choice })
	if v == nil {
		return nil, nil
	}
	if l.Check != nil {
		if err := l.Check(v.View.Stream, &choice); err != nil {
			err = e.Refuse("codec", err)
			e.Fail(w, err)
			v.Leave(err)
			return nil, nil
		}
	}
	if l.First != nil {
		first = l.First(v.View.Stream, &choice)
	}
	return v, first
}

// LiveHTTP plays a format by plain responses.
type LiveHTTP struct {
	env  Env
	live Live
}

// NewLiveHTTP returns a protocol that plays by plain responses.
func NewLiveHTTP(env Env, l Live) *LiveHTTP { return &LiveHTTP{env, l} }

// Run implements Protocol: the listeners and players are others'.
func (p *LiveHTTP) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Routes implements Router.
func (p *LiveHTTP) Routes() []Route {
	return []Route{{Method: http.MethodGet, Suffix: p.live.Suffix, Handler: p.play}}
}

func (p *LiveHTTP) play(w http.ResponseWriter, r *http.Request, path string) {
	header := w.Header()
	header.Set("Content-Type", p.live.ContentType)
	header.Set("Cache-Control", "no-cache, no-store")
	header.Set("Pragma", "no-cache")
	header.Set("X-Accel-Buffering", "no")
	if r.Method == http.MethodHead {
		return
	}
	v, first := p.live.enter(&p.env, w, r, path, p.live.Plain)
	if v == nil {
		return
	}
	control := http.NewResponseController(w)
	if r.ProtoMajor > 1 {
		p.playHTTP2(w, r, v, first, control)
		return
	}
	nc, rw, err := control.Hijack()
	if err != nil {
		http.Error(w, "the connection cannot be taken over", http.StatusInternalServerError)
		v.Leave(err)
		return
	}
	if n := rw.Reader.Buffered(); n > 0 {
		_, _ = rw.Discard(n) // a request behind an answer without end is of no use
	}
	v.Play(Sink(p.env.Engine, nc, p.env.Portable), responseHead(header, first), nil)
}

// responseHead is the head of the response, which ends with the connection, and what
// the body begins with.
func responseHead(header http.Header, first []byte) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\n")
	_ = header.Write(&b)
	b.WriteString("\r\n")
	b.Write(first)
	return b.Bytes()
}

// playHTTP2 sends through the response writer: the connection is not this stream's alone.
func (p *LiveHTTP) playHTTP2(w http.ResponseWriter, r *http.Request, v *HTTPViewer, first []byte, control *http.ResponseController) {
	w.WriteHeader(http.StatusOK)
	out := &responseWriter{ResponseWriter: w, control: control, done: make(chan struct{})}
	player := v.Play(p.env.Engine.Writer(out, control.Flush), first, func() { close(out.done) })
	select {
	case <-out.done:
	case <-r.Context().Done():
		player.Close(session.Because(session.EOF, context.Cause(r.Context())))
		<-out.done
	}
	out.idle.Lock() // the sink's goroutine must not use w after the handler has returned
	out.closed = true
	out.idle.Unlock()
}

// responseWriter lets a sink write to a response.
type responseWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	done    chan struct{}
	idle    sync.Mutex // held while writing
	closed  bool
}

// Write writes to the response unless its handler has returned.
func (o *responseWriter) Write(b []byte) (int, error) {
	o.idle.Lock()
	defer o.idle.Unlock()
	if o.closed {
		return 0, net.ErrClosed
	}
	return o.ResponseWriter.Write(b)
}

// Close ends a write in progress.
func (o *responseWriter) Close() error { return o.control.SetWriteDeadline(aLongTimeAgo) }

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)
