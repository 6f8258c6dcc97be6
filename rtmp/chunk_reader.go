package rtmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Errors of a chunk stream that cannot be read on; each wraps ErrProtocol.
var (
	// ErrMessageTooLong is a message over the bound of its type.
	ErrMessageTooLong = fmt.Errorf("%w: message too large", ErrProtocol)
	// ErrChunkStreams is more chunk streams or partial messages than are allowed.
	ErrChunkStreams = fmt.Errorf("%w: too many chunk streams or partial messages", ErrProtocol)
	// ErrChunkHeader is a chunk header that has no meaning where it stands.
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

const (
	firstAlloc      = 4 << 10 // of a message whose sender has not been admitted
	admittedAlloc   = 1 << 20 // of a publisher's message
	doublingLimit   = 10_000  // ms: past it, fmt 3 after fmt 0 does not repeat the timestamp as delta
	absurdDelta     = 10 * 60 * 1000
	absoluteLeeway  = 60 * 1000
	omitsExtForSure = 2 // observations after which a peer is known to omit it
)

// noteSet is the peculiarities of a peer that were seen.
type noteSet uint16

const (
	noteOmitsExt noteSet = 1 << iota
	noteSmallExt
	noteAbsoluteDelta
	noteNoDoubling
	noteRestarted
	noteContinued
)

var noteTexts = [...]string{
	"no extended timestamp on continuation chunks",
	"extended timestamp below 0xffffff",
	"absolute extended timestamp where a delta is due",
	"fmt 3 after a large absolute timestamp; taken as the same time",
	"new message before the last one on its chunk stream was complete",
	"full header on a continuation chunk",
}

// details returns the texts of the notes in s.
func (s noteSet) details() []string {
	var texts []string
	for i, t := range noteTexts {
		if s&(1<<i) != 0 {
			texts = append(texts, t)
		}
	}
	return texts
}

// chunkStream is the state of one chunk stream (RTMP 1.0 §5.3.1).
type chunkStream struct {
	id        uint32
	msid      uint32
	timestamp uint32 // of the message being read or last read
	delta     uint32 // what a fmt 3 message adds
	ext       uint32 // the extended timestamp as it was sent
	length    int
	got       int
	buf       []byte // of the message being read; nil between messages
	typ       MessageType
	hasExt    bool
	after0    bool // the last full header was fmt 0
	partial   bool
}

// chunkReader puts messages together from chunks.
type chunkReader struct {
	in         *readBuffer
	lim        readLimits
	chunkSize  int
	publishing bool
	streams    []*chunkStream
	last       *chunkStream // most chunks follow one of the same stream
	reserved   int          // bytes of buffers of partial messages
	omitsExt   int          // times that the peer left out a repeated extended timestamp
	notes      noteSet
}

func newChunkReader(b *readBuffer, lim readLimits) *chunkReader {
	return &chunkReader{in: b, lim: lim.withDefaults(), chunkSize: 128}
}

// setPublishing says whether the peer has been admitted as a publisher: its messages
// then get their buffer at once.
func (r *chunkReader) setPublishing(on bool) { r.publishing = on }

// readMessage returns the next complete message of any type. Set Chunk Size and Abort
// have taken effect. The error is io.EOF only between chunks with no message under way.
func (r *chunkReader) readMessage() (Message, error) {
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

// inside makes an end of the input in the middle of a chunk an unexpected one.
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
		for _, cs := range r.streams {
			if cs.partial {
				return nil, inside(err)
			}
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
		cs = &chunkStream{id: csid}
		r.streams = append(r.streams, cs)
	}
	r.last = cs
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

func (r *chunkReader) find(csid uint32) *chunkStream {
	if r.last != nil && r.last.id == csid {
		return r.last
	}
	for _, cs := range r.streams {
		if cs.id == csid {
			return cs
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
		length, typ = int(be24(h[3:])), MessageType(h[6])
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

// advance adds the delta of a fmt 1 or 2 header. Some peers send an absolute time in the
// extended field; one that would jump far ahead but lies near the last time is meant so.
func (r *chunkReader) advance(cs *chunkStream, field uint32) {
	cs.delta = field
	if away := int32(field - cs.timestamp); cs.hasExt && int32(field) > absurdDelta && away > -absoluteLeeway && away < absoluteLeeway {
		r.notes |= noteAbsoluteDelta
		cs.delta, cs.timestamp = uint32(max(away, 0)), field
		return
	}
	cs.timestamp += field
}

// fmt3 reads what a chunk without message header may carry: the repeated extended
// timestamp. It continues the message under way or begins the next one.
func (r *chunkReader) fmt3(cs *chunkStream) error {
	if cs.partial {
		if cs.hasExt && r.omitsExt < omitsExtForSure {
			return r.repeatedExt(cs)
		}
		return nil
	}
	if cs.hasExt && r.omitsExt == 0 {
		if _, err := r.in.peek(4); err != nil {
			return inside(err)
		}
		r.in.discard(4)
	}
	delta := cs.delta
	if cs.after0 && delta > doublingLimit {
		r.notes |= noteNoDoubling
		delta = 0
	}
	cs.timestamp += delta
	return r.begin(cs)
}

// repeatedExt consumes the extended timestamp of a continuation, if there is one: many
// peers leave it out, and then the payload stands in its place. Some repeat the
// message's absolute time where the header carried a delta, some only 31 bits.
func (r *chunkReader) repeatedExt(cs *chunkStream) error {
	var want [4][4]byte
	for i, v := range [4]uint32{cs.ext, cs.timestamp, cs.ext &^ (1 << 31), cs.timestamp &^ (1 << 31)} {
		binary.BigEndian.PutUint32(want[i][:], v)
	}
	for n := 1; n <= 4; n++ {
		b, err := r.in.peek(n)
		if err != nil {
			return inside(err)
		}
		match := false
		for i := range want {
			match = match || string(want[i][:n]) == string(b)
		}
		if !match {
			r.omitsExt++
			r.notes |= noteOmitsExt
			return nil
		}
	}
	r.omitsExt = 0
	r.in.discard(4)
	return nil
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
	if cs.length > limit {
		return r.fail(ErrMessageTooLong, cs.id, "%d bytes of type %d, allowed are %d", cs.length, cs.typ, limit)
	}
	cs.partial, cs.got = true, 0
	if cs.length == 0 {
		return nil
	}
	n := firstAlloc
	if r.publishing {
		n = admittedAlloc
	}
	return r.grow(cs, min(n, cs.length))
}

// grow gives the message a buffer of n bytes.
func (r *chunkReader) grow(cs *chunkStream, n int) error {
	if r.reserved+n > r.lim.partialTotal {
		return r.fail(ErrChunkStreams, cs.id, "partial messages of more than %d bytes", r.lim.partialTotal)
	}
	b := make([]byte, n)
	copy(b, cs.buf[:cs.got])
	r.reserved += n - cap(cs.buf)
	cs.buf = b
	return nil
}

// drop forgets the message under way.
func (r *chunkReader) drop(cs *chunkStream) {
	r.reserved -= cap(cs.buf)
	cs.buf, cs.partial, cs.got = nil, false, 0
}

// readPayload reads one chunk's share of the message.
func (r *chunkReader) readPayload(cs *chunkStream) error {
	for left := min(r.chunkSize, cs.length-cs.got); left > 0; {
		if cs.got == len(cs.buf) {
			if err := r.grow(cs, min(2*len(cs.buf), cs.length)); err != nil {
				return err
			}
		}
		n := min(left, len(cs.buf)-cs.got)
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
	if len(body) < 4 {
		return nil
	}
	n := binary.BigEndian.Uint32(body)
	if n == 0 || n>>31 != 0 {
		return fmt.Errorf("%w %#x", ErrChunkSize, n)
	}
	r.chunkSize = int(min(n, maxMessage))
	return nil
}

// abort acts on Abort (RTMP 1.0 §5.4.2).
func (r *chunkReader) abort(body []byte) {
	if len(body) < 4 {
		return
	}
	if cs := r.find(binary.BigEndian.Uint32(body)); cs != nil && cs.partial {
		r.drop(cs)
	}
}

func be24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
