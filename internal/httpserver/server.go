// Package httpserver serves requests over HTTP/1.1 and HTTP/2: it bounds connections, answers and
// time, finds the viewer's address behind trusted proxies, decides which origins may play, and
// gives each request to the protocol that has a route for it.
package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"weir/internal/httpserver/http1"
	"weir/internal/peer"
	"weir/internal/protocol"
)

// Times are how long a client may take.
type Times struct {
	Header time.Duration // for the header of a request, from the connection or the request's first byte on
	Idle   time.Duration // until its next request
	Answer time.Duration // to take an answer, unless the handler sets another deadline
	Stall  time.Duration // to take any byte of it
}

// DefaultTimes returns times fit for a server on the Internet. Idle is no longer than players need between two requests, as net/http holds what an
// HTTP/2 connection needed for as long after its end.
func DefaultTimes() Times {
	return Times{Header: 10 * time.Second, Idle: 30 * time.Second, Answer: 2 * time.Minute, Stall: 20 * time.Second}
}

const (
	maxHeaderBytes = 32 << 10
	// maxStreams bounds the requests of one HTTP/2 connection that are answered at once. Each may
	// pin its header, a goroutine and maxPiece of buffers.
	maxStreams = 64
	// maxReceived bounds what is kept of request bodies, which no handler reads.
	maxReceived = 64 << 10
)

// Config says what a Server does beside answering by its routes.
type Config struct {
	// Policy, if not nil, returns what holds for requests at present.
	Policy func() *Policy
	// Limits, if not nil, returns the present limits of connections. Refused, if not nil, is told of each connection
	// that was refused, and of the limit that refused it.
	Limits  func() Limits
	Refused func(remote net.Addr, limit string)
	// Times are how long clients may take; the zero value stands for DefaultTimes.
	Times Times
	// Portable makes each player over TLS use a goroutine.
	Portable bool
	Log      *slog.Logger
}

// Policy is what holds for all requests. It does not change, but another may take its place.
type Policy struct {
	// CORS lists the origins whose pages may play; * allows all.
	CORS []string
	// TrustedProxies are the addresses of proxies whose header tells the viewer's address.
	TrustedProxies []netip.Prefix
	// ProxyHeader is that header: "x-forwarded-for", "forwarded", "x-real-ip", or "auto" for the first of
	// these that a request has.
	ProxyHeader string
}

// Server serves the HTTP listeners on which streams are played, and dispatches requests to the
// routes of the protocols.
type Server struct {
	conf   Config
	routes []protocol.Route
	crowd  *crowd
	plain  []net.Listener
	secure []net.Listener
}

// New returns a server without listeners.
func New(conf Config, routes []protocol.Route) *Server {
	if conf.Times == (Times{}) {
		conf.Times = DefaultTimes()
	}
	if conf.Limits == nil {
		conf.Limits = func() Limits { return Limits{} }
	}
	if conf.Policy == nil {
		none := new(Policy)
		conf.Policy = func() *Policy { return none }
	}
	isProxy := func(a netip.Addr) bool { return trusted(conf.Policy().TrustedProxies, a) }
	return &Server{conf: conf, routes: routes, crowd: newCrowd(conf.Limits, isProxy, conf.Refused)}
}

// Listen makes the server serve a listener's connections once it runs.
func (s *Server) Listen(ln net.Listener) { s.plain = append(s.plain, ln) }

// ListenTLS is Listen for connections that speak TLS.
func (s *Server) ListenTLS(ln net.Listener, conf *tls.Config) {
	conf = conf.Clone()
	conf.NextProtos = []string{"h2", "http/1.1"}
	s.secure = append(s.secure, &tlsListener{ln, conf, s.conf.Portable, s.crowd.exempt})
}

// tlsListener accepts TLS connections that the delivery engine can send to.
type tlsListener struct {
	net.Listener
	conf     *tls.Config
	portable bool
	exempt   func(netip.Addr) bool
}

// Accept implements net.Listener.
func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.exempt(peer.AddrPort(c.RemoteAddr()).Addr()) {
		c = &paced{Conn: c}
	}
	return peer.WrapTLS(c, l.conf, l.portable), nil
}

// Run serves until ctx ends, and closes the listeners.
func (s *Server) Run(ctx context.Context) error {
	lns := slices.Clone(s.secure)
	var fronts []*http1.Front
	t := s.conf.Times
	for _, ln := range s.plain {
		f := http1.New(ln, http1.Config{
			Handler: http.HandlerFunc(s.dispatch), Prepare: s.address, Enter: s.enter, Log: s.conf.Log,
			FirstTime: t.Header, IdleTime: t.Idle, WriteTime: t.Answer, StallTime: t.Stall,
		})
		lns, fronts = append(lns, f), append(fronts, f)
	}
	srv := newServer(s, t, s.conf.Log)
	srv.ConnState = s.crowd.watch
	srv.ConnContext = withConn
	return serve(ctx, srv, lns, fronts, s.crowd.dropAll)
}

// enter counts a connection that package http1 serves.
func (s *Server) enter(remote net.Addr, end func()) http1.Guest {
	if g := s.crowd.enter(remote, end); g != nil {
		return g
	}
	return nil
}

// newServer returns a net/http server that bounds everything that clients can make grow.
func newServer(h http.Handler, t Times, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: t.Header, IdleTimeout: t.Idle, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerConnection: maxReceived, MaxReceiveBufferPerStream: maxReceived,
			SendPingTimeout: t.Stall, PingTimeout: t.Stall, WriteByteTimeout: t.Stall,
		},
	}
}

// Serve serves a handler on one listener until ctx ends. It is for the operator's few clients, not
// for players.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	return serve(ctx, newServer(h, DefaultTimes(), log), []net.Listener{ln}, nil, func() {})
}

// serve serves listeners until ctx ends; requests in progress, also those of fronts, get a second
// to end. Then drop closes the connections that are left.
func serve(ctx context.Context, srv *http.Server, lns []net.Listener, fronts []*http1.Front, drop func()) error {
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
	defer wg.Wait() // before stop ends bounded
	if srv.Shutdown(bounded) != nil {
		drop()
		_ = srv.Close()
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
