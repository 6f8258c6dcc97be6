package event

import (
	"crypto/rand"
	"time"
)

// ids makes ULIDs (github.com/ulid/spec): 48 bits of milliseconds and 80 random bits. One id is
// greater than the one before also within a millisecond, and when the clock goes back.
type ids struct {
	ms   int64
	last [16]byte
}

// next returns an id for an event at t.
func (s *ids) next(t time.Time) string {
	if ms := t.UnixMilli(); ms > s.ms {
		s.ms = ms
		for i := range 6 {
			s.last[i] = byte(ms >> (8 * (5 - i)))
		}
		_, _ = rand.Read(s.last[6:]) // it never fails
		s.last[6] &= 0x7f            // leaves room to count up
		return encode(s.last)
	}
	for i := len(s.last) - 1; i >= 0; i-- {
		if s.last[i]++; s.last[i] != 0 {
			break
		}
	}
	return encode(s.last)
}

// NewID returns a ULID that stands in no order with those of a Bus.
func NewID(t time.Time) string { return new(ids).next(t) }

// crockford is the alphabet of ULIDs: no I, L, O, U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// encode writes 128 bits as 26 letters of 5 bits; the first letter has the 3 bits that are left.
func encode(b [16]byte) string {
	var out [26]byte
	var bits uint32 // not yet written, at the low end
	n := 2          // how many; two zeros go first, so that 130 bits are written
	w := 0
	for _, c := range b {
		bits = bits<<8 | uint32(c)
		for n += 8; n >= 5; {
			n -= 5
			out[w] = crockford[bits>>n&31]
			w++
		}
	}
	return string(out[:])
}
