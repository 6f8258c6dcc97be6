package rtmp

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/amf"
)

// fakeHandler accepts everything and remembers it. Its hooks may refuse.
type fakeHandler struct {
	onConnect func(*ServerSession, *ConnectRequest) error
	onPublish func(*ServerSession, *PublishRequest) error
	onPlay    func(*ServerSession, *PlayRequest) error
	onStart   func(*ServerSession, *fakePlayback, *PlayWriter)
	onMessage func(*Message) error

	mu        sync.Mutex // guards below
	log       []string
	messages  []Message
	sessions  []*ServerSession
	connects  []*ConnectRequest
	publishes []*PublishRequest
	plays     []*PlayRequest
	writers   []*PlayWriter
}

func (h *fakeHandler) say(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *fakeHandler) said() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.log)
}

func (h *fakeHandler) received() []Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.messages)
}

func (h *fakeHandler) session() *ServerSession {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[len(h.sessions)-1]
}

func (h *fakeHandler) Connect(_ context.Context, s *ServerSession, r *ConnectRequest) error {
	h.mu.Lock()
	h.sessions = append(h.sessions, s)
	h.connects = append(h.connects, r)
	h.mu.Unlock()
	h.say("connect %s", r.App)
	if h.onConnect != nil {
		return h.onConnect(s, r)
	}
	return nil
}

func (h *fakeHandler) Publish(_ context.Context, s *ServerSession, r *PublishRequest) (Publication, error) {
	h.mu.Lock()
	h.publishes = append(h.publishes, r)
	h.mu.Unlock()
	h.say("publish %s on %d", r.Path, r.StreamID)
	if h.onPublish != nil {
		if err := h.onPublish(s, r); err != nil {
			return nil, err
		}
	}
	return &fakePublication{h: h, path: r.Path}, nil
}

func (h *fakeHandler) Play(_ context.Context, s *ServerSession, r *PlayRequest) (Playback, error) {
	h.mu.Lock()
	h.plays = append(h.plays, r)
	h.mu.Unlock()
	h.say("play %s on %d", r.Path, r.StreamID)
	if h.onPlay != nil {
		if err := h.onPlay(s, r); err != nil {
			return nil, err
		}
	}
	return &fakePlayback{h: h, s: s, path: r.Path}, nil
}

type fakePublication struct {
	h      *fakeHandler
	path   string
	closed bool
}

func (p *fakePublication) Message(m *Message) error {
	if p.closed {
		panic("message after close")
	}
	p.h.mu.Lock()
	p.h.messages = append(p.h.messages, *m)
	p.h.mu.Unlock()
	if p.h.onMessage != nil {
		return p.h.onMessage(m)
	}
	return nil
}

func (p *fakePublication) Close(cause error) {
	if p.closed {
		panic("closed twice")
	}
	p.closed = true
	p.h.say("unpublish %s: %s", p.path, word(cause))
}

type fakePlayback struct {
	h      *fakeHandler
	s      *ServerSession
	path   string
	closed bool
}

func (p *fakePlayback) Start(w *PlayWriter) {
	p.h.mu.Lock()
	p.h.writers = append(p.h.writers, w)
	p.h.mu.Unlock()
	p.h.say("start %s on %d", p.path, w.StreamID())
	if p.h.onStart != nil {
		p.h.onStart(p.s, p, w)
	}
}

func (p *fakePlayback) Pause(paused bool)    { p.h.say("pause %v", paused) }
func (p *fakePlayback) ReceiveAudio(on bool) { p.h.say("audio %v", on) }
func (p *fakePlayback) ReceiveVideo(on bool) { p.h.say("video %v", on) }

func (p *fakePlayback) Close(cause error) {
	if p.closed {
		panic("closed twice")
	}
	p.closed = true
	p.h.say("stop %s: %s", p.path, word(cause))
}

// word is a short name of a cause.
func word(err error) string {
	for _, w := range []struct {
		err  error
		word string
	}{
		{ErrClosedByPeer, "peer"},
		{ErrServerClosed, "server"},
		{ErrUnpublished, "unpublished"},
		{ErrStopped, "stopped"},
		{ErrReplaced, "replaced"},
		{ErrProtocol, "protocol"},
		{ErrRefused, "refused"},
		{ErrPanic, "panic"},
	} {
		if errors.Is(err, w.err) {
			return w.word
		}
	}
	if t, ok := errors.AsType[*TimeoutError](err); ok {
		return "timeout " + string(t.Stage)
	}
	if _, ok := errors.AsType[*LimitError](err); ok {
		return "limit"
	}
	return fmt.Sprint(err)
}

