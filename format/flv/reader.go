package flv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Tag is one tag of a file. Encrypted tags have bit 5 set in Type.
type Tag struct {
	Type TagType
	// Timestamp is in milliseconds, with the extension as the upper 8 bits.
	Timestamp uint32
	// Body belongs to the caller.
	Body []byte
}

// Header is a file header (Annex E.2). The flags are what the writer promised; files
// that promise wrongly are common.
type Header struct {
	Version            uint8
	HasAudio, HasVideo bool
}

// maxDataOffset bounds a file header. Bytes beyond the first 9 are skipped.
const maxDataOffset = 64 << 10

// A Reader reads the tags of an FLV file or stream. From a live source it needs no more
// bytes to return a tag than the tag and the back pointer behind it.
//
// Where no tag begins, it passes over bytes until it finds a tag header whose back
// pointer confirms it. It holds at most one tag and what is being searched, about
// 16 MiB at worst, and never more than twice what has been received.
type Reader struct {
	// MaxBody, if more than 0, is the longest body that is read: ReadTag fails with ErrLimit at the header of a longer one, and holds no more than that.
	MaxBody int

	in     input
	header Header
	state  readerState
	search search
}

type readerState uint8

const (
	atHeader readerState = iota
	atFirstPointer
	atTag
	searching
)

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{in: input{src: r}} }

// Skipped returns how many bytes have been passed over because they belong to no whole tag.
func (r *Reader) Skipped() int64 { return r.search.skipped }

// Header returns the file header, which it reads if nothing has been read yet. It fails
// with ErrHeader if the source does not begin with one or if it is longer than 64 KiB,
// with io.EOF if the source is empty, io.ErrUnexpectedEOF if it ends within, and with
// the source's error.
func (r *Reader) Header() (Header, error) {
	if r.state != atHeader {
		return r.header, nil
	}
	err := r.in.need(fileHeaderSize)
	b := r.in.bytes()
	if n := min(len(b), 3); string(b[:n]) != "FLV"[:n] {
		return Header{}, ErrHeader
	}
	if err != nil {
		return Header{}, err
	}
	h := Header{Version: b[3], HasAudio: b[4]&4 != 0, HasVideo: b[4]&1 != 0}
	offset := binary.BigEndian.Uint32(b[5:])
	if offset < fileHeaderSize || offset > maxDataOffset {
		return Header{}, fmt.Errorf("%w: data begin at %d", ErrHeader, offset)
	}
	if err := r.in.need(int(offset)); err != nil {
		return Header{}, err
	}
	r.in.advance(int(offset))
	r.header, r.state = h, atFirstPointer
	return h, nil
}

// ReadTag returns the next tag. It fails with Header's errors, with io.EOF where the
// file ends behind a tag, with ErrLimit beyond MaxBody, with io.ErrUnexpectedEOF where it ends within one or among
// bytes that are not tags, and with the source's error. Whole tags come before any
// error, after which there are no more.
func (r *Reader) ReadTag() (Tag, error) {
	for {
		var t Tag
		var ok bool
		var err error
		switch r.state {
		case atHeader:
			_, err = r.Header()
		case atFirstPointer:
			err = r.firstPointer()
		case atTag:
			t, ok, err = r.readTag()
		case searching:
			if t, ok, err = r.search.next(&r.in, r.MaxBody); ok {
				r.state = atTag
			}
		}
		if ok || err != nil {
			return t, err
		}
	}
}

// firstPointer reads the back pointer before the first tag, which is 0. If something
// else is there, tags are looked for in it.
func (r *Reader) firstPointer() error {
	if err := r.in.need(backPointer); errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	} else if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(r.in.bytes()) != 0 {
		r.startSearch(0)
		return nil
	}
	r.in.advance(backPointer)
	r.state = atTag
	return nil
}

// readTag reads the tag that should begin here. ok is false with no error if there is
// none, and a search has begun.
func (r *Reader) readTag() (t Tag, ok bool, err error) {
	if err := r.in.need(tagHeaderSize); err != nil {
		return Tag{}, false, err
	}
	b := r.in.bytes()
	size := tagHeaderSize + uint24(b[1:])
	if !plausible(b) {
		r.startSearch(0)
		if knownType(b[0]) { // with a stream id, as some old recorders write it
			r.search.add(candidate{0, size + backPointer})
		}
		return Tag{}, false, nil
	}
	if n := size - tagHeaderSize; r.MaxBody > 0 && n > r.MaxBody {
		r.in.err = fmt.Errorf("%w: a tag of %d bytes, of at most %d", ErrLimit, n, r.MaxBody)
		r.in.advance(len(r.in.bytes()))
		return Tag{}, false, r.in.err
	}
	err = r.in.need(size + backPointer)
	if b = r.in.bytes(); len(b) < size {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			// The file ends here, or the size is wrong and tags follow within.
			r.startSearch(1)
			err = nil
		}
		return Tag{}, false, err
	}
	if err != nil { // only the back pointer is missing
		t = r.in.takeTag(size)
		r.in.advance(len(r.in.bytes()))
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		r.in.err = err
		return t, true, nil
	}
	if int(binary.BigEndian.Uint32(b[size:])) != size {
		// Some writers put other numbers here. If the next tag stands where this one
		// says, this one is good.
		err := r.in.need(size + backPointer + tagHeaderSize)
		next := r.in.bytes()[size+backPointer:]
		atEnd := errors.Is(err, io.ErrUnexpectedEOF) && len(next) > 0
		if (err == nil || atEnd) && !plausible(next) {
			r.startSearch(1)
			return Tag{}, false, nil
		}
	}
	t = r.in.takeTag(size)
	r.in.advance(backPointer)
	return t, true, nil
}

// startSearch begins to look for a tag behind the next n bytes.
func (r *Reader) startSearch(n int) {
	r.state = searching
	r.search.start(n)
}

// knownType reports whether the first byte of a tag says a type that exists, encrypted
// or not.
func knownType(b byte) bool {
	switch TagType(b &^ 0x20) {
	case TagAudio, TagVideo, TagScript, TagScriptAMF3:
		return true
	}
	return false
}

// plausible reports whether b, of one byte or more, looks like a tag header as far as it
// goes: a type that exists, and stream id 0.
func plausible(b []byte) bool {
	if !knownType(b[0]) {
		return false
	}
	for _, id := range b[min(8, len(b)):min(tagHeaderSize, len(b))] {
		if id != 0 {
			return false
		}
	}
	return true
}
