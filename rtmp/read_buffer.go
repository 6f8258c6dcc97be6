package rtmp

import (
	"errors"
	"io"
	"sync"
)

const (
	frugalRead  = 64
	pooledBytes = 4 << 10
)

// pooledBuffers serve frugal readers while they have something to read, commandBuffers
// those that wait for commands.
var (
	pooledBuffers  = sync.Pool{New: func() any { return new([pooledBytes]byte) }}
	commandBuffers = sync.Pool{New: func() any { return new([commandBuffer]byte) }}
)

// readBuffer buffers a connection's input. It holds as much as setSize says; with size 0
// it holds nothing while the peer is silent: it waits in a read of a few bytes and borrows a
// buffer once more arrives at a time.
type readBuffer struct {
	src      io.Reader
	size     int
	buf      []byte // unread are [r:w]
	r, w     int
	consumed uint64 // in all
	err      error  // from the source, to be returned once the bytes that came with it have been read
	borrowed *[pooledBytes]byte
	command  *[commandBuffer]byte // likewise
	small    [frugalRead]byte
}

// init makes b read from src with a buffer of size bytes, at least 64; 0 is frugal.
func (b *readBuffer) init(src io.Reader, size int) {
	b.src = src
	b.setSize(size)
}

// setSize changes the size of the buffer, once what is buffered has been read.
func (b *readBuffer) setSize(n int) {
	if b.size = n; n > 0 {
		b.size = max(n, frugalRead)
	}
	b.pause()
}

// release gives up the buffer, which is empty.
func (b *readBuffer) release() {
	b.r, b.w = 0, 0
	if b.borrowed != nil {
		pooledBuffers.Put(b.borrowed)
		b.borrowed = nil
		b.buf = nil
	}
	if len(b.buf) == b.size {
		return
	}
	if b.command != nil {
		commandBuffers.Put(b.command)
		b.command = nil
	}
	b.buf = nil
}

// pause is called between messages, where the peer may be silent for long: it returns a borrowed
// buffer, even if the last read suggests that there is more to read.
func (b *readBuffer) pause() {
	if b.r == b.w {
		b.release()
	}
}

// prepare makes room for at least n unread bytes in all, n being at most 64.
func (b *readBuffer) prepare(n int) {
	// After a full frugal read there is probably more to read.
	more := b.size == 0 && b.w == frugalRead && b.borrowed == nil
	switch left := b.buf[b.r:b.w]; {
	case more:
		b.borrowed = pooledBuffers.Get().(*[pooledBytes]byte)
		b.buf = b.borrowed[:]
		b.r, b.w = 0, copy(b.buf, left)
	case len(left) == 0:
		b.release()
		switch {
		case b.buf != nil:
		case b.size == commandBuffer:
			b.command = commandBuffers.Get().(*[commandBuffer]byte)
			b.buf = b.command[:]
		case b.size > 0:
			b.buf = make([]byte, b.size)
		default:
			b.buf = b.small[:]
		}
	case len(b.buf)-b.r < n:
		b.r, b.w = 0, copy(b.buf, left)
	}
}

// maxEmptyReads is how often in a row a source may return nothing at all.
const maxEmptyReads = 100

// fill reads from the source into p, at least one byte.
func (b *readBuffer) fill(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	for range maxEmptyReads {
		n, err := b.src.Read(p)
		if n > 0 {
			b.err = err
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// peek returns the next n bytes, at most 64, without consuming them. At the end of the
// input it returns what there is, with io.EOF if that is nothing and
// io.ErrUnexpectedEOF otherwise.
func (b *readBuffer) peek(n int) ([]byte, error) {
	for b.w-b.r < n {
		b.prepare(n)
		m, err := b.fill(b.buf[b.w:])
		b.w += m
		if err != nil {
			if errors.Is(err, io.EOF) && b.w > b.r {
				err = io.ErrUnexpectedEOF
			}
			return b.buf[b.r:b.w], err
		}
	}
	return b.buf[b.r : b.r+n], nil
}

// discard consumes n bytes that peek has returned.
func (b *readBuffer) discard(n int) {
	b.r += n
	b.consumed += uint64(n)
}

// read reads into p what is buffered, else from the source: into p itself if p is as
// large as the buffer.
func (b *readBuffer) read(p []byte) (int, error) {
	if b.r == b.w {
		if len(p) >= max(b.size, pooledBytes) {
			b.release()
			n, err := b.fill(p)
			b.consumed += uint64(n)
			return n, err
		}
		b.prepare(1)
		n, err := b.fill(b.buf)
		if err != nil {
			return 0, err
		}
		b.w = n
	}
	n := copy(p, b.buf[b.r:b.w])
	b.discard(n)
	return n, nil
}

// readFull fills p; an end of the input within it is io.ErrUnexpectedEOF.
func (b *readBuffer) readFull(p []byte) error {
	for len(p) > 0 {
		n, err := b.read(p)
		p = p[n:]
		if err != nil && len(p) > 0 {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// skip consumes n bytes, whatever they are.
func (b *readBuffer) skip(n int) error {
	for n > 0 {
		if _, err := b.peek(1); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		m := min(n, b.w-b.r)
		b.discard(m)
		n -= m
	}
	return nil
}
