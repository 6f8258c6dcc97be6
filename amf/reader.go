package amf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// reader takes fixed-size fields from a message body.
type reader struct {
	b []byte
	i int
}

func (r *reader) left() int { return len(r.b) - r.i }

// take returns the next n bytes of the body itself. A length of 2^31 and more is
// negative where int has 32 bits.
func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || r.left() < n {
		return nil, fmt.Errorf("%w: %d bytes left of %d", ErrTruncated, r.left(), uint32(n))
	}
	b := r.b[r.i : r.i+n]
	r.i += n
	return b, nil
}

func (r *reader) u8() (byte, error) {
	b, err := r.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (r *reader) u16() (int, error) {
	b, err := r.take(2)
	if err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint16(b)), nil
}

func (r *reader) u32() (uint32, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

func (r *reader) f64() (float64, error) {
	b, err := r.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

// limited is take for a length of at most limit.
func (r *reader) limited(n, limit int) ([]byte, error) {
	if n > limit {
		return nil, fmt.Errorf("%w: a length of %d bytes, allowed are %d", ErrLimit, n, limit)
	}
	return r.take(n)
}

// text returns a copy of the next n bytes, of which limit are allowed. They need not be
// UTF-8: what a publisher sent is relayed as it is.
func (r *reader) text(n, limit int) (string, error) {
	b, err := r.limited(n, limit)
	return string(b), err
}

// u29 reads AMF3's variable-length integer (AMF 3 §1.3.1): seven bits in each of the
// first three bytes, eight in the fourth.
func (r *reader) u29() (int, error) {
	n := 0
	for range 3 {
		b, err := r.u8()
		if err != nil {
			return 0, err
		}
		n = n<<7 | int(b&0x7f)
		if b < 0x80 {
			return n, nil
		}
	}
	b, err := r.u8()
	return n<<8 | int(b), err
}
