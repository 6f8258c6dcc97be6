package rtmp

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestReadBuffer(t *testing.T) {
	in := pattern(20_000)
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			b := new(readBuffer)
			b.init(w.deliver(bytes.NewReader(in)), w.size)
			var got []byte
			// The sizes change while something is buffered, as they do in a session.
			for i, size := range []int{w.size, 0, 4096, 16384, 0, 64} {
				p, err := b.peek(1 + i*11)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, p...)
				b.discard(len(p))
				b.setSize(size)
				q := make([]byte, []int{10, 3000, 5000}[i%3])
				if err := b.readFull(q); err != nil {
					t.Fatal(err)
				}
				got = append(got, q...)
			}
			if err := b.skip(1000); err != nil {
				t.Fatal(err)
			}
			got = append(got, in[len(got):len(got)+1000]...)
			rest := make([]byte, len(in)-len(got))
			if err := b.readFull(rest); err != nil {
				t.Fatal(err)
			}
			if got = append(got, rest...); !bytes.Equal(got, in) {
				t.Error("what was read is not what was sent")
			}
			if b.consumed != uint64(len(in)) {
				t.Errorf("consumed %d bytes of %d", b.consumed, len(in))
			}
			if _, err := b.peek(1); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}

func TestReadBuffer_Ends(t *testing.T) {
	cause := errors.New("reset")
	for _, size := range []int{0, 4096} {
		fresh := func(n int) *readBuffer {
			b := new(readBuffer)
			b.init(bytes.NewReader(pattern(n)), size)
			return b
		}
		if p, err := fresh(3).peek(4); err != io.ErrUnexpectedEOF || len(p) != 3 {
			t.Errorf("size %d: peek: %d bytes, %v", size, len(p), err)
		}
		if err := fresh(3).readFull(make([]byte, 4)); err != io.ErrUnexpectedEOF {
			t.Errorf("size %d: readFull: %v", size, err)
		}
		if err := fresh(0).readFull(make([]byte, 5000)); err != io.ErrUnexpectedEOF {
			t.Errorf("size %d: a long readFull: %v", size, err)
		}
		if err := fresh(3).skip(4); err != io.ErrUnexpectedEOF {
			t.Errorf("size %d: skip: %v", size, err)
		}
		// An error that came with the last bytes is not lost behind them.
		reads := 0
		b := new(readBuffer)
		b.init(readFunc(func(p []byte) (int, error) {
			if reads++; reads > 1 {
				return 0, io.EOF
			}
			return copy(p, pattern(3)), cause
		}), size)
		if err := b.skip(3); err != nil {
			t.Errorf("size %d: skip: %v", size, err)
		}
		for range 2 {
			if _, err := b.peek(1); err != cause {
				t.Errorf("size %d: after the last byte: %v", size, err)
			}
		}
	}
}

// gate is a source that says, before it blocks, whether the buffer holds memory.
type gate struct {
	t    *testing.T
	b    *readBuffer
	in   [][]byte // one for each read
	size []int    // room that was offered
	held []bool   // a pooled or own buffer
}

func (g *gate) Read(p []byte) (int, error) {
	g.size = append(g.size, len(p))
	g.held = append(g.held, g.b.borrowed != nil || len(g.b.buf) > frugalRead)
	if len(g.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, g.in[0])
	if g.in[0] = g.in[0][n:]; len(g.in[0]) == 0 {
		g.in = g.in[1:]
	}
	return n, nil
}

// A frugal reader waits in a small read between messages and borrows for a burst.
func TestReadBuffer_Frugal(t *testing.T) {
	ping := appendPingRequest(nil, 1)
	burst := bytes.Repeat(ping, 100)
	exact := AppendMessage(nil, &Message{Type: TypeData, Payload: make([]byte, frugalRead-12)}, 128)
	b := new(readBuffer)
	g := &gate{t: t, b: b, in: [][]byte{ping, burst, ping, exact}}
	b.init(g, 4096)
	r := newChunkReader(b, readLimits{})
	if _, err := r.readMessage(); err != nil {
		t.Fatal(err)
	}
	b.setSize(0)
	if b.buf != nil || b.borrowed != nil {
		t.Error("still holds a buffer after having become frugal")
	}
	ms, err := drain(r)
	if err != io.EOF || len(ms) != 102 {
		t.Fatalf("%d messages, %v", len(ms), err)
	}
	if g.size[0] != 4096 || g.size[1] != frugalRead || !g.held[2] || g.size[2] < 4000 {
		t.Errorf("reads of %v bytes, holding %v", g.size, g.held)
	}
	n := len(g.size)
	if g.size[n-1] != frugalRead || g.held[n-1] || g.held[n-2] || g.held[n-3] {
		t.Errorf("waits in reads of %v bytes, holding %v", g.size[n-3:], g.held[n-3:])
	}
}

// Media goes from the source into its payload without a stop.
func TestReadBuffer_LongReadsBypass(t *testing.T) {
	const n = 100_000
	m := video(6, 40, pattern(n))
	b := new(readBuffer)
	g := &gate{t: t, b: b, in: [][]byte{AppendMessage(appendSetChunkSize(nil, n), &m, n)}}
	b.init(g, 16384)
	r := newChunkReader(b, readLimits{})
	r.setPublishing(true)
	ms, _ := drain(r)
	if len(ms) != 2 || !bytes.Equal(ms[1].Payload, m.Payload) {
		t.Fatal("the message is another")
	}
	if len(g.size) != 3 || g.size[1] != n+16+12-16384 {
		t.Errorf("reads of %v bytes", g.size)
	}
}
