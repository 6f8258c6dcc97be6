package mp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"weir/format/fmp4"
)

// File is what Finish needs of a file; an *os.File is one.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Truncate changes the file's length.
	Truncate(size int64) error
	// Sync forces what was written to the disk.
	Sync() error
}

// Finish makes a plain MP4 file of a file of so many bytes that a Muxer made; see the package's description. What is behind the last
// whole fragment is cut off. A file that is finished is left as it is. If something fails the file stays one of fragments, and
// can be finished later. It fails with ErrForeign, ErrEmpty, or the file's error.
func Finish(f File, size int64) error {
	if err := finish(f, size); err != nil {
		return fmt.Errorf("mp4: finishing: %w", err)
	}
	return nil
}

// Recover finishes a file that a crash left. A finished file is not touched. It fails as Finish does.
func Recover(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("mp4: finishing: %w", err)
	}
	return Finish(f, info.Size())
}

func finish(f File, size int64) error {
	h, err := readHead(f, size)
	if err != nil {
		return err
	}
	if h.finished {
		if moov, err := fmp4.ReadBox(f, h.mdatEnd, size); err != nil || moov.Type != "moov" {
			return noIndexOr(err)
		}
		return nil
	}
	s, err := scan(f, size, &h, []*fmp4.Tables{})
	if err != nil {
		return err
	}
	if size > s.end {
		if err := f.Truncate(s.end); err != nil {
			return err
		}
	}
	tail, err := fmp4.AppendPlain(nil, s.moov, s.tables)
	if err != nil {
		return err
	}
	tail = appendIndex(tail, s.index)
	if _, err := f.WriteAt(tail, s.end); err != nil {
		return errors.Join(err, f.Truncate(s.end))
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// 16 bytes within the first sector, which disks write whole or not at all.
	if _, err := f.WriteAt(mdatHead(s.end-h.free), h.free); err != nil {
		return err
	}
	return f.Sync()
}

// mdatHead is the head of a mdat box of so many bytes in the place of the free box.
func mdatHead(size int64) []byte {
	var b [freeSize]byte
	copy(b[4:], "mdat")
	if size <= math.MaxUint32 {
		binary.BigEndian.PutUint32(b[:], uint32(size)) // the other 8 bytes are content that nothing refers to
		return b[:]
	}
	b[3] = 1
	binary.BigEndian.PutUint64(b[8:], uint64(size))
	return b[:]
}
