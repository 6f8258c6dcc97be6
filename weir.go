// Package weir is a live-streaming server to be run inside another program: what the
// command "weir serve" runs, with publishers, players and admission in the same process.
//
//	s, err := weir.New(weir.DefaultConfig())
//	if err != nil { ... }
//	err = s.Run(ctx)
//
// Someone who needs only RTMP takes package weir/rtmp, only FLV weir/format/flv; they do
// not pull the server in.
package weir

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"weir/av"
	"weir/internal/admit"
	"weir/internal/config"
	"weir/internal/peer"
	"weir/internal/server"
	"weir/internal/stream"
)

//go:generate sh -c "go run ./internal/server/godoc > config.go.new && mv config.go.new config.go"

// DefaultConfig returns the configuration that serves when nothing is configured. Begin with it.
func DefaultConfig() Config { return server.Default() }

// DefaultStreamConfig returns the settings of a stream that no entry matches.
func DefaultStreamConfig() StreamConfig { return server.DefaultStream() }

// Check reports everything that is wrong with a configuration: what Validate finds, what New would
// fail at (certificates that cannot be read), and entries of Streams that no stream ever gets.
func Check(c Config) error { return config.Check(&c) }

// Protocols returns the names of the protocols that the server speaks, such as "rtmp": those of Request,
// of the log, the metrics and the API.
func Protocols() []string { return server.ProtocolNames() }

// Key is an entry of Publish.Keys and Play.Keys of a StreamConfig: Key{Key: "secret"} is all that is needed.
type Key = admit.Key

// SigningKey is an entry of Auth.Signed.Keys of a Config.
type SigningKey = admit.SigningKey

// Request is what a peer asks for.
type Request struct {
	// Publish tells a publisher from a player, and Recheck that the session runs already; see Grant.
	Publish, Recheck bool
	// Protocol is one of Protocols.
	Protocol string
	// Session is the session's id in log and API.
	Session string
	Remote  netip.AddrPort
	// TLS says that the connection is encrypted up to this server.
	TLS       bool
	UserAgent string
	// Path is the stream: app/name.
	Path string
	// Query is what followed the name in the URL, as sent. It may hold keys.
	Query string
	// User and Password, or Token, are what the peer showed beside the query.
	User, Password, Token string
}

// Option adds to what a configuration can say.
type Option struct{ set func(*server.Options) }

// Logger makes the server log to l; without it nothing is logged.
func Logger(l *slog.Logger) Option { return Option{func(o *server.Options) { o.Log = l }} }

// Level makes the server set v to log.level of its configuration. A program gives it to the handler of
// its Logger: log.level alone does not hold that back.
func Level(v *slog.LevelVar) Option { return Option{func(o *server.Options) { o.Level = v }} }

// Admit is Decide without terms: the server asks decide about each publisher and player that the configured keys
// and addresses let in, before the peer is told of success. An error refuses; its text is
// shown to the peer. decide may take its time; ctx ends when the peer goes.
func Admit(decide func(ctx context.Context, r Request) error) Option {
	return Decide(func(ctx context.Context, r Request) (Grant, error) { return Grant{}, decide(ctx, r) })
}

// Server is a server whose listeners are open.
type Server struct{ s *server.Server }

// Change changes the configuration of the server, running or not. All of it is checked first, ports and certificates
// too: after an error nothing has changed. Sessions stay, whatever changes, but those of keys that were taken out. The report says which keys differ from
// those in force, and which of them wait for another server.
func (s *Server) Change(c Config) (Report, error) {
	r, err := s.s.Reload(c)
	return reportOf(r), err
}

// New builds a server and opens its listeners; Run or Close must follow.
// It fails if the configuration is wrong or a port is taken.
func New(c Config, opts ...Option) (*Server, error) {
	if err := config.Validate(&c); err != nil {
		return nil, err
	}
	var o server.Options
	for _, opt := range opts {
		opt.set(&o)
	}
	s, err := server.New(c, o)
	if err != nil {
		return nil, err
	}
	return &Server{s}, nil
}

// Run serves until ctx ends, then ends every session in order and returns nil once nothing of
// it runs any more. It returns earlier, with an error, if a listener fails. A server is run once.
func (s *Server) Run(ctx context.Context) error { return s.s.Run(ctx) }

