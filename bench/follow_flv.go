package bench

import (
	"encoding/binary"
	"fmt"
)

const (
	flvHeader    = 9 + 4 // with the first PreviousTagSize
	flvTagHeader = 11
	flvTrailer   = 4
)

// flvFollower follows FLV: tag headers and the first and last bytes of tags (Adobe Flash
// Video File Format 10.1, annex E).
type flvFollower struct {
	to      messages
	begun   bool
	partial []byte // of a header or trailer
	tag     chunkStream
	inside  bool // in the body of the tag
	after   bool // before its PreviousTagSize
}

func newFLVFollower(to messages) *flvFollower {
	return &flvFollower{to: to, partial: make([]byte, 0, flvHeader)}
}

// feed follows b.
func (f *flvFollower) feed(b []byte) error {
	for len(b) > 0 {
		if f.inside {
			n := min(uint32(len(b)), f.tag.length-f.tag.got)
			f.tag.take(b[:n])
			b = b[n:]
			f.inside = f.tag.got < f.tag.length
			f.after = !f.inside
			continue
		}
		need := flvTagHeader
		switch {
		case !f.begun:
			need = flvHeader
		case f.after:
			need = flvTrailer
		}
		n := min(need-len(f.partial), len(b))
		f.partial = append(f.partial, b[:n]...)
		b = b[n:]
		if len(f.partial) < need {
			return nil
		}
		if err := f.piece(f.partial); err != nil {
			return err
		}
		f.partial = f.partial[:0]
	}
	return nil
}

// piece reads a whole header or trailer.
func (f *flvFollower) piece(b []byte) error {
	switch {
	case !f.begun:
		if string(b[:3]) != "FLV" || binary.BigEndian.Uint32(b[5:]) != 9 {
			return fmt.Errorf("%w: no FLV header", errFraming)
		}
		f.begun = true
		return nil
	case f.after:
		f.after = false
		if size := binary.BigEndian.Uint32(b); size != f.tag.length+flvTagHeader {
			return fmt.Errorf("%w: a tag of %d bytes ends as one of %d", errFraming, f.tag.length+flvTagHeader, size)
		}
		return f.to.message(f.tag.typ, f.tag.head, int(f.tag.length), f.tag.tail)
	}
	f.tag = chunkStream{
		typ:    b[0],
		length: uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]),
		head:   f.tag.head[:0],
	}
	if t := f.tag.typ; t != typeAudio && t != typeVideo && t != typeData {
		return fmt.Errorf("%w: tag type %d", errFraming, t)
	}
	f.inside = f.tag.length > 0
	f.after = !f.inside
	return nil
}
