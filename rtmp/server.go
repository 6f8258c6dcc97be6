package rtmp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// Server accepts RTMP connections and gives their requests to a Handler. Its fields must
// not be changed once it serves. All but Handler may be left zero.
type Server struct {
	// Handler decides about requests and receives messages. It must be set.
	Handler Handler
	// Authenticator, if set, is asked before Handler.Connect about every connection.
	Authenticator *Authenticator
	// TLSConfig, if set, makes the server speak TLS on every connection (RTMPS).
	// Connections that are TLS already, from a listener of crypto/tls, need none.
	TLSConfig *tls.Config
	// ChunkSize is the chunk size of what the server writes, announced in connect. Default 65536:
	// the larger, the less work for both sides; libavformat adopts it.
	ChunkSize int
	// HandshakeTimeout is for each part of the handshake, ConnectTimeout for connect
	// after it, CommandTimeout for the first publish or play after that. They are
	// absolute: what arrives in between does not extend them. Default 10 s each.
	HandshakeTimeout, ConnectTimeout, CommandTimeout time.Duration
	// IdleTimeout is the silence after which a publisher is pinged; after as long again
	// it is closed. It is also how long a connection may stay after its last stream
	// ended. Default 30 s.
	IdleTimeout time.Duration
	// WriteTimeout is how long one write may take. Default 30 s, and 10 s at most until
	// a publish or play was accepted.
	WriteTimeout time.Duration
	// Caps is announced to clients that announce Enhanced RTMP themselves. Default: any codec
	// forwarded, and all extended capabilities.
	Caps *Caps
	// Limits bounds each connection.
	Limits Limits
	// Observe, if set, is told of events for a log or a counter. It is called on the sessions'
	// goroutines and must not block.
	Observe func(Event)
}

// EventKind says what an Event is about.
type EventKind uint8

// The kinds of event.
const (
	// EventAccept: accepting a connection failed; it is tried again after a pause.
	EventAccept EventKind = iota
	// EventAnomaly: a peer has a peculiarity that was worked around. Once each a session.
	EventAnomaly
	// EventDropped: messages of a kind are dropped. Once a kind and session; Stats counts.
	EventDropped
	// EventPanic: a handler panicked. Its session ends; Stack says where.
	EventPanic
)

// Event is something in a Server that no return value reports.
type Event struct {
	Kind EventKind
	// Session is the session concerned; nil for EventAccept.
	Session *ServerSession
	Remote  net.Addr
	// Err is set for EventAccept and EventPanic.
	Err error
	// Detail says what the anomaly was, or what is dropped: one of a fixed set of texts,
	// without anything that the peer sent.
	Detail string
	// Stack is the stack of a panic.
	Stack []byte
}

// Serve accepts connections until ctx ends, which also ends the sessions, and returns
// when all have ended: nil, or the error of the listener, which it closes. If accepting fails for
// lack of descriptors or the like, it pauses and goes on.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return s.serve(ctx, ln, func(nc net.Conn) { _ = s.ServeConn(ctx, nc) })
}

// serve is Serve with the function that handles a connection.
func (s *Server) serve(ctx context.Context, ln net.Listener, handle func(net.Conn)) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(closed); _ = ln.Close() })
	defer func() {
		if !stop() {
			<-closed
		}
		_ = ln.Close()
	}()
	var pause time.Duration
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			wg.Go(func() { handle(nc) })
		case ctx.Err() != nil:
			return nil
		case !temporary(err):
			return err
		default:
			pause = min(max(2*pause, minAcceptPause), maxAcceptPause)
			s.observe(Event{Kind: EventAccept, Err: err})
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// The bounds of the pause after a failed accept.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// temporary reports whether accepting may succeed later, such as after "too many open
// files".
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// ServeConn serves one connection, which it closes unless its session was detached, and
// returns the cause of its end, never nil: ErrClosedByPeer, ErrServerClosed or the cause
// given to ServerSession.Close for an ordinary one; *HandshakeError, *TimeoutError,
// *LimitError or an error that wraps ErrProtocol, ErrRefused or ErrPanic otherwise.
//
// The calling goroutine only waits while the peer is silent, with a stack of 2 KiB if nothing else has grown it: a
// server of thousands of players should call ServeConn first on a new goroutine, and do its own work before and after
// on others. If nc is an Awaiter, the goroutine of a player whose session is detached is not needed at all: ServeConn
// returns ErrParked, and the session goes on by itself.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) error {
	return s.NewSession(ctx, nc).Serve()
}

