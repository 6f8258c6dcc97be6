// Package httpserver serves requests over HTTP/1.1 and HTTP/2: it bounds connections, answers and
// time, finds the viewer's address behind trusted proxies, holds pages of other origins to the
// rules, and gives each request to the protocol whose route it is.
package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/httpserver/http1"
	"weir/internal/peer"
	"weir/internal/protocol"
)

const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 60 * time.Second
	answerTime     = 2 * time.Minute
	maxHeaderBytes = 32 << 10
)

// Config is what a Server does beyond its routes.
type Config struct {
	// CORS are the origins whose pages may play; * is all.
	CORS []string
	// TrustedProxies are the addresses of proxies whose X-Forwarded-For tells the viewer's address.
	TrustedProxies []netip.Prefix
	// Connections, if not nil, is how many connections each listener may have open at once; 0 is no limit. One
	// too many is closed, and Refused, if not nil, is told.
	Connections func() int
	Refused     func(remote net.Addr)
	// Portable makes players over TLS use a goroutine each.
	Portable bool
	Log      *slog.Logger
}

// Server is the HTTP listeners on which streams are played: one dispatcher before the
// routes of every protocol that is spoken over HTTP.
type Server struct {
	conf   Config
	routes []protocol.Route
	plain  []net.Listener
	secure []net.Listener
}

// New returns a server without listeners.
func New(conf Config, routes []protocol.Route) *Server { return &Server{conf: conf, routes: routes} }

// Listen makes the server serve a listener's connections once it runs.
func (s *Server) Listen(ln net.Listener) { s.plain = append(s.plain, ln) }

// ListenTLS is Listen for connections that speak TLS.
func (s *Server) ListenTLS(ln net.Listener, conf *tls.Config) {
	conf = conf.Clone()
	conf.NextProtos = []string{"h2", "http/1.1"}
	s.secure = append(s.secure, &tlsListener{ln, conf, s.conf.Portable})
}

// tlsListener makes connections that the delivery engine can send to.
type tlsListener struct {
	net.Listener
	conf     *tls.Config
	portable bool
}

// Accept implements net.Listener.
func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return peer.WrapTLS(c, l.conf, l.portable), nil
}

// Run serves until ctx ends, and closes the listeners.
func (s *Server) Run(ctx context.Context) error {
	lns := append([]net.Listener(nil), s.secure...)
	var fronts []*http1.Front
	for _, ln := range s.plain {
		f := http1.New(ln, http1.Config{
			Handler: http.HandlerFunc(s.dispatch), Prepare: s.address,
			FirstTime: headerTimeout, IdleTime: idleTimeout, WriteTime: answerTime, Log: s.conf.Log,
			Most: s.conf.Connections, Refused: s.conf.Refused,
		})
		lns, fronts = append(lns, f), append(fronts, f)
	}
	return serve(ctx, lns, fronts, s, s.conf.Log, s.watch())
}

// watch returns what counts net/http's connections and closes those too many.
func (s *Server) watch() func(net.Conn, http.ConnState) {
	var n atomic.Int64
	return func(c net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			now, most := n.Add(1), int64(0)
			if s.conf.Connections != nil {
				most = int64(s.conf.Connections())
			}
			if most > 0 && now > most {
				_ = c.Close()
				if s.conf.Refused != nil {
					s.conf.Refused(c.RemoteAddr())
				}
			}
		case http.StateHijacked, http.StateClosed:
			n.Add(-1)
		}
	}
}

// Serve serves a handler on one listener until ctx ends. Nobody plays here: it is for a few
// clients of the operator's.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	return serve(ctx, []net.Listener{ln}, nil, h, log, nil)
}

// serve serves h on listeners until ctx ends; requests in progress, and those of fronts, get
// a second to end.
func serve(ctx context.Context, lns []net.Listener, fronts []*http1.Front, h http.Handler, log *slog.Logger, watch func(net.Conn, http.ConnState)) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), ConnState: watch,
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, ln := range lns {
		wg.Go(func() {
			if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	bounded, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer stop()
	for _, f := range fronts {
		wg.Go(func() { f.Shutdown(bounded) })
	}
	defer wg.Wait() // before bounded is over for other reasons than its time
	if srv.Shutdown(bounded) != nil {
		_ = srv.Close()
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
