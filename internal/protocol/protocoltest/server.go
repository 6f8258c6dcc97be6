package protocoltest

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/fanout"
	"weir/internal/httpserver"
	"weir/internal/intake"
	"weir/internal/listen"
	"weir/internal/mux"
	"weir/internal/peer"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/stream"
)

// Options are what a test wants of its server. The zero value has no limits, lets everybody in and
// lets players wait as long as tests do.
type Options struct {
	// Stream changes the settings of all streams.
	Stream func(*stream.Settings)
	// Streams bounds the streams.
	Streams stream.Limits
	// Sessions bounds the sessions.
	Sessions session.Limits
	// Slow is what happens to slow players; the zero value stands for a policy that lets tests be slow.
	Slow fanout.SlowPolicy
	// Wait is how long players wait for a publisher; 0 stands for Patience.
	Wait time.Duration
	// Admit decides about peers that are not in the process; nil lets all of them in.
	Admit peer.Admission
	// Bitrate bounds publishers, in bits per second.
	Bitrate int64
	// Portable makes players use a goroutine each.
	Portable bool
	// Remote, if valid, is the address from which all connections seem to come: limits per
	// address do not hold for loopback.
	Remote netip.Addr
	// Settings are the protocol's part of an entry of streams.
	Settings func(path string) any
}

// Server runs protocols until its test ends.
type Server struct {
	Hub      *stream.Hub
	Mux      *mux.Set
	Engine   *fanout.Engine
	Sessions *session.Registry
	// Log is what was logged.
	Log *Log
	// Metrics is what was counted.
	Metrics *Metrics

	t      testing.TB
	opt    Options
	poller *intake.Poller
	pacer  *intake.Pacer
	addrs  map[string]net.Addr
	names  peer.Reserved
	stop   func() error

	mu   sync.Mutex // guards below
	ends []End
}

// End is the end of a session.
type End struct {
	session.End
	Protocol string
}

// Patience is how long tests wait for what must come.
const Patience = 10 * time.Second

// Start runs protocols until the test ends, or Stop.
func Start(t testing.TB, opt Options, entries ...protocol.Entry) *Server {
	t.Helper()
	if opt.Wait == 0 {
		opt.Wait = Patience
	}
	if opt.Slow == (fanout.SlowPolicy{}) {
		opt.Slow = fanout.SlowPolicy{MaxLag: Patience, MaxStall: Patience}
	}
	s := &Server{t: t, opt: opt, Log: new(Log), Metrics: new(Metrics), addrs: map[string]net.Addr{}, pacer: intake.NewPacer(0)}
	s.Engine = fanout.New(fanout.Options{Workers: 2})
	s.Hub = stream.New(stream.Options{Settings: s.streamSettings, Limits: opt.Streams})
	s.Mux = mux.NewSet(s.Engine, func(string) fanout.SlowPolicy { return opt.Slow })
	s.Sessions = session.New(opt.Sessions, session.Observer{Closed: s.ended, Refused: func(_ session.Info, err error) {
		s.Metrics.Rejected(session.ReasonOf(err).String())
	}})
	if !opt.Portable {
		var err error
		if s.poller, err = intake.NewPoller(); err != nil {
			t.Fatal(err)
		}
	}
	runs := s.open(entries)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	failed := make([]error, len(runs))
	for i, run := range runs {
		running.Go(func() { failed[i] = run(ctx) })
	}
	s.stop = sync.OnceValue(func() error {
		s.Sessions.CloseAll(session.ErrShutdown)
		s.Hub.Close(session.ErrShutdown)
		cancel()
		running.Wait()
		s.Engine.Close()
		if s.poller != nil {
			s.poller.Close()
		}
		return errors.Join(failed...)
	})
	t.Cleanup(s.Stop)
	return s
}

