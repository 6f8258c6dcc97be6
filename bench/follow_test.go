package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/rtmp"
)

// newTestPlayer returns a player that no engine runs.
func newTestPlayer(r *run) *player {
	p := &player{target: &target{}}
	p.rec = r.recorder()
	return p
}

// collector notes messages as text.
type collector []string

func (c *collector) message(typ byte, head []byte, length int, tail uint32) error {
	*c = append(*c, fmt.Sprintf("%d %d %q %08x", typ, length, head[:min(len(head), 6)], tail))
	return nil
}

func chunked(parts ...any) []byte {
	size := 128
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			size = p
		case []byte:
			b = append(b, p...)
		case rtmp.Message:
			b = rtmp.AppendMessage(b, &p, size)
		}
	}
	return b
}

func body(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return b
}

// rtmpCases drive both the table test and the fuzz target.
var rtmpCases = []struct {
	name  string
	bytes []byte
	want  []string
	fails bool
}{
	{name: "one chunk", bytes: chunked(rtmp.Message{Type: 9, StreamID: 1, Payload: body(100)}), want: []string{`9 100 "abcdef" 73747576`}},
	{name: "many chunks", bytes: chunked(rtmp.Message{Type: 8, StreamID: 1, Payload: body(1000)}), want: []string{`8 1000 "abcdef" 696a6b6c`}},
	{name: "ends behind a chunk", bytes: chunked(rtmp.Message{Type: 8, StreamID: 1, Payload: body(256)}), want: []string{`8 256 "abcdef" 73747576`}},
	{name: "tail in two chunks", bytes: chunked(rtmp.Message{Type: 8, StreamID: 1, Payload: body(130)}), want: []string{fmt.Sprintf(`8 130 "abcdef" %x`, body(130)[126:])}},
	{name: "extended timestamps", bytes: chunked(rtmp.Message{Type: 9, Timestamp: 0x1000000, Payload: body(300)}), want: []string{fmt.Sprintf(`9 300 "abcdef" %x`, body(300)[296:])}},
	{name: "chunk size", bytes: chunked(rtmp.Message{Type: 1, Payload: be32(4096)}, 4096, rtmp.Message{Type: 9, Payload: body(3000)}), want: []string{
		`1 4 "\x00\x00\x10\x00" 00001000`, fmt.Sprintf(`9 3000 "abcdef" %x`, body(3000)[2996:]),
	}},
	{name: "empty and short", bytes: chunked(rtmp.Message{Type: 9}, rtmp.Message{Type: 8, Payload: []byte{1, 2}}), want: []string{`9 0 "" 00000000`, `8 2 "\x01\x02" 00000102`}},
	{name: "large chunk stream ids", bytes: chunked(rtmp.Message{Type: 9, ChunkStreamID: 100, Payload: body(200)}, rtmp.Message{Type: 9, ChunkStreamID: 60000, Payload: body(200)}), want: []string{
		fmt.Sprintf(`9 200 "abcdef" %x`, body(200)[196:]), fmt.Sprintf(`9 200 "abcdef" %x`, body(200)[196:]),
	}},
	{name: "interleaved", bytes: chunked(
		[]byte{6, 0, 0, 0, 0, 0, 130, 9, 1, 0, 0, 0}, body(128),
		[]byte{4, 0, 0, 0, 0, 0, 3, 8, 1, 0, 0, 0}, body(3),
		[]byte{3<<6 | 6}, []byte("yz"),
	), want: []string{`8 3 "abc" 00616263`, `9 130 "abcdef" 7778797a`}},
	{name: "fmt 1, 2 and 3", bytes: chunked(
		[]byte{1<<6 | 4, 0, 0, 9, 0, 0, 3, 8}, body(3), []byte{2<<6 | 4, 0, 0, 1}, body(3), []byte{3<<6 | 4}, body(3),
	), want: []string{`8 3 "abc" 00616263`, `8 3 "abc" 00616263`, `8 3 "abc" 00616263`}},
	{name: "fmt 3 first", bytes: []byte{3<<6 | 4, 1, 2, 3}, fails: true},
	{name: "a message in the place of another's end", bytes: chunked(
		[]byte{6, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0}, body(128), []byte{6, 0, 0, 0, 0, 0, 200, 9, 1, 0, 0, 0},
	), fails: true},
	{name: "no message type", bytes: []byte{4, 0, 0, 0, 0, 0, 3, 0x41, 1, 0, 0, 0}, fails: true},
	{name: "chunk size 0", bytes: chunked(rtmp.Message{Type: 1, Payload: be32(0)}), fails: true},
}

