package rtmp

import (
	"math/rand/v2"
	"testing"
)

// timeCases covers the timestamps of areas B and L of the catalogue.
func timeCases() []chunkCase {
	p8, p300 := pattern(8), pattern(300)
	build := func() *chunks { return new(chunks) }
	// ext writes a message of 300 bytes with an extended timestamp; on is what stands at the
	// head of its continuations.
	ext := func(c *chunks, ts uint32, on ...uint32) *chunks {
		c.fmt0(6, extendedMark, 300, TypeVideo, 1).u32(ts).raw(p300[:128])
		for _, part := range [][]byte{p300[128:256], p300[256:]} {
			c.fmt3(6)
			for _, v := range on {
				c.u32(v)
			}
			c.raw(part)
		}
		return c
	}
	const big = 1 << 24
	// lookalike is a payload whose second chunk begins with the extended timestamp.
	lookalike := pattern(300)
	copy(lookalike[128:], []byte{1, 0, 0, 0})
	// tail is a payload of which 2 bytes are left for the last chunk, of n bytes that
	// look like the beginning of the timestamp.
	tail := pattern(130)
	tail[128], tail[129] = 1, 0
	return []chunkCase{
		{
			name: "C-042 fmt 3 after fmt 0 repeats the timestamp as delta", in: build().fmt0(4, 26, 8, TypeAudio, 1).raw(p8).fmt3(4).raw(p8).fmt3(4).raw(p8).b,
			want: []Message{audio(4, 26, p8), audio(4, 52, p8), audio(4, 78, p8)},
		},
		{
			name: "C-043 fmt 3 after a large fmt 0", in: build().fmt0(4, 3_600_000, 8, TypeAudio, 1).raw(p8).fmt3(4).raw(p8).fmt3(4).raw(p8).b,
			want: []Message{audio(4, 3_600_000, p8), audio(4, 3_600_000, p8), audio(4, 3_600_000, p8)}, notes: noteNoDoubling,
		},
		{
			name: "C-044 deltas", in: build().fmt0(4, 0, 8, TypeAudio, 1).raw(p8).fmt1(4, 40, 8, TypeAudio).raw(p8).fmt2(4, 40).raw(p8).fmt3(4).raw(p8).fmt3(4).raw(p8).b,
			want: []Message{audio(4, 0, p8), audio(4, 40, p8), audio(4, 80, p8), audio(4, 120, p8), audio(4, 160, p8)},
		},
		{name: "C-045 extended timestamp repeated", in: ext(build(), big, big).b, want: []Message{video(6, big, p300)}},
		{name: "C-045 repeated in 31 bits", in: ext(build(), 1<<31|big, big).b, want: []Message{video(6, 1<<31|big, p300)}},
		{
			name: "C-045 absolute time repeated after a delta", in: build().fmt0(6, 1000, 8, TypeVideo, 1).raw(p8).
				fmt1(6, extendedMark, 300, TypeVideo).u32(big).raw(p300[:128]).fmt3(6).u32(big + 1000).raw(p300[128:256]).fmt3(6).u32(big + 1000).raw(p300[256:]).b,
			want: []Message{video(6, 1000, p8), video(6, big+1000, p300)},
		},
		{
			name: "C-046 extended timestamp not repeated", in: ext(ext(build(), big), big).b,
			want: []Message{video(6, big, p300), video(6, big, p300)}, notes: noteOmitsExt,
		},
		{
			name: "C-046 not repeated and few bytes left", in: build().fmt0(6, extendedMark, 130, TypeVideo, 1).u32(big).raw(p300[:128]).fmt3(6).raw(p300[128:130]).fmt0(4, 1, 8, TypeAudio, 1).raw(p8).b,
			want: []Message{video(6, big, p300[:130]), audio(4, 1, p8)}, notes: noteOmitsExt,
		},
		{
			name: "C-046 not repeated, few bytes left, and they look like it", in: build().fmt0(6, extendedMark, 130, TypeVideo, 1).u32(big).raw(tail[:128]).fmt3(6).raw(tail[128:]).fmt0(4, 1, 8, TypeAudio, 1).raw(p8).b,
			want: []Message{video(6, big, tail), audio(4, 1, p8)}, notes: noteOmitsExt,
		},
		{
			name: "C-046 not repeated, looks like it, and nothing follows", in: build().fmt0(6, extendedMark, 130, TypeVideo, 1).u32(big).raw(tail[:128]).fmt3(6).raw(tail[128:]).b,
			want: []Message{video(6, big, tail)},
		},
		{
			name: "C-047 payload like the timestamp, after the peer is known to omit it", in: ext(build(), big).
				fmt0(6, extendedMark, 300, TypeVideo, 1).u32(big).raw(lookalike[:128]).fmt3(6).raw(lookalike[128:256]).fmt3(6).raw(lookalike[256:]).b,
			want: []Message{video(6, big, p300), video(6, big, lookalike)}, notes: noteOmitsExt,
		},
		{
			name: "C-048 a wrong value repeated", in: ext(build(), big, 0).b,
			// Taken as absent, four bytes too many are payload, and the next header is read
			// from within the payload: that ends the connection.
			err: ErrChunkHeader, notes: noteOmitsExt,
		},
		{
			name: "C-049 extended delta", in: build().fmt0(6, 11000, 8, TypeVideo, 1).raw(p8).fmt1(6, extendedMark, 8, TypeVideo).u32(16776216).raw(p8).b,
			want: []Message{video(6, 11000, p8), video(6, 16787216, p8)}, notes: noteSmallExt,
		},
		{
			name: "C-049 absolute where a delta is due", in: build().fmt0(6, extendedMark, 8, TypeVideo, 1).u32(big).raw(p8).fmt1(6, extendedMark, 8, TypeVideo).u32(big + 40).raw(p8).fmt3(6).u32(big + 40).raw(p8).b,
			want: []Message{video(6, big, p8), video(6, big+40, p8), video(6, big+80, p8)}, notes: noteAbsoluteDelta,
		},
		{
			name: "C-049 absolute above 2^31", in: build().fmt0(6, extendedMark, 8, TypeVideo, 1).u32(3e9).raw(p8).fmt1(6, extendedMark, 8, TypeVideo).u32(3e9 + 40).raw(p8).b,
			want: []Message{video(6, 3e9, p8), video(6, 3e9+40, p8)}, notes: noteAbsoluteDelta,
		},
		{
			name: "C-050 extended timestamp that needs no extension", in: build().fmt0(6, extendedMark, 8, TypeVideo, 1).u32(0x10).raw(p8).b,
			want: []Message{video(6, 0x10, p8)}, notes: noteSmallExt,
		},
		{
			name: "C-051 the least extended timestamp", in: build().fmt0(6, extendedMark, 8, TypeVideo, 1).u32(extendedMark).raw(p8).b,
			want: []Message{video(6, extendedMark, p8)},
		},
		{
			name: "C-185 the time wraps", in: build().fmt0(6, extendedMark, 8, TypeVideo, 1).u32(0xfffffff0).raw(p8).fmt2(6, 32).raw(p8).b,
			want: []Message{video(6, 0xfffffff0, p8), video(6, 0x10, p8)},
		},
		{
			name: "C-187 the time passes 0xffffff by deltas", in: build().fmt0(6, 0xfffff0, 300, TypeVideo, 1).raw(p300[:128]).fmt3(6).raw(p300[128:256]).fmt3(6).raw(p300[256:]).fmt2(6, 40).raw(p300[:128]).fmt3(6).raw(p300[128:256]).fmt3(6).raw(p300[256:]).b,
			want: []Message{video(6, 0xfffff0, p300), video(6, 0x1000018, p300)},
		},
		{
			name: "C-263 librtmp fmt 3 for the same time", in: build().fmt0(4, 500, 8, TypeAudio, 1).raw(p8).fmt1(4, 0, 8, TypeAudio).raw(p8).fmt3(4).raw(p8).b,
			want: []Message{audio(4, 500, p8), audio(4, 500, p8), audio(4, 500, p8)},
		},
		{
			name: "C-264 libavformat fmt 3 after the first frame", in: build().fmt0(6, 40, 8, TypeVideo, 1).raw(p8).fmt3(6).raw(p8).fmt2(6, 33).raw(p8).fmt3(6).raw(p8).b,
			want: []Message{video(6, 40, p8), video(6, 80, p8), video(6, 113, p8), video(6, 146, p8)},
		},
		{
			name: "C-279 negative delta", in: build().fmt0(6, 1000, 8, TypeVideo, 1).raw(p8).fmt1(6, extendedMark, 8, TypeVideo).u32(0xffffffd8).raw(p8).fmt3(6).u32(0xffffffd8).raw(p8).b,
			want: []Message{video(6, 1000, p8), video(6, 960, p8), video(6, 920, p8)},
		},
		{
			name: "fmt 3 begins a message after an extended timestamp", in: build().fmt0(6, extendedMark, 8, TypeVideo, 1).u32(big).raw(p8).fmt3(6).u32(big).raw(p8).b,
			want: []Message{video(6, big, p8), video(6, big, p8)}, notes: noteNoDoubling,
		},
		{
			name: "fmt 3 begins a message with its own time", in: build().fmt0(6, extendedMark, 300, TypeVideo, 1).u32(big).raw(p300[:128]).fmt3(6).u32(big).raw(p300[128:256]).fmt3(6).u32(big).raw(p300[256:]).
				fmt3(6).u32(big + 33).raw(p300[:128]).fmt3(6).u32(big + 33).raw(p300[128:256]).fmt3(6).u32(big + 33).raw(p300[256:]).b,
			want: []Message{video(6, big, p300), video(6, big+33, p300)}, notes: noteNoDoubling | noteAbsoluteDelta,
		},
		{
			name: "fmt 3 begins a message, the peer omits the extension", in: ext(build(), big).fmt3(6).raw(p300[:128]).fmt3(6).raw(p300[128:256]).fmt3(6).raw(p300[256:]).b,
			want: []Message{video(6, big, p300), video(6, big, p300)}, notes: noteOmitsExt | noteNoDoubling,
		},
		{
			name: "odd continuations among good ones do not latch", in: oddNow(oddNow(build(), p300), p300).b,
			want: []Message{video(6, big, p300[:200]), video(6, big+1, p300[:200]), video(6, big, p300[:200]), video(6, big+1, p300[:200])}, notes: noteOmitsExt,
		},
		{
			name: "C-045 absolute time in 31 bits repeated after a delta", in: build().fmt0(6, extendedMark, 8, TypeVideo, 1).u32(3e9).raw(p8).
				fmt1(6, extendedMark, 200, TypeVideo).u32(big).raw(p300[:128]).fmt3(6).u32((3_000_000_000 + big) &^ (1 << 31)).raw(p300[128:200]).b,
			want: []Message{video(6, 3e9, p8), video(6, 3e9+big, p300[:200])},
		},
		{
			name: "one odd continuation does not latch", in: build().fmt0(6, extendedMark, 200, TypeVideo, 1).u32(big).raw(p300[:128]).fmt3(6).raw(p300[128:200]).
				fmt0(6, extendedMark, 200, TypeVideo, 1).u32(big + 1).raw(p300[:128]).fmt3(6).u32(big + 1).raw(p300[128:200]).b,
			want: []Message{video(6, big, p300[:200]), video(6, big+1, p300[:200])}, notes: noteOmitsExt,
		},
	}
}

