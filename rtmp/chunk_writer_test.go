package rtmp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"testing"
)

// Whatever AppendMessage writes is as long as EncodedSize says, and is read back.
func TestAppendMessage_RoundTrip(t *testing.T) {
	for _, csid := range []uint32{0, 2, 63, 64, 319, 320, 65599} {
		for _, ts := range []uint32{0, extendedMark - 1, extendedMark, 1 << 31, 1<<32 - 1} {
			for _, size := range []int{1, 127, 128, 4096, 1 << 24} {
				for _, n := range []int{0, 1, 127, 128, 129, 256, 5000} {
					m := Message{Type: TypeVideo, StreamID: 0x01020304, ChunkStreamID: csid, Timestamp: ts, Payload: pattern(n)}
					b := AppendMessage([]byte("before"), &m, size)
					if got, want := len(b)-6, EncodedSize(n, ts, csid, size); got != want {
						t.Fatalf("csid %d ts %d chunk size %d length %d: %d bytes, EncodedSize says %d", csid, ts, size, n, got, want)
					}
					r := reading(bytes.NewReader(b[6:]), 4096, readLimits{})
					r.chunkSize = size
					got, err := drain(r)
					if err != io.EOF {
						t.Fatal(err)
					}
					if csid == 0 {
						m.ChunkStreamID = 6
					}
					sameMessages(t, got, []Message{m})
					if r.notes != 0 {
						t.Errorf("notes %q", r.notes.details())
					}
				}
			}
		}
	}
}

func TestC052_EveryContinuationCarriesTheExtendedTimestamp(t *testing.T) {
	m := video(6, 1<<24, bytes.Repeat([]byte{0xaa}, 5))
	got := hex.EncodeToString(AppendMessage(nil, &m, 2))
	if want := "06ffffff0000050901000000" + "01000000" + "aaaa" + "c601000000aaaa" + "c601000000aa"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A body in parts is the same as in one piece, wherever the parts meet.
func TestAppendMessage_Parts(t *testing.T) {
	p := pattern(700)
	m := video(6, 1<<24, p)
	want := AppendMessage(nil, &m, 128)
	m.Payload = []byte("not this")
	for _, parts := range [][][]byte{
		{p}, {p[:1], p[1:]}, {p[:128], p[128:]}, {nil, p[:5], nil, p[5:300], p[300:], nil}, {p[:256], p[256:257], p[257:]},
	} {
		if got := AppendMessage(nil, &m, 128, parts...); !bytes.Equal(got, want) {
			t.Errorf("%d parts: %x...", len(parts), got[:20])
		}
	}
	if got := AppendMessage(nil, &m, 128, nil); len(got) != EncodedSize(0, m.Timestamp, 6, 128) {
		t.Errorf("an empty body has %d bytes", len(got))
	}
}

func TestAppendMessage_ChunkStreamByType(t *testing.T) {
	for _, c := range []struct {
		typ  MessageType
		msid uint32
		csid byte
	}{
		{TypeSetChunkSize, 0, 2},
		{TypeAbort, 0, 2},
		{TypeAck, 0, 2},
		{TypeUserControl, 0, 2},
		{TypeWindowAckSize, 0, 2},
		{TypeSetPeerBandwidth, 0, 2},
		{TypeCommand, 0, 3},
		{TypeCommandAMF3, 0, 3},
		{TypeCommand, 1, 5},
		{TypeData, 1, 5},
		{TypeAudio, 1, 4},
		{TypeVideo, 1, 6},
		{TypeAggregate, 1, 5},
	} {
		for _, csid := range []uint32{0, 1, 65600, 1<<32 - 1} { // none of which can be written
			m := Message{Type: c.typ, StreamID: c.msid, ChunkStreamID: csid, Payload: pattern(200)}
			b := AppendMessage(nil, &m, 128)
			if b[0] != c.csid {
				t.Errorf("type %d on stream %d, asked for %d: chunk stream %d, want %d", c.typ, c.msid, csid, b[0], c.csid)
			}
			if len(b) != EncodedSize(200, 0, csid, 128) {
				t.Errorf("type %d, asked for %d: %d bytes", c.typ, csid, len(b))
			}
		}
	}
}

func TestAppendMessage_OddArguments(t *testing.T) {
	m := video(6, 0, pattern(300))
	want := AppendMessage(nil, &m, 128)
	for _, size := range []int{0, -1} {
		if !bytes.Equal(AppendMessage(nil, &m, size), want) || EncodedSize(300, 0, 6, size) != len(want) {
			t.Errorf("chunk size %d is not 128", size)
		}
	}
	m.Payload = make([]byte, MaxMessageSize+10)
	for _, size := range []int{65536, 1 << 30} {
		b := AppendMessage(nil, &m, size)
		if len(b) != EncodedSize(len(m.Payload), 0, 6, size) || hex.EncodeToString(b[4:7]) != "ffffff" {
			t.Errorf("a body that is too long: %d bytes, length %x", len(b), b[4:7])
		}
		if parts := AppendMessage(nil, &m, size, m.Payload[:100], m.Payload[100:]); !bytes.Equal(parts, b) {
			t.Error("a body that is too long, in parts, is cut elsewhere")
		}
	}
}

func TestAppendMessage_DoesNotAllocate(t *testing.T) {
	m := video(6, 1<<24, pattern(10_000))
	parts := [][]byte{m.Payload[:5], m.Payload[5:]}
	dst := make([]byte, 0, EncodedSize(10_000, 1<<24, 6, 128))
	for name, f := range map[string]func(){
		"payload": func() { AppendMessage(dst, &m, 128) },
		"one":     func() { AppendMessage(dst, &m, 128, m.Payload) },
		"parts":   func() { AppendMessage(dst, &m, 128, parts...) },
		"literal": func() { AppendMessage(dst, &m, 128, parts[0], parts[1]) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	// One, but for the race detector, under which growing a slice takes two.
	if n := testing.AllocsPerRun(100, func() { AppendMessage(nil, &m, 128) }); n > 2 {
		t.Errorf("without room: %v allocations", n)
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	for _, size := range []int{128, 4096, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			m := video(6, 1<<24, pattern(50_000))
			header := pattern(5)
			dst := make([]byte, 0, EncodedSize(50_005, 1<<24, 6, size))
			b.SetBytes(50_005)
			b.ReportAllocs()
			for b.Loop() {
				AppendMessage(dst, &m, size, header, m.Payload)
			}
		})
	}
}
