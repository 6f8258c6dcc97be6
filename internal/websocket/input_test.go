package websocket

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// frame is a masked frame as a player sends it.
func frame(first byte, payload string) []byte {
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, isMasked|byte(n))
	case n < 1<<16:
		b = append(b, isMasked|126, byte(n>>8), byte(n))
	default:
		b = append(b, isMasked|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// heardOf is what came of some bytes.
type heardOf struct {
	pongs   int
	replies []byte
	code    uint16 // of the fault; 1000: closed by the player; 0: it goes on
}

// feedAll feeds bytes in pieces of n.
func feedAll(b []byte, n int) (h heardOf) {
	w := Input{Heard: func() { h.pongs++ }, Reply: func(b []byte) { h.replies = append(h.replies, b...) }}
	for piece := range slices.Chunk(b, n) {
		err := w.Feed(piece)
		if f, ok := errors.AsType[*Fault](err); ok {
			h.code = f.code
		} else if errors.Is(err, ErrClosed) {
			h.code = 1000
		}
		if err != nil {
			return h
		}
	}
	return h
}

// wsInputs are what players may send, and what comes of it.
var wsInputs = []struct {
	name string
	in   []byte
	want heardOf
}{
	{"nothing", nil, heardOf{}},
	{"pong", frame(0x8a, ""), heardOf{pongs: 1}},
	{"pong with payload", frame(0x8a, "abcde"), heardOf{pongs: 1}},
	{"two pongs", append(frame(0x8a, ""), frame(0x8a, "x")...), heardOf{pongs: 2}},
	{"ping", frame(0x89, ""), heardOf{replies: []byte{0x8a, 0}}},
	{"ping with payload", frame(0x89, "Hello"), heardOf{replies: []byte("\x8a\x05Hello")}},
	{"longest ping", frame(0x89, string(make([]byte, 125))), heardOf{replies: append([]byte{0x8a, 125}, make([]byte, 125)...)}},
	{"binary", frame(0x82, "some bytes"), heardOf{}},
	{"binary of 4 KiB", frame(0x82, string(make([]byte, 4096))), heardOf{}},
	{"in pieces, a pong between", slices.Concat(frame(0x02, "a"), frame(0x8a, ""), frame(0x00, "b"), frame(0x80, "c"), frame(0x82, "d")), heardOf{pongs: 1}},
	{"close", frame(0x88, ""), heardOf{replies: []byte{0x88, 2, 3, 0xe8}, code: 1000}},
	{"close with code", frame(0x88, "\x03\xe9bye"), heardOf{replies: []byte{0x88, 2, 3, 0xe8}, code: 1000}},
	{"close, then more", append(frame(0x88, ""), 0xff, 0xff), heardOf{replies: []byte{0x88, 2, 3, 0xe8}, code: 1000}},
	{"close with half a code", frame(0x88, "\x03"), heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"close with a code of nobody's", frame(0x88, "\x03\xee"), heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"close with bad text", frame(0x88, "\x03\xe8\xff"), heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"text", frame(0x81, "hi"), heardOf{replies: []byte{0x88, 2, 3, 0xeb}, code: 1003}},
	{"not masked", []byte{0x8a, 0, 0, 0, 0, 0}, heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"reserved bit", frame(0xca, ""), heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"unknown opcode", frame(0x83, ""), heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"unknown control", frame(0x8b, ""), heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"control in pieces", frame(0x09, ""), heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"control too long", frame(0x89, string(make([]byte, 126))), heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"continuation of nothing", frame(0x80, ""), heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"message within a message", append(frame(0x02, "a"), frame(0x82, "b")...), heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"too long", frame(0x82, string(make([]byte, 4097))), heardOf{replies: []byte{0x88, 2, 3, 0xf1}, code: 1009}},
	{"too long in pieces", append(frame(0x02, string(make([]byte, 4000))), frame(0x80, string(make([]byte, 97)))...), heardOf{replies: []byte{0x88, 2, 3, 0xf1}, code: 1009}},
	{"two bytes of a frame that is not masked", []byte{0x82, 0x05}, heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"two bytes of a long control frame", []byte{0x89, 0xfe}, heardOf{replies: []byte{0x88, 2, 3, 0xea}, code: 1002}},
	{"length of 2^63", []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, heardOf{replies: []byte{0x88, 2, 3, 0xf1}, code: 1009}},
}

func (h heardOf) equal(g heardOf) bool {
	return h.pongs == g.pongs && h.code == g.code && bytes.Equal(h.replies, g.replies)
}

// TestWebSocketInput feeds what players send, whole and in pieces.
func TestWebSocketInput(t *testing.T) {
	for _, c := range wsInputs {
		for _, n := range []int{1 << 20, 1, 3, 7} {
			if got := feedAll(c.in, n); !got.equal(c.want) {
				t.Errorf("%s, in pieces of %d: %+v", c.name, n, got)
			}
		}
	}
}

// FuzzWebSocketInput: what comes of bytes does not depend on how they were cut.
func FuzzWebSocketInput(f *testing.F) {
	for _, c := range wsInputs {
		f.Add(c.in, byte(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, n byte) {
		if whole, cut := feedAll(b, 1<<20), feedAll(b, int(n)+1); !whole.equal(cut) {
			t.Errorf("%+v, in pieces of %d %+v", whole, int(n)+1, cut)
		}
	})
}
