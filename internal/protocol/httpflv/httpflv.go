// Package httpflv sends streams to players as FLV, by a plain HTTP response that does
// not end, or by a WebSocket with a tag in each frame.
package httpflv

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/internal/mux"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/stream"
)

// HTTP is HTTP-FLV.
type HTTP struct{ env protocol.Env }

// New returns HTTP-FLV.
func New(env protocol.Env) *HTTP { return &HTTP{env} }

// Run implements protocol.Protocol: the listeners and players are others'.
func (p *HTTP) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Routes implements protocol.Router.
func (p *HTTP) Routes() []protocol.Route {
	return []protocol.Route{{Method: http.MethodGet, Suffix: ".flv", Handler: p.play}}
}

// variant is what the request asks for: its query may ask for H.265 under the legacy
// codec id, for all tracks, or for one kind of media only.
func variant(f mux.Format, r *http.Request) func(*stream.Stream) mux.Variant {
	q := r.URL.Query()
	v := mux.Variant{Format: f, AllTracks: q.Get("tracks") == "all", NoVideo: q.Has("onlyAudio"), NoAudio: q.Has("onlyVideo")}
	v.Form.SingleTrack = !v.AllTracks
	v.Form.HEVC12 = q.Get("codec") == "legacy"
	if v.NoVideo && v.NoAudio {
		v.NoVideo, v.NoAudio = false, false
	}
	return func(*stream.Stream) mux.Variant { return v }
}

// fileHeader is the FLV header with the flags of the tracks that are there.
func fileHeader(s *stream.Stream, v mux.Variant) []byte {
	h := s.Headers()
	return flv.AppendFileHeader(nil, h.Has(av.Audio) && !v.NoAudio, h.Has(av.Video) && !v.NoVideo)
}

func (p *HTTP) play(w http.ResponseWriter, r *http.Request, path string) {
	header := w.Header()
	header.Set("Content-Type", "video/x-flv")
	header.Set("Cache-Control", "no-cache, no-store")
	header.Set("Pragma", "no-cache")
	header.Set("X-Accel-Buffering", "no")
	if r.Method == http.MethodHead {
		return
	}
	choose := variant(mux.FLV, r)
	v := p.env.Enter(w, r, path, choose)
	if v == nil {
		return
	}
	first := fileHeader(v.View.Stream, choose(nil))
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
	v.Play(protocol.Sink(p.env.Engine, nc, p.env.Portable), responseHead(header, first), nil)
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
func (p *HTTP) playHTTP2(w http.ResponseWriter, r *http.Request, v *protocol.HTTPViewer, first []byte, control *http.ResponseController) {
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