// oddNow writes a message whose continuation lacks the extended timestamp and one whose
// continuation has it.
func oddNow(c *chunks, p []byte) *chunks {
	const big = 1 << 24
	return c.fmt0(6, extendedMark, 200, TypeVideo, 1).u32(big).raw(p[:128]).fmt3(6).raw(p[128:200]).
		fmt0(6, extendedMark, 200, TypeVideo, 1).u32(big + 1).raw(p[:128]).fmt3(6).u32(big + 1).raw(p[128:200])
}

// A multiplexer that uses every kind of header where it may, on several chunk streams at
// a time: the reader must give back what went in, each chunk stream's in order.
func TestChunkReader_Interleaved(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		in, want := interleave(rnd)
		w := ways[int(seed)%len(ways)]
		r, got, err := w.read(in)
		if err.Error() != "EOF" {
			t.Fatalf("seed %d, %s: %v", seed, w.name, err)
		}
		sameMessages(t, got, want)
		if t.Failed() {
			t.Fatalf("seed %d, %s, notes %q", seed, w.name, r.notes.details())
		}
	}
}

// sender is one chunk stream of interleave.
type sender struct {
	csid, ts, delta, ext uint32
	hasExt               bool
	last                 Message
	format               byte // of the last header with fields
	left                 []byte
}

