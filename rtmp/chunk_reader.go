package rtmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Errors after which a chunk stream cannot be read any further; each wraps ErrProtocol.
var (
	// ErrMessageTooLong is a message over the bound of its type.
	ErrMessageTooLong = fmt.Errorf("%w: message too large", ErrProtocol)
	// ErrChunkStreams is more chunk streams or partial messages than are allowed.
	ErrChunkStreams = fmt.Errorf("%w: too many chunk streams or partial messages", ErrProtocol)
	// ErrChunkHeader is a chunk header that is not valid at its position.
	ErrChunkHeader = fmt.Errorf("%w: bad chunk header", ErrProtocol)
	// ErrChunkSize is a chunk size of 0 or with the top bit set.
	ErrChunkSize = fmt.Errorf("%w: bad chunk size", ErrProtocol)
)

// readLimits bound what is read. Zero fields take the defaults.
type readLimits struct {
	maxMedia     int // bytes of an audio, video or aggregate message; 8 MiB
	maxCommand   int // of any other; 64 KiB
	maxData      int // of a data message; 1 MiB
	partialTotal int // reserved for messages that are not complete; 16 MiB
	csids        int // chunk streams; 64
}

// withDefaults returns l with the zero fields filled in.
func (l readLimits) withDefaults() readLimits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.maxMedia, 8<<20)
	def(&l.maxCommand, 64<<10)
	def(&l.maxData, 1<<20)
	def(&l.partialTotal, 16<<20)
	def(&l.csids, 64)
	return l
}

// What is reserved for a message when its header has arrived; after that, its buffer
// doubles as bytes arrive. A peer that has not been admitted gets twice what has arrived of the message's first
// chunk, but at least leastAlloc, which is twice the shortest header of a chunk stream's first message: its
// unfinished messages together never reserve more than twice what it has sent.
const (
	leastAlloc    = 16
	admittedAlloc = 1 << 20 // of a publisher's message
)

// chunkStream is the state of one chunk stream (RTMP 1.0 §5.3.1).
type chunkStream struct {
	id        uint32
	msid      uint32
	timestamp uint32 // of the message being read or last read
	delta     uint32 // what a fmt 3 message adds
	ext       uint32 // the extended timestamp as it was sent
	length    uint32
	got       uint32
	buf       []byte // of the message being read; nil between messages
	typ       MessageType
	hasExt    bool
	after0    bool // the last full header was fmt 0
	partial   bool
}

// chunkReader assembles messages from chunks.
type chunkReader struct {
	in         *readBuffer
	lim        readLimits
	chunkSize  int
	publishing bool
	streams    []chunkStream // in one slice: there may be many, and few are in use
	last       int           // index of the one used last: most chunks follow one of the same
	reserved   int           // bytes of buffers of partial messages
	omitsExt   int           // times that the peer left out a repeated extended timestamp
	notes      noteSet
}

// newChunkReader returns a reader of the chunks that follow the handshake in b.
func newChunkReader(b *readBuffer, lim readLimits) *chunkReader {
	return &chunkReader{in: b, lim: lim.withDefaults(), chunkSize: firstChunk}
}

// setPublishing says whether the peer has been admitted as a publisher: its messages
// then get their buffer at once.
func (r *chunkReader) setPublishing(on bool) { r.publishing = on }

// readMessage returns the next complete message of any type. Set Chunk Size and Abort
// have taken effect. The error is io.EOF only between chunks with no message under way.
func (r *chunkReader) readMessage() (Message, error) {
	r.in.pause()
	for {
		cs, err := r.readHeader()
		if err != nil {
			return Message{}, err
		}
		if err := r.readPayload(cs); err != nil {
			return Message{}, err
		}
		if cs.got < cs.length {
			continue
		}
		m := Message{Type: cs.typ, StreamID: cs.msid, Timestamp: cs.timestamp, ChunkStreamID: cs.id, Payload: cs.buf}
		r.reserved -= cap(cs.buf)
		cs.buf, cs.partial, cs.got = nil, false, 0
		switch m.Type {
		case TypeSetChunkSize:
			err = r.setChunkSize(m.Payload)
		case TypeAbort:
			r.abort(m.Payload)
		}
		return m, err
	}
}

// fail describes what is wrong with a chunk of csid.
func (r *chunkReader) fail(err error, csid uint32, format string, args ...any) error {
	return fmt.Errorf("%w: chunk stream %d at byte %d: %s", err, csid, r.in.consumed, fmt.Sprintf(format, args...))
}

// inside makes io.EOF in the middle of a chunk io.ErrUnexpectedEOF.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readHeader reads the headers of the next chunk.
func (r *chunkReader) readHeader() (*chunkStream, error) {
	b, err := r.in.peek(1)
	if err != nil {
		if r.midway() {
			err = inside(err)
		}
		return nil, err
	}
	format, csid, n := b[0]>>6, uint32(b[0]&0x3f), 1
	if csid < 2 {
		n += 1 + int(csid)
		if b, err = r.in.peek(n); err != nil {
			return nil, inside(err)
		}
		if csid = 64 + uint32(b[1]); n == 3 {
			csid += uint32(b[2]) << 8
		}
	}
	cs := r.find(csid)
	if cs == nil {
		if format >= 2 {
			return nil, r.fail(ErrChunkHeader, csid, "the first chunk is fmt %d", format)
		}
		if len(r.streams) >= r.lim.csids {
			return nil, r.fail(ErrChunkStreams, csid, "more than %d", r.lim.csids)
		}
		r.last = len(r.streams)
		r.streams = append(r.streams, chunkStream{id: csid})
		cs = &r.streams[r.last]
	}
	size := [4]int{fullHeader, 7, 3, 0}[format]
	if b, err = r.in.peek(n + size); err != nil {
		return nil, inside(err)
	}
	if format == 3 {
		r.in.discard(n)
		return cs, r.fmt3(cs)
	}
	return cs, r.fullHeader(cs, format, b[n:], n+size)
}

