// Package bits reads and writes the bit fields of media headers: most significant bit
// first, fixed widths and Exp-Golomb codes (Rec. ITU-T H.264, 9.1), and skips the
// emulation prevention bytes of NAL units on the way (7.4.1). It is meant for headers,
// not for coefficients: it is simple, bounded and does not allocate, but not fast.
package bits

import (
	"errors"
	"io"
)

// ErrRange is returned for an Exp-Golomb code above 2^32-1.
var ErrRange = errors.New("exp-golomb code out of range")

// Reader reads from a byte slice. Its error sticks: once a read went past the end, that
// and all further reads return 0, so a parser may check Err once, but must check it
// before it trusts a count that it loops by.
type Reader struct {
	b     []byte
	cur   uint8 // bits not yet read, in the low bits
	left  uint8 // how many
	zeros uint8 // zero bytes just before b, at most 2
	rbsp  bool
	err   error
}

// NewReader returns a Reader of b.
func NewReader(b []byte) Reader { return Reader{b: b} }

// NewRBSPReader returns a Reader of the payload of a NAL unit, which passes over each 3
// that follows two zero bytes.
func NewRBSPReader(b []byte) Reader { return Reader{b: b, rbsp: true} }

// Err returns the first error: io.ErrUnexpectedEOF for a read past the end, or ErrRange.
func (r *Reader) Err() error { return r.err }

// Bits returns how many bits are left, emulation prevention bytes counted in.
func (r *Reader) Bits() int { return int(r.left) + 8*len(r.b) }

func (r *Reader) fill() bool {
	if r.rbsp && r.zeros == 2 && len(r.b) > 0 && r.b[0] == 3 {
		r.b, r.zeros = r.b[1:], 0
	}
	if len(r.b) == 0 || r.err != nil {
		r.fail(io.ErrUnexpectedEOF)
		return false
	}
	r.cur, r.left, r.b = r.b[0], 8, r.b[1:]
	if r.cur != 0 {
		r.zeros = 0
	} else if r.zeros < 2 {
		r.zeros++
	}
	return true
}

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b, r.left = nil, 0
}

// U reads an unsigned number of n bits, at most 64.
func (r *Reader) U(n int) uint64 {
	var v uint64
	for n > 0 {
		if r.left == 0 && !r.fill() {
			return 0
		}
		k := min(n, int(r.left))
		r.left -= uint8(k)
		v = v<<k | uint64(r.cur>>r.left)&(1<<k-1)
		n -= k
	}
	return v
}

// Flag reads one bit.
func (r *Reader) Flag() bool { return r.U(1) == 1 }

// Skip passes over n bits.
func (r *Reader) Skip(n int) {
	k := min(n, int(r.left))
	r.left -= uint8(k)
	n -= k
	if !r.rbsp {
		whole := min(n/8, len(r.b))
		r.b = r.b[whole:]
		n -= 8 * whole
	}
	for n >= 8 && r.fill() {
		r.left = 0
		n -= 8
	}
	if r.err == nil {
		r.U(n)
	}
}

// Align passes over the rest of the present byte.
func (r *Reader) Align() { r.left = 0 }

// UE reads an unsigned Exp-Golomb code, ue(v). At most 32 leading zeros are read.
func (r *Reader) UE() uint32 {
	n := 0
	for r.err == nil && !r.Flag() {
		if n++; n > 32 {
			r.fail(ErrRange)
		}
	}
	if r.err != nil {
		return 0
	}
	v := r.U(n) + 1<<n - 1
	if r.err == nil && v > 1<<32-1 {
		r.fail(ErrRange)
	}
	if r.err != nil {
		return 0
	}
	return uint32(v)
}

// SE reads a signed Exp-Golomb code, se(v).
func (r *Reader) SE() int32 {
	v := int64(r.UE())
	if v&1 == 1 {
		return int32((v + 1) / 2)
	}
	return int32(-v / 2)
}