// interleave returns a chunk stream of random messages and these in the order of their
// completion.
func interleave(rnd *rand.Rand) (in []byte, want []Message) {
	var c chunks
	size := []uint32{1, 100, 128, 1000, 70_000}[rnd.IntN(5)]
	c.chunkSize(size)
	want = append(want, ctl(TypeSetChunkSize, byte(size>>24), byte(size>>16), byte(size>>8), byte(size)))
	senders := []*sender{{csid: 4}, {csid: 6}, {csid: 70}, {csid: 4000}}
	cut := func(s *sender) {
		n := min(len(s.left), int(size))
		c.raw(s.left[:n])
		if s.left = s.left[n:]; len(s.left) == 0 {
			s.left = nil
			want = append(want, s.last)
		}
	}
	for n := 0; n < 60; {
		s := senders[rnd.IntN(len(senders))]
		if s.left != nil {
			c.fmt3(s.csid)
			if s.hasExt {
				c.u32(s.ext)
			}
			cut(s)
			continue
		}
		n++
		s.begin(&c, rnd)
		cut(s)
	}
	for _, s := range senders {
		for s.left != nil {
			c.fmt3(s.csid)
			if s.hasExt {
				c.u32(s.ext)
			}
			cut(s)
		}
	}
	return c.b, want
}