// open makes the protocols and the HTTP listener for those that are spoken over it.
func (s *Server) open(entries []protocol.Entry) (runs []func(context.Context) error) {
	s.t.Helper()
	var routes []protocol.Route
	for _, e := range entries {
		p, err := e.New(s.Env(e.Name))
		if err != nil {
			s.t.Fatal(err)
		}
		if r, ok := p.(protocol.Router); ok {
			routes = append(routes, r.Routes()...)
		}
		runs = append(runs, p.Run)
	}
	if len(routes) > 0 {
		ln, err := s.listen("http", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		web := httpserver.New(httpserver.Config{Policy: func() *httpserver.Policy { return &httpserver.Policy{CORS: []string{"*"}} }, Portable: s.opt.Portable, Log: slog.New(s.Log.handler())}, routes)
		web.Listen(ln)
		runs = append(runs, web.Run)
	}
	return runs
}

// Env is what the server lends a protocol.
func (s *Server) Env(name string) protocol.Env {
	return protocol.Env{
		Door: s.Door(name), Bitrate: func() int64 { return s.opt.Bitrate }, Pacer: s.pacer, Listen: s.listen, ListenTLS: s.listenTLS,
		Settings: func(path string) any {
			if s.opt.Settings == nil {
				return nil
			}
			return s.opt.Settings(path)
		},
	}
}

// Door is the door of one protocol.
func (s *Server) Door(name string) *peer.Door {
	return &peer.Door{
		Name: name, Log: slog.New(s.Log.handler()).With(slog.String("protocol", name)),
		Hub: s.Hub, Mux: s.Mux, Engine: s.Engine, Sessions: s.Sessions, Metrics: s.Metrics,
		Admit: s.admit, Wait: func(string) time.Duration { return s.opt.Wait },
		Start:    func(string) peer.Start { return peer.Burst },
		Repair:   func(string) bool { return false },
		Reserved: &s.names, Poller: s.poller, Portable: s.opt.Portable,
	}
}

func (s *Server) admit(ctx context.Context, r *admit.Request) (session.Grant, error) {
	if r.InProcess || s.opt.Admit == nil {
		return session.Grant{Entry: -1}, nil
	}
	return s.opt.Admit(ctx, r)
}

func (s *Server) streamSettings(string) stream.Settings {
	set := stream.Default()
	if s.opt.Stream != nil {
		s.opt.Stream(&set)
	}
	return set
}

func (s *Server) listen(proto, addr string) (net.Listener, error) {
	ln := listen.New(slog.New(s.Log.handler()))
	if addr == "" {
		return ln, nil
	}
	socket, err := listen.Open(context.Background(), proto, addr)
	if err != nil {
		return nil, err
	}
	ln.Use(socket)
	s.addrs[proto] = ln.Addr()
	if s.opt.Remote.IsValid() {
		return &movedListener{ln, net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.opt.Remote, 1))}, nil
	}
	return ln, nil
}

func (s *Server) listenTLS(proto string, conf *listen.TLSConfig) (net.Listener, *tls.Config, error) {
	if !conf.Enabled() {
		ln, err := s.listen(proto, "")
		return ln, nil, err
	}
	c, err := listen.TLS(slog.New(s.Log.handler()), conf.Cert, conf.Key)
	if err != nil {
		return nil, nil, err
	}
	ln, err := s.listen(proto, conf.Listen)
	return ln, c, err
}

// movedListener accepts connections that seem to come from somewhere else.
type movedListener struct {
	net.Listener
	remote net.Addr
}

// Accept implements net.Listener.
func (l *movedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &movedConn{c.(*net.TCPConn), l.remote}, nil //nolint:forcetypeassert // of a TCP listener
}

type movedConn struct {
	*net.TCPConn
	remote net.Addr
}

// RemoteAddr implements net.Conn.
func (c *movedConn) RemoteAddr() net.Addr { return c.remote }

// Addr returns where a listener of this name listens. That of HTTP is "http".
func (s *Server) Addr(proto string) string {
	a := s.addrs[proto]
	if a == nil {
		s.t.Fatalf("no listener %q, only %v", proto, slices.Sorted(maps.Keys(s.addrs)))
	}
	return a.String()
}

// Stop ends everything and waits for it.
func (s *Server) Stop() {
	if err := s.stop(); err != nil {
		s.t.Error("a protocol ended with:", err)
	}
}

func (s *Server) ended(x *session.Session, e session.End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, End{e, x.Protocol})
}

// Ends returns how the sessions of a protocol ended so far.
func (s *Server) Ends(protocol string) []End {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.ends), func(e End) bool { return e.Protocol != protocol })
}

// WantEnd waits until a session of the protocol has ended in this role for this reason.
func (s *Server) WantEnd(protocol string, role session.Role, reason session.Reason) {
	s.t.Helper()
	ok := s.poll(func() bool {
		return slices.ContainsFunc(s.Ends(protocol), func(e End) bool { return e.Role == role && e.Reason == reason })
	})
	if !ok {
		s.t.Fatalf("no session ended in the role %v with %v; these did: %+v", role, reason, s.Ends(protocol))
	}
}

// Until waits until ok.
func (s *Server) Until(what string, ok func() bool) {
	s.t.Helper()
	if !s.poll(ok) {
		s.t.Fatal("waited in vain: ", what)
	}
}

func (s *Server) poll(ok func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); !ok(); <-tick.C {
		if time.Since(begun) > Patience {
			return false
		}
	}
	return true
}

// Of returns the open sessions of a protocol in a role.
func (s *Server) Of(protocol string, role session.Role) []*session.Session {
	return slices.DeleteFunc(s.Sessions.List(), func(x *session.Session) bool { return x.Protocol != protocol || x.Role() != role })
}
