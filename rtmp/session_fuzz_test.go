package rtmp

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// memoryConn is a connection whose peer has said all that it will ever say. Time does
// not pass in it.
type memoryConn struct {
	in      bytes.Reader
	written int
	closed  atomic.Bool
}

func (c *memoryConn) Read(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	return c.in.Read(p)
}

func (c *memoryConn) Write(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	c.written += len(p)
	return len(p), nil
}

func (c *memoryConn) Close() error                     { c.closed.Store(true); return nil }
func (c *memoryConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

// countingHandler checks what every handler may rely on.
type countingHandler struct {
	t         testing.TB
	open      int
	messages  int
	bytes     int
	connected bool
}

func (h *countingHandler) Connect(_ context.Context, s *ServerSession, r *ConnectRequest) error {
	if h.connected || r.App != "" && checkPath(r.App) != nil {
		h.t.Fatalf("connect to %q, twice: %v", r.App, h.connected)
	}
	h.connected = true
	_ = s.Properties()
	return nil
}

func (h *countingHandler) check(u *StreamURL) {
	if checkPath(u.Path) != nil || !h.connected {
		h.t.Fatalf("path %q", u.Path)
	}
	if h.open++; h.open > 16 {
		h.t.Fatalf("%d streams", h.open)
	}
}

func (h *countingHandler) Publish(_ context.Context, _ *ServerSession, r *PublishRequest) (Publication, error) {
	if strings.HasSuffix(r.Path, "denied") {
		return nil, &StatusError{Code: CodePublishDenied}
	}
	h.check(&r.StreamURL)
	return &countingStream{h: h, id: r.StreamID}, nil
}

func (h *countingHandler) Play(_ context.Context, _ *ServerSession, r *PlayRequest) (Playback, error) {
	if strings.HasSuffix(r.Path, "denied") {
		return nil, io.ErrUnexpectedEOF
	}
	h.check(&r.StreamURL)
	return &countingStream{h: h, id: r.StreamID}, nil
}

type countingStream struct {
	h      *countingHandler
	id     uint32
	closed bool
}

func (s *countingStream) Message(m *Message) error {
	if s.closed || m.StreamID != s.id || m.Type == TypeDataAMF3 {
		s.h.t.Fatalf("%+v", m)
	}
	s.h.messages++
	s.h.bytes += len(m.Payload)
	return nil
}

func (s *countingStream) Start(w *PlayWriter) {
	_ = w.WriteMessage(&Message{Type: TypeVideo, Payload: []byte("v")})
}
func (s *countingStream) Pause(bool)        {}
func (s *countingStream) ReceiveAudio(bool) {}
func (s *countingStream) ReceiveVideo(bool) {}
func (s *countingStream) Close(cause error) {
	if s.closed || cause == nil {
		s.h.t.Fatalf("closed twice, or without cause: %v", cause)
	}
	s.closed = true
	s.h.open--
}

// wholeHello is a client's whole handshake.
var wholeHello = append([]byte{3}, make([]byte, 2*1536)...)

// hostile runs a session against input and checks what must hold for any.
func hostile(t testing.TB, input []byte) (h *countingHandler, allocated uint64, err error) {
	h = &countingHandler{t: t}
	nc := &memoryConn{}
	nc.in.Reset(input)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err = (&Server{Handler: h}).ServeConn(context.Background(), nc)
	runtime.ReadMemStats(&after)
	if err == nil || h.open != 0 || !nc.closed.Load() {
		t.Fatalf("ended with %v, %d streams open, closed %v", err, h.open, nc.closed.Load())
	}
	if h.bytes > len(input) {
		t.Fatalf("%d bytes delivered of %d received", h.bytes, len(input))
	}
	if limit := 64*len(input) + nc.written*4 + 1<<20; nc.written > limit {
		t.Fatalf("%d bytes written for %d received", nc.written, len(input))
	}
	return h, after.TotalAlloc - before.TotalAlloc, err
}

// FuzzSession lets a hostile peer talk to a whole session. A leading byte decides
// whether the handshake is done for it.
func FuzzSession(f *testing.F) {
	setup := blockCN + blockCS
	for _, blocks := range []string{
		"", blockCN, blockCS, blockVK, setup, setup + blockPUB, setup + blockPUB + blockMETA + blockVSH + blockASH + blockVK + blockAR,
		setup + blockPLAY, setup + blockPLAY + blockDEL, setup + blockPUB + blockFCU + blockDEL + blockCS + blockPUB,
		setup + blockPUB + "0200000000000401000000000000000a" + blockVSH, setup + blockPUB + blockPLAY + blockPUB,
		blockPING + "020000000000060400000000000300000000", blockCN + "42000000000006040006" + "00000d0f",
		setup + blockPUB + "06ffffff00000809010000000100000017010000000002656188", setup + blockPUB + "060000000000221601000000" + "0900000100000000000000" + "170000000c",
	} {
		f.Add(true, unhexString(blocks))
	}
	pair := func(values ...any) []byte {
		var b []byte
		for _, v := range values {
			b = append(b, encode(v.(*Message))...)
		}
		return b
	}
	f.Add(true, append(unhexString(setup), pair(
		commandMessage(1, "publish", 0.0, nil, "a?b=1?c", "record"), commandMessage(1, "closeStream", 0.0, nil),
		commandMessage(1, "play2", 0.0, nil, object("streamName", "x")), commandMessage(1, "pause", 0.0, nil, true),
		commandMessage(1, "receiveVideo", 0.0, nil, true), commandMessage(1, "play", 0.0, nil, "denied"),
		commandMessage(1, "publish", 0.0, nil, false), commandMessage(0, "close", 0.0, nil))...))
	f.Add(false, append(bytes.Clone(wholeHello), unhexString(setup+blockPUB+blockVK)...))
	f.Add(false, []byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(false, wholeHello[:1000])
	f.Fuzz(func(t *testing.T, shaken bool, input []byte) {
		if shaken {
			input = append(bytes.Clone(wholeHello), input...)
		}
		if _, allocated, err := hostile(t, input); allocated > 64<<20+64*uint64(len(input)) {
			t.Fatalf("%d bytes allocated for %d received (%v)", allocated, len(input), err)
		}
	})
}

// Lies about lengths cost the peer, not the server.
func TestC059_HostileMemory(t *testing.T) {
	lies := func(csids int, typ byte) []byte {
		var b []byte
		for i := range csids {
			b = append(b, byte(2+i)&0x3f, 0, 0, 0, 0x7f, 0xff, 0xff, typ, 1, 0, 0, 0)
			b = append(b, make([]byte, 128)...)
		}
		return b
	}
	connected := append(bytes.Clone(wholeHello), unhexString(blockCN+blockCS)...)
	for name, input := range map[string][]byte{
		"before connect":  append(bytes.Clone(wholeHello), lies(62, 9)...),
		"before publish":  append(bytes.Clone(connected), lies(62, 9)...),
		"half handshake":  wholeHello[:1000],
		"commands":        append(bytes.Clone(connected), lies(62, 20)...),
		"nested objects":  append(bytes.Clone(connected), encode(&Message{Type: TypeCommand, Payload: bytes.Repeat([]byte{3, 0, 1, 'a'}, 16_000)})...),
		"huge arrays":     append(bytes.Clone(connected), encode(&Message{Type: TypeCommand, Payload: unhexString("02000178003ff00000000000000affffffff")})...),
		"many queries":    append(bytes.Clone(connected), encode(commandMessage(1, "publish", 0.0, nil, "a?"+strings.Repeat("&=", 30_000)))...),
		"many properties": append(bytes.Clone(wholeHello), encode(commandMessage(0, "connect", 1.0, object("app", strings.Repeat("a/", 20_000))))...),
	} {
		_, allocated, err := hostile(t, input)
		if limit := uint64(8*len(input) + 512<<10); allocated > limit {
			t.Errorf("%s: %d bytes allocated for %d received (%v)", name, allocated, len(input), err)
		}
	}
	// A publisher may reserve more, within its cap.
	_, allocated, err := hostile(t, append(bytes.Clone(connected), append(unhexString(blockPUB), lies(62, 9)...)...))
	if allocated > 20<<20 {
		t.Errorf("publisher: %d bytes allocated (%v)", allocated, err)
	}
}

// Random bytes behind a handshake, and random bytes behind a connect, end the session within
// bounded memory. FuzzSession goes on from here.
func TestC069_RandomBytes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(69, 1))
	begin := [][]byte{wholeHello, append(append([]byte{}, wholeHello...), unhexString(blockCN+blockCS+blockPUB)...)}
	for i := range 4000 {
		in := append([]byte{}, begin[i%2]...)
		for range rnd.IntN(2000) {
			in = append(in, byte(rnd.Uint32()>>(8*rnd.IntN(4))))
		}
		if _, allocated, err := hostile(t, in); allocated > 4<<20 {
			t.Fatalf("run %d allocated %d bytes: %v", i, allocated, err)
		}
	}
}
