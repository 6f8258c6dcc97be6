package rtmp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Acknowledgement windows that both sides announce or assume (RTMP 1.0 §5.4.3-5.4.5).
const (
	windowSize   = 2_500_000
	minWindow    = 1024
	stormWindow  = 64 << 10 // in place of a window below minWindow
	maxBufferMS  = 60_000
	controlRate  = 200 // messages a second
	controlBurst = 800
	maxUnknown   = 1000
)

// defaultChunkSize is the chunk size announced to the peer.
const defaultChunkSize = 65536

// Conn is one RTMP connection after the handshake. ReadMessage is for one goroutine;
// writing is for any number.
type Conn struct {
	nc    net.Conn
	quick quickAck

	// For the reading goroutine only.
	buf      readBuffer
	chunks   *chunkReader
	parts    []Message     // the rest of an aggregate
	idle     time.Duration // silence after which the peer is pinged; 0: never
	pinged   bool
	budget   uint64 // bytes that may be received in all; 0: no bound
	acked    uint64 // bytes received when the last acknowledgement was sent
	ackEvery uint64
	control  bucket
	unknown  int
	replied  bool   // one window answered to Set Peer Bandwidth
	bufferMS uint32 // the player's buffer, as it says
	notes    noteSet
	// onNote is told of a peculiarity of the peer the first time it is seen.
	onNote func(detail string)
	// onUserControl is told of user control events that carry a message stream id.
	onUserControl func(event uint16, streamID uint32)

	ended    atomic.Bool // interrupt was called
	detached atomic.Bool // the caller of detach sends
	bytesIn  atomic.Uint64
	bytesOut atomic.Uint64
	lastIn   atomic.Int64 // Unix time in nanoseconds
	lastOut  atomic.Int64
	ignored  atomic.Uint64 // messages that mean nothing here

	wmu          sync.Mutex // guards below and orders writes
	chunkSize    int        // of what is written
	writeTimeout time.Duration
	werr         error // the first error of a write; nothing is written after it
	send         func([]byte) error
}

// init prepares a Conn whose network connection is set. Nothing has been read or written yet. Others
// may interrupt it meanwhile.
func (c *Conn) init(bufferSize int) {
	c.quick = newQuickAck(c.nc)
	c.ackEvery = windowSize / 2
	c.chunkSize = 128
	c.writeTimeout = 10 * time.Second
	c.buf.init((*source)(c), bufferSize)
	c.chunks = newChunkReader(&c.buf, readLimits{})
}

// ServerConn performs the server's side of the handshake on nc and returns the
// connection, for programs that want to handle commands themselves. The caller sets the deadline of reading.
func ServerConn(nc net.Conn) (*Conn, error) {
	c := &Conn{nc: nc}
	c.init(publishBuffer)
	if err := acceptHandshake(&c.buf, c.handshakeWriter(), func() {}); err != nil {
		return nil, &HandshakeError{Err: err}
	}
	return c, nil
}

// ClientConn performs the client's side of the handshake on nc, with digests if complex
// is set, and returns the connection.
func ClientConn(nc net.Conn, complex bool) (*Conn, error) {
	c := &Conn{nc: nc}
	c.init(publishBuffer)
	if err := dialHandshake(&c.buf, c.handshakeWriter(), complex); err != nil {
		return nil, &HandshakeError{Err: err}
	}
	return c, nil
}

// handshakeWriter writes what precedes messages.
func (c *Conn) handshakeWriter() io.Writer { return handshakeWriter{c} }

type handshakeWriter struct{ c *Conn }