func TestFollowRTMP(t *testing.T) {
	for _, c := range rtmpCases {
		t.Run(c.name, func(t *testing.T) {
			for _, step := range []int{1, 2, 7, 1 << 20} {
				var got collector
				f := newRTMPFollower(&got)
				var err error
				for piece := range slices.Chunk(c.bytes, step) {
					if err = f.feed(piece); err != nil {
						break
					}
				}
				if c.fails {
					if !errors.Is(err, errFraming) {
						t.Errorf("in steps of %d: error %v, want one of framing", step, err)
					}
					continue
				}
				if err != nil || !slices.Equal(got, c.want) || !f.atBoundary() {
					t.Errorf("in steps of %d: got %q, %v, boundary %v; want %q", step, got, err, f.atBoundary(), c.want)
				}
			}
			// Every beginning is no error, and only whole messages are a boundary.
			for n := range c.bytes {
				var got collector
				f := newRTMPFollower(&got)
				if err := f.feed(c.bytes[:n]); err != nil && !c.fails {
					t.Fatalf("the first %d bytes: %v", n, err)
				}
				if !c.fails && n > 0 && f.atBoundary() && len(got) == 0 {
					t.Fatalf("the first %d bytes end with no message, but at a boundary", n)
				}
			}
		})
	}
}

func tag(typ byte, data []byte) []byte {
	n := len(data)
	b := []byte{typ, byte(n >> 16), byte(n >> 8), byte(n), 0, 0, 0, 0, 0, 0, 0}
	b = append(b, data...)
	return binary.BigEndian.AppendUint32(b, uint32(n+11))
}

var flvStart = []byte{'F', 'L', 'V', 1, 5, 0, 0, 0, 9, 0, 0, 0, 0}

// flvCases drive the test of all that FLV comes in, and the fuzz target.
var flvCases = []struct {
	name  string
	bytes []byte
	want  []string
	fails bool
}{
	{name: "tags", bytes: slices.Concat(flvStart, tag(18, body(50)), tag(9, body(300)), tag(8, body(4)), tag(8, nil)), want: []string{
		fmt.Sprintf(`18 50 "abcdef" %x`, body(50)[46:]), fmt.Sprintf(`9 300 "abcdef" %x`, body(300)[296:]), `8 4 "abcd" 61626364`, `8 0 "" 00000000`,
	}},
	{name: "not FLV", bytes: []byte("HTTP/1.1 200 OK\r\n"), fails: true},
	{name: "wrong size behind a tag", bytes: slices.Concat(flvStart, tag(9, body(9))[:20], be32(21)), fails: true},
	{name: "wrong tag", bytes: slices.Concat(flvStart, tag(7, nil)), fails: true},
}

// wsFrame is one unmasked frame.
func wsFrame(op byte, data []byte) []byte {
	b := []byte{0x80 | op}
	switch n := len(data); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = append(b, 126, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, data...)
}

func TestFollowFLV(t *testing.T) {
	plain := []byte("HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n\r\n")
	inChunks := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	upgraded := []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
	for _, c := range flvCases {
		var pieces, frames []byte
		for p := range slices.Chunk(c.bytes, 100) {
			pieces = fmt.Appendf(pieces, "%x;ext=1\r\n%s\r\n", len(p), p)
			frames = slices.Concat(frames, wsFrame(wsBinary, p), wsFrame(wsPing, []byte("hi")))
		}
		for _, w := range []struct {
			name  string
			bytes []byte
			ws    bool
		}{
			{"plain", slices.Concat(plain, c.bytes), false},
			{"chunked", slices.Concat(inChunks, pieces), false},
			{"websocket", slices.Concat(upgraded, frames), true},
		} {
			t.Run(c.name+" "+w.name, func(t *testing.T) {
				for _, step := range []int{1, 5, 1 << 20} {
					var got collector
					pongs := 0
					f := &httpFollower{body: newFLVFollower(&got), upgrade: w.ws}
					if w.ws {
						f.body = &wsFollower{body: f.body, reply: func(b []byte) {
							if string(b) != "\x8a\x82\x00\x00\x00\x00hi" {
								t.Errorf("pong %q", b)
							}
							pongs++
						}}
					}
					var err error
					for p := range slices.Chunk(w.bytes, step) {
						if err = f.feed(p); err != nil {
							break
						}
					}
					if c.fails {
						if !errors.Is(err, errFraming) {
							t.Errorf("in steps of %d: error %v, want one of framing", step, err)
						}
						continue
					}
					if err != nil || !slices.Equal(got, c.want) {
						t.Errorf("in steps of %d: got %q, %v; want %q", step, got, err, c.want)
					}
					if w.ws && pongs == 0 {
						t.Error("no pong")
					}
				}
			})
		}
	}
}

