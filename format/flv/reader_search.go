package flv

import (
	"encoding/binary"
	"io"
	"slices"
)

// maxCandidates bounds the places that are followed at once. Beyond it those give way
// that would take the most bytes to confirm.
const maxCandidates = 64

// candidate is a place in the input where a tag may begin; end is behind its back pointer.
type candidate struct{ start, end int }

// search looks for a tag among other bytes: a plausible header, and behind the body that
// it announces a back pointer that agrees. Several places are followed side by side,
// so that one false header that announces 16 MiB does not hide the tags behind it.
type search struct {
	scanned int         // bytes that have been looked at
	found   []candidate // in the order of start
	skipped int64
}

func (s *search) start(scanned int) { s.scanned, s.found = scanned, s.found[:0] }

// next takes the first tag that is confirmed. It fails with io.ErrUnexpectedEOF if the
// source ends first, and with the source's error.
func (s *search) next(in *input) (t Tag, ok bool, err error) {
	for {
		b := in.bytes()
		for ; len(b)-s.scanned >= tagHeaderSize; s.scanned++ {
			if h := b[s.scanned:]; plausible(h) {
				s.add(candidate{s.scanned, s.scanned + tagHeaderSize + uint24(h[1:]) + backPointer})
			}
		}
		if c, ok := s.confirm(b); ok {
			s.skip(in, c.start)
			t = in.takeTag(c.end - backPointer - c.start)
			in.advance(backPointer)
			return t, true, nil
		}
		// What lies before the first candidate is of no more use.
		gone := s.scanned
		if len(s.found) > 0 {
			gone = s.found[0].start
		}
		s.skip(in, gone)
		s.scanned -= gone
		for i := range s.found {
			s.found[i].start -= gone
			s.found[i].end -= gone
		}
		if err := in.need(len(in.bytes()) + 1); err != nil {
			s.skip(in, len(in.bytes()))
			s.start(0)
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			in.err = err
			return Tag{}, false, err
		}
	}
}

// confirm returns the first candidate whose back pointer agrees, and forgets those whose
// does not.
func (s *search) confirm(b []byte) (found candidate, ok bool) {
	s.found = slices.DeleteFunc(s.found, func(c candidate) bool {
		if ok || c.end > len(b) {
			return false
		}
		if int(binary.BigEndian.Uint32(b[c.end-backPointer:])) == c.end-backPointer-c.start {
			found, ok = c, true
		}
		return true
	})
	return found, ok
}

func (s *search) add(c candidate) {
	if len(s.found) == maxCandidates {
		far := 0
		for i := range s.found {
			if s.found[i].end > s.found[far].end {
				far = i
			}
		}
		if s.found[far].end <= c.end {
			return
		}
		s.found = slices.Delete(s.found, far, far+1)
	}
	s.found = append(s.found, c)
}

func (s *search) skip(in *input, n int) {
	in.advance(n)
	s.skipped += int64(n)
}
