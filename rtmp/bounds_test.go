package rtmp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/amf"
)

// TestAggregatesAtTheBound: 4096 messages are taken apart, whether they are wanted or not, and one more is an error behind the first 4096.
func TestAggregatesAtTheBound(t *testing.T) {
	for _, c := range []struct {
		typ         MessageType
		n, messages int
		says        string
	}{
		{TypeAudio, 4096, 4096, ""},
		{TypeAudio, 4097, 4096, "more than 4096 messages"},
		{TypeCommand, 4096, 0, ""},
		{TypeCommand, 4097, 0, "more than 4096 messages"},
	} {
		got, err := splitAggregate(&Message{Type: TypeAggregate, Payload: bytes.Repeat(tag(c.typ, 0, nil), c.n)})
		if len(got) != c.messages || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d of type %d: %d messages, %v", c.n, c.typ, len(got), err)
		}
	}
}

// TestChunkStreamsAtTheBounds: the last id of each form of a basic header, and the first of the next; what no form can say is chosen by type.
func TestChunkStreamsAtTheBounds(t *testing.T) {
	for csid, want := range map[uint32]string{
		1: "06", 2: "02", 63: "3f", 64: "0000", 319: "00ff", 320: "010001", 65599: "01ffff", 65600: "06",
	} {
		m := Message{Type: TypeVideo, ChunkStreamID: csid}
		b := AppendMessage(nil, &m, 128)
		if got := hex.EncodeToString(b[:len(b)-11]); got != want || len(b) != EncodedSize(0, 0, csid, 128) {
			t.Errorf("chunk stream %d: %s, want %s", csid, got, want)
		}
	}
}

// TestAuthUsersAtTheBound: a user of 48 bytes gets a challenge, and one of 49 is refused.
func TestAuthUsersAtTheBound(t *testing.T) {
	for _, scheme := range []string{AuthAdobe, AuthLLNW} {
		for n, want := range map[int]string{48: "?reason=needauth", 49: "?reason=authfailed"} {
			_, err := verify(newAuth(scheme), "live?authmod="+scheme+"&user="+strings.Repeat("u", n))
			if d := description(t, err); !strings.Contains(d, want) {
				t.Errorf("%s, %d bytes: %s", scheme, n, d)
			}
		}
	}
}

// TestWindowsAtTheBound: a window is acknowledged at half of it; one below 1024 bytes counts as 64 KiB.
func TestWindowsAtTheBound(t *testing.T) {
	for size, want := range map[uint32]uint64{0: 1_250_000, 1: 32768, 1023: 32768, 1024: 512, 1025: 512, 1026: 513, 1<<32 - 1: 1<<31 - 1} {
		c := Conn{ackEvery: 1_250_000}
		if c.setWindow(size); c.ackEvery != want {
			t.Errorf("window %d: acknowledged every %d bytes, want %d", size, c.ackEvery, want)
		}
	}
}

// TestControlMessagesAtTheBound: 800 may come at once and 200 a second after that; with one more the session ends.
func TestControlMessagesAtTheBound(t *testing.T) {
	for _, more := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			c := &Conn{}
			send := func(n int) (err error) {
				for range n {
					if err = c.readControl(&Message{Type: TypeAck}); err != nil {
						break
					}
				}
				return err
			}
			if err := send(800); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			err := send(400 + more)
			if limit, ok := errors.AsType[*LimitError](err); ok != (more == 1) || ok && limit.What != "control messages" {
				t.Errorf("%d more: %v", more, err)
			}
		})
	}
}