// Close ends the server, whether it runs or not, and returns once nothing of it is left. It may be
// called more than once. A server cannot be run after it.
func (s *Server) Close() { s.s.Close() }

// Addr returns where a listener ("rtmp", "rtmps", "http", "https", "admin") really
// listens, nil if it is off: with port 0 in the configuration, this tells the port.
func (s *Server) Addr(proto string) net.Addr { return s.s.Addr(proto) }

// URL returns the URL under which a listener is reached from this machine, such as
// "rtmp://127.0.0.1" or "http://127.0.0.1:8080"; "" if it is off.
func (s *Server) URL(proto string) string {
	a := s.s.Addr(proto)
	if a == nil {
		return ""
	}
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := proto
	if proto == "admin" {
		scheme = "http"
	}
	if port != defaultPorts[scheme] {
		return scheme + "://" + net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return scheme + "://" + host
}

// defaultPorts are those that a URL may leave out.
var defaultPorts = map[string]string{"rtmp": "1935", "rtmps": "443", "http": "80", "https": "443"}

// Publisher publishes a stream from within the program. It is for one goroutine.
type Publisher struct{ p *peer.LocalPublisher }

// Publish begins to publish path (app/name). It is a session like every other: the rules of paths,
// the limits and the stream's on_conflict hold for it, but it needs no key, and Admit is not asked; auth.hook is with in_process.
// When ctx ends the stream ends, without grace.
func (s *Server) Publish(ctx context.Context, path string) (*Publisher, error) {
	p, err := s.s.InProcess().PublishLocal(ctx, path)
	if err != nil {
		return nil, err
	}
	return &Publisher{p}, nil
}

// WriteFrame gives the stream its next frame, with times on the caller's own clock:
// configurations first, then media in the order of decoding. The stream keeps f.Payload,
// which must not be changed afterwards, but not f. It fails once the publisher was taken
// over, its stream ended or it was closed.
func (p *Publisher) WriteFrame(f *av.Frame) error { return p.p.Write(f) }

// Close ends the publisher. Players wait for its return for the stream's grace_after_stop.
func (p *Publisher) Close() { p.p.Close() }

// Player plays a stream within the program. It is for one goroutine, but for Close.
type Player struct {
	p       *peer.LocalPlayer
	headers *stream.Headers
	skips   int
	pending []*av.Frame
}

// Play begins to play path, also before it is published. It is a session like every other, but
// needs no key, and Admit is not asked; auth.hook is with in_process.
func (s *Server) Play(path string) (*Player, error) {
	p, err := s.s.InProcess().PlayLocal(path)
	if err != nil {
		return nil, err
	}
	return &Player{p: p}, nil
}

// ReadFrame returns the next frame, with times on the stream's timeline. Configurations
// come before the media that needs them; the first media frame, and the first after the
// player was too slow and skipped, is one that a decoder may start at. The frame is shared:
// it must not be changed. It fails with io.EOF when the stream has ended, else with ctx's cause.
func (p *Player) ReadFrame(ctx context.Context) (*av.Frame, error) {
	if len(p.pending) == 0 {
		e, err := p.p.Next(ctx)
		if err != nil {
			return nil, err
		}
		if skips := p.p.Skips(); p.headers == nil || skips != p.skips {
			p.skips = skips
			p.addHeaders(&e)
		}
		p.headers = e.Headers
		p.pending = append(p.pending, &e.Frame)
	}
	f := p.pending[0]
	p.pending = p.pending[1:]
	return f, nil
}

// addHeaders queues what must come before e, at its time.
func (p *Player) addHeaders(e *stream.Entry) {
	for i := range e.Headers.Tracks {
		t := &e.Headers.Tracks[i]
		for _, h := range [2]*av.Frame{t.ConfigFrame, t.Meta} {
			if h != nil {
				f := *h
				f.DTS, f.PTS = e.DTS, e.DTS
				p.pending = append(p.pending, &f)
			}
		}
	}
}

// Skips returns how often the player was too slow and skipped to a newer key frame.
func (p *Player) Skips() int { return p.p.Skips() }

// Close ends the player; a ReadFrame in progress fails.
func (p *Player) Close() { p.p.Close() }
