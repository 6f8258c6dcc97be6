package rtmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"weir/amf"
)

// Kind says what a session does.
type Kind uint32

// The kinds of session.
const (
	KindPending   Kind = iota // neither publishing nor playing so far
	KindPublisher             // has published last
	KindPlayer                // has played last
)

// String returns "pending", "publish" or "play".
func (k Kind) String() string {
	return [...]string{"pending", "publish", "play"}[min(k, KindPlayer)]
}

// ServerSession is one connection to a Server. Its methods may be called by any
// goroutine.
type ServerSession struct {
	// Data is for the handler; the session does not use it.
	Data any

	srv    *Server
	limits *Limits
	conn   Conn
	id     string
	start  time.Time
	parent context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc

	work    sync.WaitGroup // the goroutine that runs the session
	closing sync.WaitGroup // the goroutine that closes the session at the end of the server
	unwatch func() bool    // stops waiting for it
	resting bool
	cause   error

	// Set by connect, before the handler knows the session.
	rawApp, app     string
	tcURL, rawQuery string
	flash           bool
	caps            Caps
	props           atomic.Pointer[amf.Object]

	kind    atomic.Uint32
	dropped droppedCounters

	// For the reading goroutine only.
	stageName Stage
	connected bool
	farewell  atomic.Bool // the peer should receive what was last written before the end
	streams   []*netStream
	msg       Message // the message at hand; here, so that passing it on costs nothing
	commands  bucket
	data      bucket
	stray     int
	strayLen  int
	noted     map[string]bool // the events that Observe was told of
}

// netStream is one message stream of a session.
type netStream struct {
	id   uint32
	name string // as sent by publish or play
	pub  Publication
	play Playback
}

// active reports whether something is published or played on the stream.
func (st *netStream) active() bool { return st.pub != nil || st.play != nil }

// ID returns the session's id, which is unique and hard to guess.
func (s *ServerSession) ID() string { return s.id }

// RemoteAddr returns the peer's address.
func (s *ServerSession) RemoteAddr() net.Addr { return s.conn.nc.RemoteAddr() }

// LocalAddr returns the address that the peer connected to.
func (s *ServerSession) LocalAddr() net.Addr { return s.conn.nc.LocalAddr() }

// Start returns when the connection was accepted.
func (s *ServerSession) Start() time.Time { return s.start }

// App returns the application of connect, normalised; "" before.
func (s *ServerSession) App() string { return s.app }

// TcURL returns the tcUrl of connect, without authentication parameters.
func (s *ServerSession) TcURL() string { return s.tcURL }

// RawQuery returns the query of connect's application and tcUrl.
func (s *ServerSession) RawQuery() string { return s.rawQuery }

// Properties returns the command object of connect; nil once the session is detached.
func (s *ServerSession) Properties() amf.Object {
	if p := s.props.Load(); p != nil {
		return *p
	}
	return nil
}

// Caps returns what the peer announced of Enhanced RTMP.
func (s *ServerSession) Caps() *Caps { return &s.caps }

// Kind returns whether the session publishes or plays.
func (s *ServerSession) Kind() Kind { return Kind(s.kind.Load()) }

// Close ends the session with a cause, of which the first one counts. It does not wait.
// If the cause is a *StatusError, or wraps one, the peer is told on each active stream
// before the connection is closed.
func (s *ServerSession) Close(cause error) {
	s.cancel(cause)
	s.conn.interrupt()
}

// Detach hands the sending side of the connection to the caller, for good. From then on the session
// passes everything it sends to send, as whole encoded messages that send may keep, in the order of
// each stream; it neither writes to nor closes the connection again. When its reading side ends it
// closes its playbacks, and the caller closes the connection. A playback that is closed with any
// cause but ErrReplaced ends a detached session; after ErrReplaced the next Playback is started
// with the same connection. The chunk size is the one that the caller must write with.
//
// Detach must be called in Playback.Start. From then on the session keeps next to nothing
// while the peer is silent: no read buffer, no Properties, a small stack.
func (s *ServerSession) Detach(send func(encoded []byte) error) (nc net.Conn, chunkSize int) {
	s.props.Store(nil)
	return s.conn.nc, s.conn.detach(send)
}

// RequestReconnect asks the client to connect again, to tcURL if it is not empty
// (Enhanced RTMP v2, "Reconnect Request"). Clients that did not announce CapReconnect
// are not asked; the result says whether the request was sent. The session goes on.
func (s *ServerSession) RequestReconnect(tcURL, description string) bool {
	if s.caps.CapsEx&CapReconnect == 0 {
		return false
	}
	st := &StatusError{Level: LevelStatus, Code: CodeConnectReconnectRequest, Description: description}
	if tcURL != "" {
		st.Properties = amf.Object{{Key: "tcUrl", Value: tcURL}}
	}
	return s.status(0, st) == nil
}

// begin runs the session until it ends or rests.
func (s *ServerSession) begin() {
	s.setUp()
	s.unwatch = func() bool { return true }
	if s.parent.Done() != nil {
		s.closing.Add(1)
		s.unwatch = context.AfterFunc(s.parent, func() {
			defer s.closing.Done()
			s.Close(fmt.Errorf("%w: %w", ErrServerClosed, context.Cause(s.parent)))
		})
	}
	s.live(func() error {
		if err := s.handshake(); err != nil {
			return err
		}
		if s.conn.empty() {
			return errResting
		}
		return s.run()
	})
}

