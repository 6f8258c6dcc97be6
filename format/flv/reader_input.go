package flv

import (
	"errors"
	"io"
)

const (
	firstBuffer = 32 << 10
	keepBuffer  = 1 << 20 // a larger buffer is given back once it is empty
	// maxBuffer holds the longest tag, its back pointer, the header behind it, and some
	// room to read into.
	maxBuffer     = tagHeaderSize + MaxBody + backPointer + tagHeaderSize + firstBuffer
	maxEmptyReads = 100
)

// input is the part of a source that has been received and not yet used.
type input struct {
	src io.Reader
	buf []byte
	off int   // of what is not used
	err error // the source's, once it has failed
}

// bytes returns what is there. It is valid until the next call of need.
func (in *input) bytes() []byte { return in.buf[in.off:] }

func (in *input) advance(n int) { in.off += n }

// need reads until there are at least n bytes. It fails with the source's error;
// io.EOF becomes io.ErrUnexpectedEOF if some bytes are there.
func (in *input) need(n int) error {
	for len(in.buf)-in.off < n {
		if in.err != nil {
			if errors.Is(in.err, io.EOF) && in.off < len(in.buf) {
				return io.ErrUnexpectedEOF
			}
			return in.err
		}
		in.makeRoom()
		in.read()
	}
	return nil
}

// makeRoom makes room behind buf. It doubles the buffer only once it is full of what
// has been received.
func (in *input) makeRoom() {
	if in.off == len(in.buf) {
		in.buf, in.off = in.buf[:0], 0
		if cap(in.buf) > keepBuffer {
			in.buf = nil
		}
	}
	if len(in.buf) < cap(in.buf) {
		return
	}
	if in.off > 0 {
		in.buf = in.buf[:copy(in.buf, in.buf[in.off:])]
		in.off = 0
		return
	}
	grown := make([]byte, len(in.buf), min(max(2*cap(in.buf), firstBuffer), maxBuffer))
	copy(grown, in.buf)
	in.buf = grown
}

func (in *input) read() {
	for range maxEmptyReads {
		n, err := in.src.Read(in.buf[len(in.buf):cap(in.buf)])
		in.buf = in.buf[:len(in.buf)+n]
		if err != nil {
			in.err = err
			return
		}
		if n > 0 {
			return
		}
	}
	in.err = io.ErrNoProgress
}

// takeTag copies out and uses up the tag of size bytes, header included, that comes next.
func (in *input) takeTag(size int) Tag {
	b := in.bytes()[:size]
	t := Tag{
		Type:      TagType(b[0]),
		Timestamp: uint32(uint24(b[4:])) | uint32(b[7])<<24,
		Body:      make([]byte, size-tagHeaderSize),
	}
	copy(t.Body, b[tagHeaderSize:])
	in.advance(size)
	return t
}