// begin writes the header of a new message.
func (s *sender) begin(c *chunks, rnd *rand.Rand) {
	m := Message{Type: TypeAudio + MessageType(rnd.IntN(2)), StreamID: 1 + uint32(rnd.IntN(2)), ChunkStreamID: s.csid, Payload: pattern(1 + rnd.IntN(500))}
	format := byte(rnd.IntN(4))
	if s.last.Type == 0 {
		format = 0
	}
	if format > 0 {
		m.StreamID = s.last.StreamID
	}
	if format > 1 {
		m.Type, m.Payload = s.last.Type, pattern(len(s.last.Payload))
	}
	if format == 3 && s.format == 0 && s.ts > doublingLimit {
		format = 2
	}
	value := s.delta
	switch {
	case format == 0:
		value = []uint32{rnd.Uint32N(10_000), rnd.Uint32N(extendedMark), extendedMark, rnd.Uint32()}[rnd.IntN(4)]
		s.ts, s.delta = value, value
	case format < 3:
		value = []uint32{0, 23, rnd.Uint32N(1000), extendedMark - 1, extendedMark + 60_000}[rnd.IntN(5)]
		if value >= extendedMark && near(value, s.ts, absoluteLeeway) {
			value = 40
		}
		s.ts, s.delta = s.ts+value, value
	default:
		s.ts += s.delta
	}
	field := int(min(value, extendedMark))
	switch format {
	case 0:
		c.fmt0(s.csid, field, len(m.Payload), m.Type, m.StreamID)
	case 1:
		c.fmt1(s.csid, field, len(m.Payload), m.Type)
	case 2:
		c.fmt2(s.csid, field)
	default:
		c.fmt3(s.csid)
	}
	if format < 3 {
		s.format, s.hasExt, s.ext = format, field == extendedMark, value
	}
	if s.hasExt {
		c.u32(s.ext)
	}
	m.Timestamp = s.ts
	s.last, s.left = m, m.Payload
}