// wake goes on with a session that has rested.
func (s *ServerSession) wake() { s.live(s.run) }

// live runs the session until it rests or ends.
func (s *ServerSession) live(part func() error) {
	s.resting = false
	cause := s.guard(part)
	if s.resting = errors.Is(cause, errResting); !s.resting {
		s.cause = s.finish(cause)
		if !s.unwatch() {
			s.closing.Wait()
		}
	}
}

// guard runs f and turns a panic into an error.
func (s *ServerSession) guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrPanic, r)
			s.srv.observe(Event{Kind: EventPanic, Session: s, Remote: s.RemoteAddr(), Err: err, Stack: debug.Stack()})
		}
	}()
	return f()
}

// errResting says that the session can only wait: nothing is published and nothing was received.
var errResting = errors.New("resting")

// run reads the connection until it ends or the session can only wait.
func (s *ServerSession) run() error {
	for {
		m, ok, err := s.conn.receive()
		if err != nil {
			return endOf(s.ctx, err, s.stageName)
		}
		if s.msg = m; ok {
			err = s.handle()
		}
		if err != nil {
			return err
		}
		s.msg = Message{} // so that the last payload is not kept while waiting
		if s.conn.idle == 0 && s.conn.empty() {
			return errResting
		}
	}
}

// handle acts on the message that was received.
func (s *ServerSession) handle() error {
	switch s.msg.Type {
	case TypeAudio, TypeVideo:
		return s.media(&s.msg)
	case TypeData, TypeDataAMF3:
		return s.dataMessage(&s.msg)
	case TypeCommand, TypeCommandAMF3:
		return s.command(&s.msg)
	}
	return nil
}

// enter sets the deadline of a stage.
func (s *ServerSession) enter(stage Stage, d time.Duration) {
	s.stageName = stage
	s.conn.setStage(time.Now().Add(d))
}

// settle chooses the deadline that fits what the streams do.
func (s *ServerSession) settle() {
	publishing, playing := false, false
	for _, st := range s.streams {
		publishing = publishing || st.pub != nil
		playing = playing || st.play != nil
	}
	s.conn.chunks.setPublishing(publishing)
	switch {
	case publishing:
		s.stageName = StagePublish
		s.conn.setIdle(s.srv.idleTimeout())
	case playing:
		s.stageName = StagePlay
		s.conn.setStage(time.Time{})
	default:
		s.enter(StageIdle, s.srv.idleTimeout())
	}
	switch {
	case publishing:
		s.conn.buf.setSize(publishBuffer)
	case s.conn.detached.Load():
		s.conn.buf.setSize(0)
	default:
		s.conn.buf.setSize(commandBuffer)
	}
}

// The sizes of the read buffer. commandBuffer holds everything that clients send at a time, and
// leaves room for what hostile ones make the chunk reader keep.
const (
	commandBuffer = 3 << 9
	publishBuffer = 32 << 10
)

// exact returns the message stream with an id, or nil.
func (s *ServerSession) exact(id uint32) *netStream {
	for _, st := range s.streams {
		if st.id == id {
			return st
		}
	}
	return nil
}

// stream is exact with tolerance: some encoders use another id than they were given, or the right
// one in the wrong byte order, and then mean the only stream.
func (s *ServerSession) stream(id uint32) *netStream {
	if st := s.exact(id); st != nil {
		return st
	}
	if len(s.streams) != 1 {
		return nil
	}
	s.note(noteStreamID)
	return s.streams[0]
}

// finish ends the session: it tells the peer, if necessary, and closes the streams and, unless it
// is detached, the connection. It returns the cause.
func (s *ServerSession) finish(cause error) error {
	s.Close(cause) // from here on a peer that does not read cannot hold anything up
	cause = context.Cause(s.ctx)
	if st, ok := errors.AsType[*StatusError](cause); ok && !errors.Is(cause, ErrRefused) {
		for _, stream := range s.streams {
			if stream.active() {
				_ = s.status(stream.id, st)
			}
		}
	}
	for _, st := range s.streams {
		_ = s.closeStream(st, cause)
	}
	if s.conn.detached.Load() {
		return cause
	}
	if s.farewell.Load() && !errors.Is(cause, ErrClosedByPeer) {
		linger(s.conn.nc)
	}
	_ = s.conn.nc.Close()
	return cause
}

// closeStream closes what is published and played on a stream. A handler that panics does not keep
// the other streams from being closed.
func (s *ServerSession) closeStream(st *netStream, cause error) error {
	pub, play := st.pub, st.play
	st.pub, st.play = nil, nil
	return s.guard(func() error {
		if pub != nil {
			pub.Close(cause)
		}
		if play != nil {
			play.Close(cause)
		}
		return nil
	})
}

// lingerTime is how long a connection that we close stays open for bytes from the peer.
const lingerTime = 500 * time.Millisecond

// linger closes our side and reads until the peer closes its own, so that what was
// written last reaches it: closing with unread input resets the connection.
func linger(nc net.Conn) {
	if c, ok := nc.(interface{ CloseWrite() error }); ok && c.CloseWrite() != nil {
		return
	}
	_ = nc.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.Copy(io.Discard, nc)
}
