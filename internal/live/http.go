package live

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"weir/internal/peer"
	"weir/internal/protocol"
	"weir/internal/session"
)

// HTTP plays a format by plain responses.
type HTTP struct {
	env    protocol.Env
	format Format
}

// NewHTTP returns a protocol that plays by plain responses.
func NewHTTP(env protocol.Env, f Format) *HTTP { return &HTTP{env, f} }

// Run implements protocol.Protocol: it has no listener, and the engine runs its players.
func (p *HTTP) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Routes implements protocol.Router.
func (p *HTTP) Routes() []protocol.Route {
	return []protocol.Route{{Method: http.MethodGet, Suffix: p.format.Suffix, Handler: p.play}}
}

func (p *HTTP) play(w http.ResponseWriter, r *http.Request, path string) {
	wrapping := Plain
	if r.ProtoMajor == 1 && r.ProtoMinor > 0 {
		wrapping = Chunked
	}
	v, first := p.format.enter(&p.env, w, r, path, wrapping)
	if v == nil {
		return
	}
	header := w.Header()
	header.Set("Content-Type", p.format.ContentType)
	header.Set("Cache-Control", "no-cache, no-store")
	header.Set("Pragma", "no-cache")
	header.Set("X-Accel-Buffering", "no")
	if r.Method == http.MethodHead {
		v.Leave(nil)
		return
	}
	if wrapping == Chunked {
		header.Set("Transfer-Encoding", "chunked")
	}
	control := http.NewResponseController(w)
	if r.ProtoMajor > 1 {
		p.playHTTP2(w, r, v, first, control)
		return
	}
	nc, rw, err := control.Hijack()
	if err != nil {
		header.Del("Transfer-Encoding")
		http.Error(w, "the connection cannot be taken over", http.StatusInternalServerError)
		v.Leave(err)
		return
	}
	if n := rw.Reader.Buffered(); n > 0 {
		_, _ = rw.Discard(n) // an answer without end leaves no room for a next request
	}
	v.Session.SetNetwork(peer.Network(nc))
	v.Play(peer.Sink(p.env.Engine, nc, p.env.Portable), responseHead(header, first), nil)
}

// responseHead returns the head of a response that ends with the connection, and the first bytes of the body.
func responseHead(header http.Header, first []byte) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\n")
	_ = header.Write(&b)
	b.WriteString("\r\n")
	b.Write(first)
	return b.Bytes()
}

// playHTTP2 sends through the response writer, as other requests share the connection.
func (p *HTTP) playHTTP2(w http.ResponseWriter, r *http.Request, v *peer.HTTPViewer, first []byte, control *http.ResponseController) {
	_ = control.SetWriteDeadline(time.Time{}) // the engine ends players that take nothing
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

// Close makes a write in progress fail.
func (o *responseWriter) Close() error { return o.control.SetWriteDeadline(aLongTimeAgo) }

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)
