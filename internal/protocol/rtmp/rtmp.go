// Package rtmp speaks RTMP and RTMPS to encoders and players: it joins package
// weir/rtmp, which knows the wire, to the streams and the delivery engine.
package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"weir/internal/admit"
	"weir/internal/hops"
	"weir/internal/intake"
	"weir/internal/listen"
	"weir/internal/peer"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/rtmp"
)

// Protocol serves the RTMP listeners and their sessions.
type Protocol struct {
	env    protocol.Env
	server atomic.Pointer[rtmp.Server] // for the connections that come next
	plain  net.Listener
	tls    net.Listener
	tlsCfg *tls.Config
	wg     sync.WaitGroup // goroutines of players that wait for a stream
	choosy choosy
	auth   *rtmp.Authenticator // nil: there are no users
}

// New opens the listeners.
func New(env protocol.Env, conf Config) (*Protocol, error) {
	p := &Protocol{env: env}
	if env.Users != nil {
		p.auth = rtmp.NewAuthenticator(rtmp.AuthAdobe, env.Users.Password)
	}
	p.change(&conf)
	var err error
	if p.plain, err = env.Listen("rtmp", conf.Listen); err != nil {
		return nil, err
	}
	if p.tls, p.tlsCfg, err = env.ListenTLS("rtmps", &conf.TLS); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// change puts the values of conf into force, but for those of the listeners.
func (p *Protocol) change(conf *Config) {
	p.env.Pacer.SetMax(conf.IngestDelay)
	timeout := conf.HandshakeTimeout
	p.server.Store(&rtmp.Server{
		Handler: p, ChunkSize: conf.ChunkSize,
		HandshakeTimeout: timeout, ConnectTimeout: timeout, CommandTimeout: timeout,
		IdleTimeout: conf.IdleTimeout,
		Observe:     p.observe,
	})
}

// Close closes the listeners of a protocol that is not going to run.
func (p *Protocol) Close() {
	for _, ln := range []net.Listener{p.plain, p.tls} {
		if ln != nil {
			_ = ln.Close()
		}
	}
}

// Run serves until ctx ends, and waits for every session.
func (p *Protocol) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	sessions := context.WithoutCancel(ctx)
	serve := func(ln net.Listener, conf *tls.Config) {
		wg.Go(func() {
			err := p.env.Serve(ctx, ln, func(nc net.Conn) {
				p.serve(sessions, nc, conf, ctx)
			})
			if err != nil {
				stop(err)
			}
		})
	}
	serve(p.plain, nil)
	serve(p.tls, p.tlsCfg)
	<-ctx.Done()
	p.env.Sessions.CloseProtocol(p.env.Name, session.ErrShutdown)
	wg.Wait()
	p.wg.Wait()
	p.choosy.stop()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, session.ErrShutdown) {
		return err
	}
	return nil
}

// connection is one connection with what the server has for it.
type connection struct {
	session *session.Session
	tcp     *intake.Conn // the TCP connection below all layers; nil if there is none
	tls     *peer.WaitingTLS
	via     []netip.Addr // proxies that it came through

	chunkSize int          // of what is sent
	player    *peer.Player // set once the connection is handed to the engine
	playing   uint32       // the message stream that is played
	pageURL   string       // as connect says; it may hold keys
	tcURL     string       // likewise
	hops      []string     // servers that its stream came or goes through, as connect says
	// credential is the user and password that connect proved to know.
	credential admit.Credential
}

// connectionKey is the context key of a connection.
type connectionKey struct{}

func connectionOf(ctx context.Context) *connection { return ctx.Value(connectionKey{}).(*connection) }

// ask is what the peer asks for with a stream's path and query.
func (c *connection) ask(path, rawQuery string) peer.Ask {
	ask := peer.Ask{Path: path, RawQuery: rawQuery, PageURL: c.pageURL, TCURL: c.tcURL, Credential: c.credential, Hops: c.hops}
	if u, err := url.Parse(c.tcURL); err == nil && u.Host != "" {
		ask.URL = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/" + path}).String()
	}
	return ask
}

// maxURL bounds what is kept of each URL that connect brings, in bytes.
const maxURL = 1024

func clip(url string) string { return strings.Clone(url[:min(len(url), maxURL)]) }

// about returns what a log line says about the peer.
func (c *connection) about() slog.Attr {
	return slog.Group("", slog.String("session", c.session.ID), slog.String("remote", c.session.Remote.String()))
}

// serve runs one connection until its session is closed. Its goroutine lives as long as the player:
// work that needs a deep stack runs on other goroutines, so that this stack stays small. For the
// same reason it has no context of the listeners: Run closes the sessions.
func (p *Protocol) serve(base context.Context, nc net.Conn, conf *tls.Config, listening context.Context) {
	c := &connection{via: listen.Via(nc)}
	if tcp, ok := intake.Wrap(nc, p.env.Poller); ok {
		nc, c.tcp = tcp, tcp
	}
	switch {
	case conf != nil && c.tcp != nil:
		c.tls = peer.NewWaitingTLS(c.tcp, conf, p.env.Portable)
		nc = c.tls
	case conf != nil:
		nc = peer.WrapTLS(nc, conf, p.env.Portable)
	}
	server := p.server.Load()
	c.chunkSize = server.ChunkSize
	rs := server.NewSession(context.WithValue(base, connectionKey{}, c), nc)
	var wg sync.WaitGroup
	wg.Go(func() { c.open(p, nc, conf != nil, rs) })
	wg.Wait()
	if c.session == nil {
		_ = nc.Close()
		return
	}
	if listening.Err() != nil { // it ended before the session could be told
		rs.Close(session.ErrShutdown)
	}
	err := rs.Serve()
	if c.player != nil {
		return // the engine closes the connection, and then the session
	}
	p.ended(c.session, err)
}