// peer is a client that is written by hand: it sends hexadecimal building blocks and
// looks at what comes back.
type peer struct {
	t   testing.TB
	nc  net.Conn
	end chan error

	mu   sync.Mutex // guards below
	in   []Message  // all messages from the server, control ones too
	seen int
	wake chan struct{}
	eof  error
}

// The building blocks of the case catalogue.
const (
	blockCN   = "0300000000003a1400000000020007636f6e6e656374003ff00000000000000300036170700200046c6976650005746355726c02000d72746d703a2f2f682f6c697665000009"
	blockCS   = "03000000000019140000000002000c63726561746553747265616d00400000000000000005"
	blockPUB  = "0400000000002114010000000200077075626c6973680040080000000000000502000363616d0200046c697665"
	blockPLAY = "040000000000171401000000020004706c61790040080000000000000502000363616d"
	// User Control: Set Buffer Length of stream 1, 3000 ms.
	blockBufferLength = "0200000000000a0400000000" + "0003" + "00000001" + "00000bb8"
	blockMETA         = "04000000000046120100000002000d40736574446174614672616d6502000a6f6e4d657461446174610800000002000577696474680040300000000000000006686569676874004030000000000000000009"
	blockVSH          = "06000000000016090100000017000000000142c00affe100046742c00a01000268ce"
	blockVK           = "0600000000000b09010000001701000000000000026588"
	blockASH          = "040000000000040801000000af001210"
	blockAR           = "040000000000080801000000af01210049900219"
	blockPING         = "020000000000060400000000000600001234"
	blockFCU          = "0300000000001e140000000002000b4643556e7075626c6973680040140000000000000502000363616d"
	blockDEL          = "03000000000022140000000002000c64656c65746553747265616d00401800000000000005003ff0000000000000"
)