// TestMessagesBeforeTheAnswer: a client keeps 256 of them for play, and gives the server up at the next.
func TestMessagesBeforeTheAnswer(t *testing.T) {
	for _, n := range []int{256, 257} {
		c, err := Dial(t.Context(), "rtmp://h/live/cam", scripted(t, func(c *Conn, cmd *command, _ *Message) bool {
			for range n {
				if c.WriteMessage(&Message{Type: TypeVideo, StreamID: 1}) != nil {
					return false
				}
			}
			return c.WriteMessage(resultMessage("_result", cmd.tid, nil, nil)) == nil
		}))
		switch {
		case n == 256 && err != nil:
			t.Errorf("%d messages: %v", n, err)
		case n == 257 && (!errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), "257 messages before the answer")):
			t.Errorf("%d messages: %v", n, err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
}

// TestReadBuffer_EmptyReads: 99 reads in a row may return nothing; after the hundredth the source is given up.
func TestReadBuffer_EmptyReads(t *testing.T) {
	for empty, want := range map[int]error{99: nil, 100: io.ErrNoProgress} {
		reads := 0
		b := new(readBuffer)
		b.init(readFunc(func(p []byte) (int, error) {
			if reads++; reads%(empty+1) != 0 {
				return 0, nil
			}
			return copy(p, "x"), nil
		}), 64)
		for range 2 { // the count begins anew
			if _, err := b.peek(1); err != want {
				t.Fatalf("%d empty reads: %v, want %v", empty, err, want)
			}
			if want != nil {
				break
			}
			b.discard(1)
		}
	}
}

// TestMessagesAtTheBound: a message as long as its type allows is read; of one that is a byte longer no more than the header is.
func TestMessagesAtTheBound(t *testing.T) {
	for typ, most := range map[MessageType]int{
		TypeVideo: 8 << 20, TypeAudio: 8 << 20, TypeAggregate: 8 << 20, TypeData: 1 << 20, TypeDataAMF3: 1 << 20, TypeCommand: 65536, TypeUserControl: 65536,
	} {
		ms, err := drain(reading(bytes.NewReader(AppendMessage(appendSetChunkSize(nil, 1<<24-1), &Message{Type: typ, Payload: make([]byte, most)}, 1<<24-1)), 4096, readLimits{}))
		if err != io.EOF || len(ms) != 2 || len(ms[1].Payload) != most {
			t.Errorf("type %d: %d messages, %v", typ, len(ms), err)
		}
		ms, err = drain(reading(bytes.NewReader(new(chunks).fmt0(6, 0, most+1, typ, 1).b), 4096, readLimits{}))
		if !errors.Is(err, ErrMessageTooLong) || len(ms) != 0 {
			t.Errorf("type %d, a byte more: %d messages, %v", typ, len(ms), err)
		}
	}
}

// TestBytesBeforeConnectAtTheBound: 256 KiB may come before connect, with the handshake; the byte after them ends the session.
func TestBytesBeforeConnectAtTheBound(t *testing.T) {
	for _, more := range []int{0, 1} {
		p := serve(t, &Server{Handler: &fakeHandler{}}).handshake()
		b := appendSetChunkSize(nil, 1<<24-1)
		video := 256<<10 + more - (1 + 2*1536) - len(b) - len(unhexString(blockPING))
		b = AppendMessage(b, &Message{Type: TypeVideo, StreamID: 1, Payload: make([]byte, video-12)}, 1<<24-1)
		p.background(func() { p.try(append(b, unhexString(blockPING)...)) })
		if more == 1 {
			p.closed("limit")
			continue
		}
		p.next("pong", func(m *Message) bool { return m.Type == TypeUserControl && m.Payload[1] == eventPingResponse })
	}
}

// TestCommandsAtTheBound: 200 commands may come at once and 50 a second after that; with one more the session ends.
func TestCommandsAtTheBound(t *testing.T) {
	for _, more := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			p := serve(t, &Server{Handler: &fakeHandler{}}).handshake().send(blockCN)
			send := func(n int) {
				for range n {
					p.try(encode(commandMessage(0, "x", 0.0, nil)))
				}
			}
			send(199)
			p.sync()
			time.Sleep(2 * time.Second)
			send(100 + more)
			if more == 1 {
				p.closed("limit")
				return
			}
			p.sync()
		})
	}
}