// open registers the connection; session stays nil if it is refused.
func (c *connection) open(p *Protocol, nc net.Conn, secure bool, rs *rtmp.ServerSession) {
	s, err := p.env.Sessions.Open(session.Info{
		Protocol: p.env.Name, Remote: peer.AddrPort(nc.RemoteAddr()), Via: c.via, TLS: secure, Cancel: rs.Close,
	})
	if err == nil {
		s.SetNetwork(peer.Network(nc))
		c.session = s
	}
}

// ended closes the session of a connection that has ended.
func (p *Protocol) ended(s *session.Session, err error) {
	if errors.Is(err, rtmp.ErrBadPath) { // package rtmp itself has refused it
		err = p.env.Refuse(&admit.Request{Protocol: p.env.Name, Session: s.ID, Remote: s.Remote}, session.Because(session.Path, err))
	}
	err = endOfSession(err)
	if r := session.ReasonOf(err); r == session.Handshake || errors.Is(err, rtmp.ErrProbe) {
		p.env.Metrics.HandshakeFailed(p.env.Name, handshakeFault(err))
	}
	s.CloseWith(err)
}

// endOfSession gives the causes of package rtmp their reasons.
func endOfSession(err error) error {
	var timeout *rtmp.TimeoutError
	var limit *rtmp.LimitError
	var handshake *rtmp.HandshakeError
	reason := session.Internal
	switch {
	case errors.As(err, new(session.Reasoner)):
		return err
	case errors.Is(err, rtmp.ErrProbe), errors.Is(err, rtmp.ErrClosedByPeer), errors.Is(err, rtmp.ErrStopped):
		reason = session.EOF
	case errors.As(err, &handshake):
		reason = session.Handshake
	case errors.Is(err, rtmp.ErrServerClosed):
		reason = session.Shutdown
	case errors.As(err, &timeout):
		reason = session.Timeout
		if timeout.Stage == rtmp.StagePublish {
			reason = session.Idle
		}
	case errors.As(err, &limit):
		reason = session.Limit
	case errors.Is(err, rtmp.ErrMessageTooLong):
		reason = session.TooLarge
	case errors.Is(err, rtmp.ErrProtocol):
		reason = session.ProtocolError
	case errors.Is(err, rtmp.ErrRefused):
		reason = session.Denied
	case errors.Is(err, rtmp.ErrUnpublished):
		reason = session.Unpublish
	}
	return session.Because(reason, err)
}

// handshakeFault returns the metric's label for a failed handshake.
func handshakeFault(err error) string {
	for _, f := range []struct {
		err   error
		label string
	}{
		{rtmp.ErrProbe, "probe"},
		{rtmp.ErrHTTP, "http"},
		{rtmp.ErrTLSOnPlain, "tls"},
		{rtmp.ErrEncrypted, "encrypted"},
		{rtmp.ErrProxyHeader, "proxy_header"},
		{rtmp.ErrVersion, "version"},
		{rtmp.ErrClosedByPeer, "eof"},
	} {
		if errors.Is(err, f.err) {
			return f.label
		}
	}
	var t *rtmp.TimeoutError
	if errors.As(err, &t) {
		return "timeout"
	}
	return "other"
}

// observe logs the events of package rtmp.
func (p *Protocol) observe(e rtmp.Event) {
	remote := slog.String("remote", "")
	if e.Remote != nil {
		remote.Value = slog.StringValue(e.Remote.String())
	}
	switch e.Kind {
	case rtmp.EventAnomaly:
		p.env.Log.Info("peer does not follow the specification", remote, slog.String("detail", e.Detail))
	case rtmp.EventDropped:
		p.env.Metrics.Dropped(p.env.Name, "stray")
		p.env.Log.Info("dropping messages", remote, slog.String("detail", e.Detail))
	case rtmp.EventPanic:
		p.env.Log.Error("panic in a session", remote, slog.Any("err", e.Err), slog.String("stack", string(e.Stack)))
	}
}

// Connect implements rtmp.Handler: every application is welcome, streams decide, unless a service is asked about
// connections. Where all publishers need a user, they are asked for it here.
func (p *Protocol) Connect(ctx context.Context, _ *rtmp.ServerSession, r *rtmp.ConnectRequest) error {
	c := connectionOf(ctx)
	c.session.SetUserAgent(r.FlashVer)
	c.pageURL, c.tcURL = clip(r.PageURL), clip(r.TcURL)
	if list, ok := r.Properties.GetString(hops.Property); ok {
		c.hops = hops.Parse(list)
	}
	if err := p.authenticate(c, r); err != nil {
		return err
	}
	app, err := p.env.Connect(ctx, c.session, c.ask(r.App, r.RawQuery))
	if err != nil {
		return refuse(rtmp.CodeConnectRejected, err)
	}
	r.App = app
	p.env.Log.Debug("connected", c.about(), slog.String("app", session.Redact(r.App)), slog.String("vhost", session.Redact(r.Vhost)))
	return nil
}