// midway reports whether a message has begun and not ended.
func (r *chunkReader) midway() bool {
	return slices.ContainsFunc(r.streams, func(cs chunkStream) bool { return cs.partial })
}

// find returns the chunk stream csid, nil if it has not been used. The pointer is good
// until another is added.
func (r *chunkReader) find(csid uint32) *chunkStream {
	if r.last < len(r.streams) && r.streams[r.last].id == csid {
		return &r.streams[r.last]
	}
	for i := range r.streams {
		if r.streams[i].id == csid {
			r.last = i
			return &r.streams[i]
		}
	}
	return nil
}

// fullHeader reads a message header of fmt 0, 1 or 2 in h; total is the bytes it takes with
// the basic header.
func (r *chunkReader) fullHeader(cs *chunkStream, format byte, h []byte, total int) error {
	field := be24(h)
	length, typ, msid := cs.length, cs.typ, cs.msid
	if format < 2 {
		length, typ = be24(h[3:]), MessageType(h[6])
	}
	if format == 0 {
		msid = binary.LittleEndian.Uint32(h[7:])
	}
	r.in.discard(total)
	hasExt := field == extendedMark
	if hasExt {
		b, err := r.in.peek(4)
		if err != nil {
			return inside(err)
		}
		if field = binary.BigEndian.Uint32(b); field < extendedMark {
			r.notes |= noteSmallExt
		}
		r.in.discard(4)
	}
	if cs.partial {
		if format != 0 {
			if length != cs.length || typ != cs.typ || field != 0 {
				return r.fail(ErrChunkHeader, cs.id, "fmt %d within a message", format)
			}
			r.notes |= noteContinued
			cs.hasExt = hasExt
			return nil
		}
		r.notes |= noteRestarted
		r.drop(cs)
	}
	cs.hasExt, cs.ext = hasExt, field
	cs.length, cs.typ, cs.msid = length, typ, msid
	if format == 0 {
		cs.timestamp, cs.delta, cs.after0 = field, field, true
	} else {
		cs.after0 = false
		r.advance(cs, field)
	}
	return r.begin(cs)
}

// begin starts a message whose header is complete.
func (r *chunkReader) begin(cs *chunkStream) error {
	limit := r.lim.maxCommand
	switch {
	case cs.typ.isMedia():
		limit = r.lim.maxMedia
	case cs.typ == TypeData || cs.typ == TypeDataAMF3:
		limit = r.lim.maxData
	}
	if int(cs.length) > limit {
		return r.fail(ErrMessageTooLong, cs.id, "%d bytes of type %d, allowed are %d", cs.length, cs.typ, limit)
	}
	cs.partial, cs.got = true, 0
	if cs.length == 0 {
		return nil
	}
	n := admittedAlloc
	if !r.publishing {
		n = max(leastAlloc, 2*min(r.in.w-r.in.r, r.chunkSize))
	}
	return r.grow(cs, n)
}

// grow makes the message's buffer n bytes long, or as long as the message or the bound of
// all partial messages allows.
func (r *chunkReader) grow(cs *chunkStream, n int) error {
	n = min(n, int(cs.length), r.lim.partialTotal-r.reserved+cap(cs.buf))
	if n <= int(cs.got) {
		return r.fail(ErrChunkStreams, cs.id, "partial messages of more than %d bytes", r.lim.partialTotal)
	}
	b := make([]byte, n)
	copy(b, cs.buf[:cs.got])
	r.reserved += n - cap(cs.buf)
	cs.buf = b
	return nil
}

// drop discards the message under way.
func (r *chunkReader) drop(cs *chunkStream) {
	r.reserved -= cap(cs.buf)
	cs.buf, cs.partial, cs.got = nil, false, 0
}

// readPayload reads one chunk's share of the message.
func (r *chunkReader) readPayload(cs *chunkStream) error {
	for left := min(uint32(r.chunkSize), cs.length-cs.got); left > 0; {
		if int(cs.got) == len(cs.buf) {
			if err := r.grow(cs, 2*len(cs.buf)); err != nil {
				return err
			}
		}
		n := min(left, uint32(len(cs.buf))-cs.got)
		if err := r.in.readFull(cs.buf[cs.got : cs.got+n]); err != nil {
			return inside(err)
		}
		cs.got += n
		left -= n
	}
	return nil
}

// setChunkSize acts on Set Chunk Size (RTMP 1.0 §5.4.1). A body that is too short is ignored.
func (r *chunkReader) setChunkSize(body []byte) error {
	n, ok := parseSetChunkSize(body)
	if !ok {
		return nil
	}
	if n == 0 || n>>31 != 0 {
		return fmt.Errorf("%w %#x", ErrChunkSize, n)
	}
	r.chunkSize = int(min(n, MaxMessageSize))
	return nil
}

// abort acts on Abort (RTMP 1.0 §5.4.2).
func (r *chunkReader) abort(body []byte) {
	csid, ok := parseAbort(body)
	if !ok {
		return
	}
	if cs := r.find(csid); cs != nil && cs.partial {
		r.drop(cs)
	}
}

// be24 reads a big-endian number of 24 bits.
func be24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