// TestDataMessagesAtTheBound: 400 data messages may come at once and 200 a second after that, each of 64 KiB; what is over a bound is dropped.
func TestDataMessagesAtTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHandler{}
		p := publishing(t, &Server{Handler: h})
		send := func(n, size int) {
			data := amf.AppendString(nil, "onCuePoint")
			data = append(data, make([]byte, size-len(data))...)
			for range n {
				p.media(Message{Type: TypeData, StreamID: 1, Payload: data})
			}
			p.sync()
		}
		for _, c := range []struct {
			n, size           int
			wait              time.Duration
			received, dropped int
		}{
			{1, 65537, 0, 0, 1},
			{1, 65536, 0, 1, 1},
			{399, 20, 0, 400, 1},
			{1, 20, 0, 400, 2},
			{201, 20, time.Second, 600, 3},
		} {
			time.Sleep(c.wait)
			send(c.n, c.size)
			if got, dropped := len(h.received()), h.session().Stats().Data; got != c.received || dropped != uint64(c.dropped) {
				t.Errorf("after %d of %d bytes: %d received, %d dropped, want %d and %d", c.n, c.size, got, dropped, c.received, c.dropped)
			}
		}
	})
}

// TestStrayMessagesAtTheBound: 100 messages, or 1 MiB of them, may come while nothing is published; more end the session.
func TestStrayMessagesAtTheBound(t *testing.T) {
	for _, c := range []struct {
		n, size int
		last    int // size of the last one
		limit   bool
	}{
		{99, 5, 5, false},
		{100, 5, 5, true},
		{15, 64 << 10, 64 << 10, false},
		{15, 64 << 10, 64<<10 + 1, true},
	} {
		h := &fakeHandler{}
		p := serve(t, &Server{Handler: h}).handshake().send(blockCN, blockCS)
		p.expect("_result")
		for range c.n {
			p.media(Message{Type: TypeVideo, StreamID: 1, Payload: make([]byte, c.size)})
		}
		p.try(encode(&Message{Type: TypeVideo, StreamID: 1, Payload: make([]byte, c.last)}))
		if c.limit {
			p.closed("limit")
			continue
		}
		if p.sync(); h.session().Stats().Stray != uint64(c.n+1) {
			t.Errorf("%d of %d bytes: %d counted", c.n, c.size, h.session().Stats().Stray)
		}
	}
}

// TestTimesAtTheBounds: a delta of more than ten minutes in an extended field that is within a minute of the last time is a time, and so is
// what a chunk without a header repeats; a first time of more than ten seconds is not added to itself.
func TestTimesAtTheBounds(t *testing.T) {
	for _, c := range []struct{ last, field, want uint32 }{
		{600_000, 600_000, 1_200_000},
		{600_001, 600_001, 600_001},
		{1_000_000, 1_060_000, 1_060_000},
		{1_000_000, 1_060_001, 2_060_001},
		{1_000_000, 940_000, 940_000},
		{1_000_000, 939_999, 1_939_999},
	} {
		r := newChunkReader(new(readBuffer), readLimits{})
		cs := chunkStream{timestamp: c.last, hasExt: true}
		if r.advance(&cs, c.field); cs.timestamp != c.want {
			t.Errorf("%d after %d: %d, want %d", c.field, c.last, cs.timestamp, c.want)
		}
	}
	for first, want := range map[int]uint32{10_000: 20_000, 10_001: 10_001} {
		in := new(chunks).fmt0(6, first, 1, TypeVideo, 1).raw([]byte{1}).fmt3(6).raw([]byte{2}).b
		ms, err := drain(reading(bytes.NewReader(in), 4096, readLimits{}))
		if err != io.EOF || len(ms) != 2 || ms[1].Timestamp != want {
			t.Errorf("%d: %+v, %v", first, ms, err)
		}
	}
}

// TestFirstBuffersAtTheBounds: a publisher's message gets up to 1 MiB at once, and anybody else's 16 bytes.
func TestFirstBuffersAtTheBounds(t *testing.T) {
	for _, c := range []struct {
		publishing   bool
		length, want int
	}{{true, 1 << 20, 1 << 20}, {true, 1<<20 + 1, 1 << 20}, {false, 1 << 20, 16}, {false, 15, 15}} {
		r := newChunkReader(new(readBuffer), readLimits{})
		r.setPublishing(c.publishing)
		cs := chunkStream{typ: TypeVideo, length: uint32(c.length)}
		if err := r.begin(&cs); err != nil || len(cs.buf) != c.want {
			t.Errorf("publishing %v, %d bytes: %d at first, %v", c.publishing, c.length, len(cs.buf), err)
		}
	}
}
