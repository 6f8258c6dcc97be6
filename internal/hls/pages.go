package hls

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"sync/atomic"
)

// pages makes files that are in memory only. The kernel sends a file to many viewers without copying its
// bytes for each, as it must for memory of the process itself. A nil pages makes none.
type pages struct {
	most int64
	used atomic.Int64
}

// share is how large a part of the process's descriptors files in memory may take: the others are
// for connections.
const share = 4

func newPages() *pages { return &pages{most: int64(min(descriptors()/share, 1<<20))} }

// open returns a new file, or nil if there is none to be had. It is closed by the runtime when
// neither its segment nor an answer that is being sent refers to it any more.
func (p *pages) open() *os.File {
	if p == nil {
		return nil
	}
	if p.used.Add(1) > p.most {
		p.used.Add(-1)
		return nil
	}
	f := inMemory()
	if f == nil {
		p.used.Add(-1)
		return nil
	}
	runtime.SetFinalizer(f, func(f *os.File) {
		_ = f.Close() // the descriptor counts for as long as it is open, and closing takes its time
		p.used.Add(-1)
	})
	return f
}

// Piece is a run of bytes: Bytes, or if File is not nil, Size of its bytes from At on.
type Piece struct {
	Bytes    []byte
	File     *os.File
	At, Size int64
}

func ofBytes(b []byte) Piece { return Piece{Bytes: b, Size: int64(len(b))} }

// Reader returns a reader of the piece.
func (p *Piece) Reader() *io.SectionReader {
	if p.File != nil {
		return io.NewSectionReader(p.File, p.At, p.Size)
	}
	return io.NewSectionReader(bytes.NewReader(p.Bytes), 0, p.Size)
}