// NewSession returns the session of a connection for callers that want to be able to
// Close it from the start: ServeConn is NewSession and Serve. A context that never ends
// costs a session less than one that does.
func (s *Server) NewSession(ctx context.Context, nc net.Conn) *ServerSession {
	session := &ServerSession{srv: s, parent: ctx}
	if s.TLSConfig != nil {
		nc = tls.Server(nc, s.TLSConfig)
	}
	session.conn.nc = nc // from now on Close may come from anywhere
	if ctx.Done() != nil {
		ctx = context.WithoutCancel(ctx)
	}
	session.ctx, session.cancel = context.WithCancelCause(ctx)
	return session
}

// Serve is ServeConn of the session's connection. It is called once.
func (s *ServerSession) Serve() error {
	// Handlers and the reading of commands need a deep stack, and a stack that has grown
	// hardly shrinks. They run on a goroutine of their own, which ends when the peer is
	// silent; this one, small, waits for the next byte.
	s.work.Go(s.begin)
	for s.work.Wait(); s.resting; s.work.Wait() {
		if s.park() {
			return ErrParked
		}
		_, _ = s.conn.buf.peek(1) // the next read returns an error again
		s.work.Go(s.wake)
	}
	return s.cause
}

// Awaiter is a net.Conn that can wait for its peer without a goroutine. Await calls
// ready once, on a goroutine of its own, when reading will not block: there are bytes, or
// the connection has ended, was closed, or was given a read deadline that has passed. It
// reports false, and calls nothing, if it cannot.
type Awaiter interface {
	Await(ready func()) bool
}

// park lets the connection wait without this goroutine, if it can and the caller need not learn of
// the session's end. After it has returned true another goroutine may run the session.
func (s *ServerSession) park() bool {
	if !s.conn.detached.Load() {
		return false
	}
	w, ok := s.conn.nc.(Awaiter)
	s.conn.buf.pause() // it keeps no buffer meanwhile
	return ok && w.Await(s.unpark)
}

// unpark goes on with a parked session.
func (s *ServerSession) unpark() {
	for s.wake(); s.resting && !s.park(); s.wake() {
		_, _ = s.conn.buf.peek(1)
	}
}

// setUp prepares the session and its connection.
func (s *ServerSession) setUp() {
	raw := s.conn.nc
	if tc, ok := raw.(*tls.Conn); ok && s.srv.TLSConfig != nil {
		raw = tc.NetConn()
	}
	if tc, ok := raw.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		_ = tc.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 4})
	}
	limits := s.srv.Limits.withDefaults()
	s.limits = &limits
	s.id, s.start = rand.Text()[:16], time.Now()
	s.conn.init(commandBuffer)
	s.conn.writeTimeout = min(s.srv.writeTimeout(), s.conn.writeTimeout)
	s.conn.onNote = s.note
}

// keepAlive is the interval of TCP's probes.
const keepAlive = 15 * time.Second

// handshakeTLS completes the handshake of TLS, if the connection is one.
func (s *Server) handshakeTLS(ctx context.Context, nc net.Conn, timeout time.Duration) error {
	tc, ok := nc.(interface {
		HandshakeContext(ctx context.Context) error
	})
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return tc.HandshakeContext(ctx)
}

// observe calls Observe, if it is set.
func (s *Server) observe(e Event) {
	if s.Observe != nil {
		s.Observe(e)
	}
}

// timeout is d or the default.
func (s *Server) timeout(d time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return 10 * time.Second
}

// idleTimeout is IdleTimeout or the default.
func (s *Server) idleTimeout() time.Duration {
	if s.IdleTimeout > 0 {
		return s.IdleTimeout
	}
	return 30 * time.Second
}

// chunkSize is ChunkSize or the default, within what can be announced.
func (s *Server) chunkSize() int {
	if s.ChunkSize <= 0 {
		return defaultChunkSize
	}
	return min(s.ChunkSize, 0xffffff)
}

// writeTimeout is WriteTimeout or the default.
func (s *Server) writeTimeout() time.Duration {
	if s.WriteTimeout > 0 {
		return s.WriteTimeout
	}
	return 30 * time.Second
}

// capsFor is what is announced to a peer. Clients of the first edition of Enhanced RTMP
// look for their own list.
func (s *Server) capsFor(peer *Caps) *Caps {
	if s.Caps != nil {
		return s.Caps
	}
	forward := []FourCCEntry{{FourCC: "*", Info: CanForward}}
	return &Caps{
		FourCCs: peer.FourCCs, Video: forward, Audio: forward,
		CapsEx: CapReconnect | CapMultitrack | CapModEx | CapTimestampNanoOffset,
	}
}