func unhexString(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// serve starts a server for one connection over a pipe and returns its client's end.
func serve(t testing.TB, srv *Server) *peer {
	client, server := net.Pipe()
	return serveConn(t, srv, client, server)
}

func serveConn(t testing.TB, srv *Server, client, server net.Conn) *peer {
	p := &peer{t: t, nc: client, end: make(chan error, 1), wake: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.end <- srv.ServeConn(t.Context(), server)
	}()
	t.Cleanup(func() {
		_ = client.Close()
		<-done
	})
	return p
}

// handshake shakes hands and starts to read.
func (p *peer) handshake() *peer {
	p.t.Helper()
	hello := make([]byte, 1537)
	hello[0] = 3
	for i := range hello[9:] {
		hello[9+i] = byte(i * 7)
	}
	p.write(hello)
	answer := make([]byte, 3073)
	if _, err := io.ReadFull(p.nc, answer); err != nil {
		p.t.Fatalf("reading S0S1S2: %v", err)
	}
	p.write(answer[1:1537])
	return p.listen()
}

// listen starts to read messages.
func (p *peer) listen() *peer {
	buf := new(readBuffer)
	buf.init(p.nc, 4096)
	chunks := newChunkReader(buf, readLimits{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := chunks.readMessage()
			p.mu.Lock()
			if err != nil {
				p.eof = err
			} else {
				p.in = append(p.in, m)
			}
			p.mu.Unlock()
			select {
			case p.wake <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	p.t.Cleanup(func() {
		_ = p.nc.Close()
		<-done
	})
	return p
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	_ = p.nc.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatalf("writing to the server: %v", err)
	}
}

// send sends building blocks in one write.
func (p *peer) send(blocks ...string) *peer {
	p.t.Helper()
	p.write(unhexString(strings.Join(blocks, "")))
	return p
}

// try is send for a server that may have closed already.
func (p *peer) try(b []byte) {
	_ = p.nc.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_, _ = p.nc.Write(b)
}

// background runs f, which the end of the test waits for.
func (p *peer) background(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	p.t.Cleanup(func() {
		_ = p.nc.Close()
		<-done
	})
}

// command sends a command.
func (p *peer) command(streamID uint32, values ...amf.Value) *peer {
	p.t.Helper()
	p.write(encode(commandMessage(streamID, values...)))
	return p
}

// media sends a message.
func (p *peer) media(m Message) *peer {
	p.t.Helper()
	p.write(encode(&m))
	return p
}

func encode(m *Message) []byte { return AppendMessage(nil, m, 128) }

// next returns the next message that match accepts, skipping others; the test fails if
// the connection ends before or it takes too long.
func (p *peer) next(what string, match func(*Message) bool) Message {
	p.t.Helper()
	timeout := time.After(2 * time.Minute) // a fake clock's, in bubbles
	for {
		p.mu.Lock()
		for p.seen < len(p.in) {
			m := p.in[p.seen]
			p.seen++
			if match(&m) {
				p.mu.Unlock()
				return m
			}
		}
		eof := p.eof
		p.mu.Unlock()
		if eof != nil {
			p.t.Fatalf("waiting for %s: %v; received %s", what, eof, p.transcript())
		}
		select {
		case <-p.wake:
		case <-timeout:
			p.t.Fatalf("waiting for %s: nothing; received %s", what, p.transcript())
		}
	}
}

// expect waits for a command by name and returns its values.
func (p *peer) expect(name string) command {
	p.t.Helper()
	var cmd command
	p.next(name, func(m *Message) bool {
		if m.Type != TypeCommand {
			return false
		}
		c, err := parseCommand(m)
		cmd = c
		return err == nil && c.name == name
	})
	return cmd
}

// status waits for onStatus and checks its code and stream.
func (p *peer) status(streamID uint32, code string) *StatusError {
	p.t.Helper()
	var st *StatusError
	m := p.next("status "+code, func(m *Message) bool {
		if m.Type != TypeCommand {
			return false
		}
		c, err := parseCommand(m)
		if err != nil || c.name != "onStatus" {
			return false
		}
		st = parseStatus(c.arg(0))
		return true
	})
	if st.Code != code || m.StreamID != streamID {
		p.t.Fatalf("status %s on %d, want %s on %d", st.Code, m.StreamID, code, streamID)
	}
	return st
}

// closed waits for the end of the session and checks its cause.
func (p *peer) closed(want string) error {
	p.t.Helper()
	select {
	case err := <-p.end:
		if got := word(err); got != want {
			p.t.Fatalf("ended with %q (%v), want %q", got, err, want)
		}
		return err
	case <-time.After(5 * time.Minute): // a fake clock's, in bubbles
		p.t.Fatalf("session does not end, want %q; received %s", want, p.transcript())
		return nil
	}
}

// transcript is what the server has said, one word a message.
func (p *peer) transcript() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var words []string
	for i := range p.in {
		words = append(words, describe(&p.in[i]))
	}
	return strings.Join(words, " ")
}

// describe is a message in a few words: type@stream, for commands the name and what
// decides.
func describe(m *Message) string {
	switch m.Type {
	case TypeCommand:
		c, err := parseCommand(m)
		if err != nil {
			return "bad-command"
		}
		code := parseStatus(c.arg(0)).Code
		if code == "" {
			code = fmt.Sprint(c.arg(0))
		}
		return fmt.Sprintf("%s@%d(%v %s)", c.name, m.StreamID, c.tid, code)
	case TypeUserControl:
		return fmt.Sprintf("control(%x)", m.Payload)
	}
	return fmt.Sprintf("type%d@%d", m.Type, m.StreamID)
}

// waitFor waits until the handler has said something.
func (h *fakeHandler) waitFor(t testing.TB, line string) {
	t.Helper()
	for range 50_000 {
		if slices.Contains(h.said(), line) {
			return
		}
		<-time.After(100 * time.Microsecond)
	}
	t.Fatalf("handler never said %q; said %q", line, h.said())
}

// publishing sets up a publisher of live/cam on stream 1.
func publishing(t testing.TB, srv *Server) *peer {
	t.Helper()
	p := serve(t, srv).handshake().send(blockCN, blockCS, blockPUB)
	p.status(1, CodePublishStart)
	return p
}

// playing sets up a player of live/cam on stream 1.
func playing(t testing.TB, srv *Server) *peer {
	t.Helper()
	p := serve(t, srv).handshake().send(blockCN, blockCS, blockPLAY)
	p.status(1, CodePlayReset)
	p.status(1, CodePlayStart)
	return p
}

var _ = bytes.Equal