func TestFollowHTTP_Refusals(t *testing.T) {
	for _, c := range []struct{ head, want string }{
		{"HTTP/1.1 404 Not Found\r\n\r\n", "refused: http 404 Not Found"},
		{"RTSP/1.0 200 OK\r\n\r\n", "refused: http 200 OK"},
		{strings.Repeat("x", maxHead+1), "lost the framing: a response head over 16384 bytes"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "the stream ended"},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", `lost the framing: chunk size "xyz"`},
	} {
		var got collector
		err := (&httpFollower{body: newFLVFollower(&got)}).feed([]byte(c.head))
		if err == nil || err.Error() != c.want {
			t.Errorf("%.40q: got %v, want %s", c.head, err, c.want)
		}
	}
	for _, c := range []struct{ frame, want string }{
		{"\x88\x00", "the stream ended"},
		{"\x82\x81", "lost the framing: a WebSocket frame with reserved bits or a mask"},
		{"\x81\x01", "lost the framing: WebSocket opcode 1"},
		{"\x89\x7e\x01\x00", "lost the framing: a WebSocket control frame of 256 bytes"},
	} {
		var got collector
		f := &wsFollower{body: newFLVFollower(&got), reply: func([]byte) {}}
		if err := f.feed([]byte(c.frame)); err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.frame, err, c.want)
		}
	}
}

// FuzzFollow: whatever comes, and however it is cut, what is reported is the same.
func FuzzFollow(f *testing.F) {
	for _, c := range rtmpCases {
		f.Add(byte(0), byte(3), c.bytes)
	}
	for _, c := range flvCases {
		f.Add(byte(1), byte(3), slices.Concat([]byte("HTTP/1.1 200 OK\r\n\r\n"), c.bytes))
		f.Add(byte(2), byte(3), slices.Concat([]byte("HTTP/1.1 101 S\r\n\r\n"), wsFrame(wsBinary, c.bytes)))
	}
	f.Fuzz(func(t *testing.T, kind, step byte, b []byte) {
		var whole, cut string
		for _, piece := range []struct {
			size int
			got  *string
		}{{max(1, len(b)), &whole}, {max(1, int(step)), &cut}} {
			var c collector
			var to feeder
			switch kind % 3 {
			case 0:
				to = newRTMPFollower(&c)
			case 1:
				to = &httpFollower{body: newFLVFollower(&c)}
			case 2:
				to = &httpFollower{upgrade: true, body: &wsFollower{body: newFLVFollower(&c), reply: func([]byte) {}}}
			}
			var err error
			for p := range slices.Chunk(b, piece.size) {
				if err = to.feed(p); err != nil {
					break
				}
			}
			*piece.got = fmt.Sprint(c, err)
		}
		if whole != cut && !strings.Contains(whole+cut, "response head over") {
			t.Errorf("whole: %s\nin pieces of %d: %s", whole, step, cut)
		}
	})
}

func BenchmarkFollowRTMP(b *testing.B) {
	r := newRun()
	p := newTestPlayer(r)
	f := newRTMPFollower(p)
	f.chunkSize = 65536
	l, err := newLoad(usualBitrate)
	if err != nil {
		b.Fatal(err)
	}
	msg := rtmp.AppendMessage(nil, &rtmp.Message{Type: 9, StreamID: 1, Payload: videoFrame(l.inter, false)}, 65536)
	b.ReportAllocs()
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		if err := f.feed(msg); err != nil {
			b.Fatal(err)
		}
	}
}
