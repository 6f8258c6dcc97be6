package rtmp

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"
)

// chunks builds a chunk stream by hand, field by field: what AppendMessage would never
// write is most of what the reader must cope with.
type chunks struct{ b []byte }

func (c *chunks) basic(format byte, csid uint32) *chunks {
	switch {
	case csid < 64:
		c.b = append(c.b, format<<6|byte(csid))
	case csid < 320:
		c.b = append(c.b, format<<6, byte(csid-64))
	default:
		c.b = append(c.b, format<<6|1, byte(csid-64), byte((csid-64)>>8))
	}
	return c
}

func (c *chunks) u24(v int) *chunks {
	c.b = append(c.b, byte(v>>16), byte(v>>8), byte(v))
	return c
}

func (c *chunks) u32(v uint32) *chunks {
	c.b = binary.BigEndian.AppendUint32(c.b, v)
	return c
}

func (c *chunks) raw(p []byte) *chunks {
	c.b = append(c.b, p...)
	return c
}

func (c *chunks) fmt0(csid uint32, field, length int, typ MessageType, msid uint32) *chunks {
	c.basic(0, csid).u24(field).u24(length)
	c.b = append(c.b, byte(typ))
	c.b = binary.LittleEndian.AppendUint32(c.b, msid)
	return c
}

func (c *chunks) fmt1(csid uint32, field, length int, typ MessageType) *chunks {
	c.basic(1, csid).u24(field).u24(length)
	c.b = append(c.b, byte(typ))
	return c
}

func (c *chunks) fmt2(csid uint32, field int) *chunks { return c.basic(2, csid).u24(field) }
func (c *chunks) fmt3(csid uint32) *chunks            { return c.basic(3, csid) }

// chunkSize announces a chunk size.
func (c *chunks) chunkSize(n uint32) *chunks {
	c.b = appendSetChunkSize(c.b, n)
	return c
}

// message writes a message as the library does.
func (c *chunks) message(m Message, chunkSize int) *chunks {
	c.b = AppendMessage(c.b, &m, chunkSize)
	return c
}

// pattern is a payload of n bytes in which no four bytes repeat.
func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*31 + i>>8*7 + 1)
	}
	return p
}

// reading returns a chunk reader of src with a buffer of size bytes.
func reading(src io.Reader, size int, lim readLimits) *chunkReader {
	b := new(readBuffer)
	b.init(src, size)
	return newChunkReader(b, lim)
}

// drain reads messages until an error.
func drain(r *chunkReader) ([]Message, error) {
	var ms []Message
	for {
		m, err := r.readMessage()
		if err != nil {
			return ms, err
		}
		ms = append(ms, m)
	}
}

// way is one of the ways in which the same bytes may reach a reader.
type way struct {
	name    string
	size    int // of the read buffer
	admit   bool
	deliver func(io.Reader) io.Reader
}

// ways are those that every case is read in: the result must be the same.
var ways = []way{
	{"whole", 4096, false, func(r io.Reader) io.Reader { return r }},
	{"publisher", 16384, true, func(r io.Reader) io.Reader { return r }},
	{"one byte", 4096, false, iotest.OneByteReader},
	{"half", 16384, true, iotest.HalfReader},
	{"end with data", 4096, false, iotest.DataErrReader},
	{"frugal", 0, false, func(r io.Reader) io.Reader { return r }},
	{"frugal one byte", 0, true, iotest.OneByteReader},
}

// read reads in the way w.
func (w way) read(in []byte) (*chunkReader, []Message, error) {
	r := reading(w.deliver(bytes.NewReader(in)), w.size, readLimits{})
	r.setPublishing(w.admit)
	ms, err := drain(r)
	return r, ms, err
}

// sameMessages compares what was read with what should be.
func sameMessages(t *testing.T, got, want []Message) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		g, w := &got[i], &want[i]
		if g.Type != w.Type || g.StreamID != w.StreamID || g.Timestamp != w.Timestamp || g.ChunkStreamID != w.ChunkStreamID {
			t.Errorf("message %d: type %d msid %d ts %d csid %d, want type %d msid %d ts %d csid %d", i,
				g.Type, g.StreamID, g.Timestamp, g.ChunkStreamID, w.Type, w.StreamID, w.Timestamp, w.ChunkStreamID)
		}
		if !bytes.Equal(g.Payload, w.Payload) {
			t.Errorf("message %d: %d bytes of payload differ from the %d wanted", i, len(g.Payload), len(w.Payload))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d messages, want %d", len(got), len(want))
	}
}