// Write implements io.Writer.
func (w handshakeWriter) Write(b []byte) (int, error) {
	if err := w.c.writeEncoded(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// source is the io.Reader of a Conn's read buffer.
type source Conn

// Read reads from the network. It is where deadlines, liveness, the byte budget and
// acknowledgements live: a message may take long to arrive, and none of them waits for
// its end.
func (s *source) Read(p []byte) (int, error) {
	c := (*Conn)(s)
	for {
		n, err := c.nc.Read(p)
		if n > 0 {
			return n, c.received(n)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || !c.waitOn() {
			return 0, err
		}
	}
}

// received accounts for n bytes.
func (c *Conn) received(n int) error {
	total := c.bytesIn.Add(uint64(n))
	c.lastIn.Store(time.Now().UnixNano())
	c.pinged = false
	if c.budget != 0 && total > c.budget {
		return &LimitError{What: "bytes before publish or play"}
	}
	if total-c.acked >= c.ackEvery {
		c.acked = total
		return c.sendControl(appendAck(nil, uint32(total)))
	}
	return nil
}

// waitOn decides after a read deadline whether to go on reading: only if silence is
// allowed, and the peer was not silent for twice as long; it is pinged in between.
func (c *Conn) waitOn() bool {
	if c.idle == 0 || c.ended.Load() {
		return false
	}
	silent := time.Since(time.Unix(0, c.lastIn.Load()))
	switch {
	case silent < c.idle:
		c.arm(time.Now().Add(c.idle - silent))
		return true
	case c.pinged:
		return false
	}
	c.pinged = true
	c.arm(time.Now().Add(c.idle))
	ms := uint32(time.Now().UnixMilli())
	return c.sendControl(appendPingRequest(nil, ms)) == nil
}

// setStage sets the absolute deadline of what the peer has to do next; zero is none.
func (c *Conn) setStage(t time.Time) {
	c.idle = 0
	c.arm(t)
}

// setIdle replaces the deadline by a check of liveness: after d without a byte the peer is pinged,
// and after as long again reading fails.
func (c *Conn) setIdle(d time.Duration) {
	c.idle, c.pinged = d, false
	if d == 0 {
		c.arm(time.Time{})
		return
	}
	c.lastIn.Store(time.Now().UnixNano())
	c.arm(time.Now().Add(d))
}

// arm sets the read deadline, unless interrupt has.
func (c *Conn) arm(t time.Time) {
	_ = c.nc.SetReadDeadline(t)
	if c.ended.Load() {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// empty reports whether nothing is buffered.
func (c *Conn) empty() bool {
	return len(c.parts) == 0 && c.buf.r == c.buf.w
}

// interrupt makes reading fail from now on and lets a write last no longer than the
// linger time. It may be called by any goroutine.
func (c *Conn) interrupt() {
	c.ended.Store(true)
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	if !c.detached.Load() {
		_ = c.nc.SetWriteDeadline(time.Now().Add(lingerTime))
	}
}

// ReadMessage returns the next audio, video, data or command message in arrival
// order. Messages about the connection itself are handled and not returned: chunk sizes, acknowledgements, windows,
// pings. The messages of an aggregate are returned one by one. Shared objects and unknown types are skipped, the
// latter up to a bound. After an error the connection cannot be read any more.
func (c *Conn) ReadMessage() (Message, error) {
	for {
		if m, ok, err := c.receive(); ok || err != nil {
			return m, err
		}
	}
}

// receive is one step of ReadMessage: ok is false if what came was not for the caller.
func (c *Conn) receive() (m Message, ok bool, err error) {
	if len(c.parts) > 0 {
		m = c.parts[0]
		if c.parts = c.parts[1:]; len(c.parts) == 0 {
			c.parts = nil
		}
		return m, true, nil
	}
	m, err = c.chunks.readMessage()
	if c.chunks.notes != c.notes {
		c.report()
	}
	if err != nil {
		return Message{}, false, err
	}
	switch m.Type {
	case TypeAudio, TypeVideo, TypeData, TypeDataAMF3, TypeCommand, TypeCommandAMF3:
		return m, true, nil
	case TypeAggregate:
		if c.parts, err = splitAggregate(&m); err != nil {
			c.ignored.Add(1)
		}
	case TypeSharedObject, TypeSharedObjectAMF3:
		c.ignored.Add(1)
	default:
		return Message{}, false, c.readControl(&m)
	}
	return Message{}, false, nil
}

// readControl acts on a protocol control or user control message.
func (c *Conn) readControl(m *Message) error {
	if !c.control.take(controlRate, controlBurst) {
		return &LimitError{What: "control messages"}
	}
	switch m.Type {
	case TypeSetChunkSize, TypeAbort: // the chunk reader has handled them
	case TypeAck: // the socket gives back-pressure
	case TypeWindowAckSize:
		if size, ok := parseWindowAckSize(m.Payload); ok {
			c.setWindow(size)
		}
	case TypeSetPeerBandwidth:
		size, limit, ok := parsePeerBandwidth(m.Payload)
		if ok && limit <= 2 && size != windowSize && !c.replied {
			c.replied = true
			return c.sendControl(appendWindowAckSize(nil, windowSize))
		}
	case TypeUserControl:
		return c.readUserControl(m.Payload)
	default:
		c.ignored.Add(1)
		if c.unknown++; c.unknown > maxUnknown {
			return &LimitError{What: "messages of unknown type"}
		}
	}
	return nil
}

// setWindow takes the peer's window: it is acknowledged at half of it, as some peers
// stop sending when the whole is outstanding.
func (c *Conn) setWindow(size uint32) {
	switch {
	case size == 0:
		return
	case size < minWindow:
		size = stormWindow
	}
	c.ackEvery = uint64(size / 2)
}

// readUserControl acts on a user control event (RTMP 1.0 §6.2); what is too short for
// its event is ignored.
func (c *Conn) readUserControl(body []byte) error {
	event, data, ok := parseUserControl(body)
	if !ok || len(data) < 4 {
		return nil
	}
	value := be32(data)
	switch event {
	case eventPingRequest:
		return c.sendControl(appendPingResponse(nil, value))
	case eventSetBufferLength:
		if len(data) >= 8 {
			c.bufferMS = min(be32(data[4:]), maxBufferMS)
		}
	case eventStreamBegin, eventStreamEOF, eventStreamDry, eventStreamIsRecorded:
		if c.onUserControl != nil {
			c.onUserControl(event, value)
		}
	}
	return nil
}

// report tells of the notes that the chunk reader has made since the last time.
func (c *Conn) report() {
	fresh := c.chunks.notes &^ c.notes
	c.notes = c.chunks.notes
	if c.onNote == nil {
		return
	}
	for _, detail := range fresh.details() {
		c.onNote(detail)
	}
}

// sendControl writes a control message on behalf of reading. A peer that has closed its receiving
// side may still send: only a write that timed out is an error.
func (c *Conn) sendControl(encoded []byte) error {
	err := c.writeEncoded(encoded)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// encodeBuffers are the buffers in which messages are encoded. Not kept in the Conn:
// few of many connections write at a time.
var encodeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// maxPooled is the capacity above which an encoding buffer is left to the collector.
const maxPooled = 1 << 20

// WriteMessage writes m in one piece, with one write to the network. The payload is
// not kept. A Set Chunk Size takes effect behind itself.
func (c *Conn) WriteMessage(m *Message) error { return c.WriteMessages(m) }

// WriteMessages writes messages with one write to the network.
func (c *Conn) WriteMessages(ms ...*Message) error {
	c.wmu.Lock()
	if send := c.send; send != nil {
		b := c.encodeLocked(nil, ms)
		c.wmu.Unlock() // send is foreign code: it runs outside the lock
		return send(b)
	}
	defer c.wmu.Unlock()
	bp := encodeBuffers.Get().(*[]byte)
	b := c.encodeLocked((*bp)[:0], ms)
	err := c.flushLocked(b)
	if cap(b) <= maxPooled {
		*bp = b
		encodeBuffers.Put(bp)
	}
	return err
}

// encodeLocked appends the messages as they go to the wire.
func (c *Conn) encodeLocked(b []byte, ms []*Message) []byte {
	for _, m := range ms {
		b = AppendMessage(b, m, c.chunkSize)
		if m.Type == TypeSetChunkSize && len(m.Payload) >= 4 {
			c.chunkSize = int(be32(m.Payload))
		}
	}
	return b
}

// writeEncoded writes bytes as they are; they belong to the connection.
func (c *Conn) writeEncoded(b []byte) error {
	c.wmu.Lock()
	if send := c.send; send != nil {
		c.wmu.Unlock()
		return send(b)
	}
	defer c.wmu.Unlock()
	return c.flushLocked(b)
}

// flushLocked writes b to the network.
func (c *Conn) flushLocked(b []byte) error {
	if c.werr != nil {
		return c.werr
	}
	now := time.Now()
	_ = c.nc.SetWriteDeadline(now.Add(c.writeTimeout))
	if c.ended.Load() {
		_ = c.nc.SetWriteDeadline(now.Add(lingerTime)) // no long wait for a slow peer any more
	}
	n, err := c.nc.Write(b)
	c.quick.again()
	c.bytesOut.Add(uint64(n))
	c.lastOut.Store(now.UnixNano())
	if err != nil {
		c.werr = fmt.Errorf("writing: %w", err)
	}
	return c.werr
}

// setWriteTimeout sets how long a write may take.
func (c *Conn) setWriteTimeout(d time.Duration) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.writeTimeout = d
}

// hurry makes writing, also one under way, last no longer than the linger time.
func (c *Conn) hurry() {
	_ = c.nc.SetWriteDeadline(time.Now().Add(lingerTime))
	c.setWriteTimeout(lingerTime)
}

// detach makes send the way out of everything written from now on. When it returns, no
// write of ours to the network is under way.
func (c *Conn) detach(send func([]byte) error) (chunkSize int) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.send = send
	c.detached.Store(true)
	return c.chunkSize
}

// be32 reads a big-endian number; b has 4 bytes at least.
func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
