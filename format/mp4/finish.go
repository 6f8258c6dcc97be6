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
		moov, err := fmp4.ReadBox(f, h.mdatEnd, size)
		if err != nil || !h.describes(moov) {
			return noIndexOr(err)
		}
		return h.moveFront(f, moov)
	}
	s, err := scan(f, size, &h, []*fmp4.Tables{})
	if err != nil {
		return err
	}
	if err := f.Truncate(s.end); err != nil { // also where nothing is behind it: room may have been reserved there
		return err
	}
	tail, err := fmp4.AppendPlain(nil, s.moov, s.tables)
	if err != nil {
		return err
	}
	moov := int64(len(tail))
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
	if err := f.Sync(); err != nil {
		return err
	}
	return h.moveFront(f, fmp4.Box{Type: "moov", Begin: s.end, End: s.end + moov})
}

// describes reports whether a box is what is behind the media of a finished file: its moov box, or a free box once that
// stands in front.
func (h *head) describes(b fmp4.Box) bool {
	return b.Type == "moov" || b.Type == "free" && h.front.Type == "moov"
}

// moveFront moves the moov box behind the media of a file that is whole into what was reserved in front, if it fits there: exactly, or with room for the
// head of a free box behind it. The file can be played after each step, and the steps that are left are done by another call.
func (h *head) moveFront(f File, moov fmp4.Box) error {
	left := h.front.End - h.front.Begin - (moov.End - moov.Begin)
	switch {
	case moov.Type != "moov", h.front.Type == "":
		return nil
	case h.front.Type == "free" && (left == 0 || left > freeSize):
		b, err := readBytes(f, moov.Begin, moov.End)
		if err != nil {
			return err
		}
		begin := b[:8:8]
		if left > 0 {
			b = append(binary.BigEndian.AppendUint32(b, uint32(left)), "free"...)
		}
		if _, err := f.WriteAt(b[8:], h.front.Begin+8); err != nil { // for readers it is free
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		if _, err := f.WriteAt(begin, h.front.Begin); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	case h.front.Type == "free":
		return nil
	}
	if _, err := f.WriteAt([]byte("free"), moov.Begin+4); err != nil {
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
