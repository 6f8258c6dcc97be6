package flv

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"
)

// maxCandidates bounds the places that are followed at once. Beyond it those give way
// that would take the most bytes to confirm.
const maxCandidates = 64

// candidate is a place in the input where a tag may begin; end is behind its back pointer.
type candidate struct{ start, end int }

// agrees reports whether the back pointer, which is there, says what the header says.
func (c candidate) agrees(b []byte) bool {
	size := c.end - backPointer - c.start
	return int(binary.BigEndian.Uint32(b[c.start+size:])) == size
}

// search looks for a tag among other bytes: a plausible header, and behind the body that
// it announces a back pointer that agrees. Several places are followed side by side,
// so that one false header that announces 16 MiB does not hide the tags behind it. What
// is found depends on the bytes only, not on the pieces in which they come.
type search struct {
	scanned int         // bytes at which no tag header can begin, or a candidate does
	found   []candidate // in the order of start
	nearest int         // the least end of those found
	skipped int64
}

func (s *search) start(scanned int) {
	s.scanned, s.found, s.nearest = scanned, s.found[:0], math.MaxInt
}

// next takes the tag that is confirmed first, of at most a number of bytes if that is more than 0. It fails with io.ErrUnexpectedEOF if the
// source ends before that, and with the source's error.
func (s *search) next(in *input, most int) (t Tag, ok bool, err error) {
	for {
		b := in.bytes()
		for ; len(b)-s.scanned >= tagHeaderSize; s.scanned++ {
			seen := s.scanned + tagHeaderSize
			if s.nearest <= seen {
				if c, ok := s.confirm(b[:seen]); ok {
					s.skip(in, c.start)
					t = in.takeTag(c.end - backPointer - c.start)
					in.advance(backPointer)
					return t, true, nil
				}
			}
			if h := b[s.scanned:]; plausible(h) && (most <= 0 || uint24(h[1:]) <= most) {
				s.add(candidate{s.scanned, s.scanned + tagHeaderSize + uint24(h[1:]) + backPointer})
			}
		}
		s.forget(in)
		if err := in.need(len(in.bytes()) + 1); err != nil {
			s.skip(in, len(in.bytes()))
			s.start(0)
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			in.err = err
			return Tag{}, false, err
		}
	}
}

// confirm returns the candidate that ends within b and whose back pointer agrees, and
// drops those whose does not.
func (s *search) confirm(b []byte) (found candidate, ok bool) {
	s.nearest = math.MaxInt
	s.found = slices.DeleteFunc(s.found, func(c candidate) bool {
		if c.end > len(b) {
			s.nearest = min(s.nearest, c.end)
			return false
		}
		if c.agrees(b) {
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
	s.nearest = min(s.nearest, c.end)
}

// forget skips what lies before the first candidate: it is of no more use.
func (s *search) forget(in *input) {
	gone := s.scanned
	if len(s.found) > 0 {
		gone = s.found[0].start
	}
	if gone == 0 {
		return
	}
	s.skip(in, gone)
	s.scanned -= gone
	for i := range s.found {
		s.found[i].start -= gone
		s.found[i].end -= gone
	}
	if len(s.found) > 0 {
		s.nearest -= gone
	}
}

func (s *search) skip(in *input, n int) {
	in.advance(n)
	s.skipped += int64(n)
}
