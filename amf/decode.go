package amf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The AMF0 type markers (AMF 0 §2.1).
const (
	markerNumber      = 0x00
	markerBoolean     = 0x01
	markerString      = 0x02
	markerObject      = 0x03
	markerNull        = 0x05
	markerUndefined   = 0x06
	markerReference   = 0x07
	markerECMAArray   = 0x08
	markerObjectEnd   = 0x09
	markerStrictArray = 0x0a
	markerDate        = 0x0b
	markerLongString  = 0x0c
	markerUnsupported = 0x0d
	markerXML         = 0x0f
	markerTypedObject = 0x10
	markerAMF3        = 0x11
)

// Decoder reads consecutive AMF0 values from one message body. The strings that it
// returns are copies. A value that the message refers to again is the same Go value at
// both places. A Decoder is not safe for concurrent use.
type Decoder struct {
	reader
	budget
	start int     // where the current value begins
	refs  []Value // the complex values so far, for references; nil while incomplete
	amf3  tables3
	err   error
}

// NewDecoder returns a decoder of b within l.
func NewDecoder(b []byte, l Limits) *Decoder {
	l = l.withDefaults()
	return &Decoder{reader: reader{b: b}, budget: newBudget(l)}
}

// DecodeAll reads all values of b. It returns those read before an error with it.
func DecodeAll(b []byte, l Limits) ([]Value, error) {
	d := NewDecoder(b, l)
	var vs []Value
	for {
		v, err := d.Next()
		if errors.Is(err, io.EOF) {
			return vs, nil
		}
		if err != nil {
			return vs, err
		}
		vs = append(vs, v)
	}
}

// Offset returns how many bytes the values read so far have taken; one that failed has
// taken none.
func (d *Decoder) Offset() int {
	if d.err != nil {
		return d.start
	}
	return d.i
}

// Next returns the next value; io.EOF at the end of the body. Any other error wraps
// ErrTruncated, ErrLimit, ErrMarker or ErrReference; the decoder is dead after it and
// returns it again.
func (d *Decoder) Next() (Value, error) { return d.next((*Decoder).value) }

func (d *Decoder) next(read func(*Decoder) (Value, error)) (Value, error) {
	if d.err != nil {
		return nil, d.err
	}
	if d.left() == 0 {
		return nil, io.EOF
	}
	d.start = d.i
	v, err := read(d)
	if err != nil {
		d.err = fmt.Errorf("amf: value at byte %d: byte %d: %w", d.start, d.i, err)
		return nil, d.err
	}
	return v, nil
}

// Skip passes over one value, within the same limits and with the same errors as Next.
// It allocates nothing for a value that holds no others.
func (d *Decoder) Skip() error {
	if n := d.plain(); d.err == nil && n > 0 && n <= d.left() && d.count(1) == nil {
		d.start = d.i
		d.i += n
		return nil
	}
	_, err := d.Next() // a value that holds others must be known to later references
	return err
}

// plain returns the size of the next value if it is one that holds no others, cannot be
// referred to and does not break a limit; else 0.
func (d *Decoder) plain() int {
	b := d.b[d.i:]
	if len(b) == 0 {
		return 0
	}
	head, n := 1, 0
	switch b[0] {
	case markerNull, markerUndefined, markerUnsupported:
	case markerBoolean:
		head = 2
	case markerNumber:
		head = 9
	case markerDate:
		head = 11
	case markerString:
		if head = 3; len(b) >= head {
			n = int(binary.BigEndian.Uint16(b[1:]))
		}
	case markerLongString, markerXML:
		if head = 5; len(b) >= head {
			// An absurd length is left to Next, which knows the error.
			n = int(min(binary.BigEndian.Uint32(b[1:]), 1<<30))
		}
	default:
		return 0
	}
	if n > d.lim.StringBytes {
		return 0
	}
	return head + n
}

func (d *Decoder) value() (Value, error) {
	if err := d.count(1); err != nil {
		return nil, err
	}
	m, err := d.u8()
	if err != nil {
		return nil, err
	}
	switch m {
	case markerNumber:
		return anyOf(d.f64())
	case markerBoolean:
		b, err := d.u8()
		return b != 0, err
	case markerString:
		n, err := d.u16()
		if err != nil {
			return nil, err
		}
		return anyOf(d.text(n, d.lim.StringBytes))
	case markerNull:
		return nil, nil
	case markerUndefined:
		return Undefined{}, nil
	case markerUnsupported:
		return Unsupported{}, nil
	case markerLongString, markerXML:
		n, err := d.u32()
		if err != nil {
			return nil, err
		}
		s, err := d.text(int(n), d.lim.StringBytes)
		if m == markerXML {
			return XML(s), err
		}
		return s, err
	case markerDate:
		ms, err := d.f64()
		if err != nil {
			return nil, err
		}
		zone, err := d.u16()
		return Date{ms, int16(zone)}, err
	case markerReference:
		return d.reference()
	case markerObject, markerECMAArray, markerStrictArray, markerTypedObject:
		return d.complex(m)
	case markerAMF3:
		return d.value3()
	}
	return nil, fmt.Errorf("%w %#02x", ErrMarker, m)
}

// anyOf makes a Value of a typed result.
func anyOf[T any](v T, err error) (Value, error) { return v, err }

// reference returns an earlier complex value of the message.
func (d *Decoder) reference() (Value, error) {
	n, err := d.u16()
	if err != nil {
		return nil, err
	}
	return d.again(d.refs, n)
}

// complex reads the rest of a value that holds others and may be referred to.
func (d *Decoder) complex(m byte) (Value, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	ref := len(d.refs)
	d.refs = append(d.refs, nil)
	v, err := d.inside(m)
	if err != nil {
		return nil, err
	}
	d.refs[ref] = v
	return v, nil
}

func (d *Decoder) inside(m byte) (Value, error) {
	switch m {
	case markerObject:
		return anyOf(d.properties())
	case markerECMAArray:
		if _, err := d.u32(); err != nil { // the count is a hint, and often wrong
			return nil, err
		}
		ps, err := d.properties()
		return ECMAArray(ps), err
	case markerTypedObject:
		n, err := d.u16()
		if err != nil {
			return nil, err
		}
		class, err := d.text(n, d.lim.KeyBytes)
		if err != nil {
			return nil, err
		}
		ps, err := d.properties()
		return TypedObject{class, ps}, err
	}
	return anyOf(d.strictArray())
}

func (d *Decoder) strictArray() (StrictArray, error) {
	n, err := d.u32()
	if err != nil {
		return nil, err
	}
	if err := d.holds(int64(n), 1); err != nil {
		return nil, err
	}
	a := StrictArray{}
	for range n {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	return a, nil
}

// properties reads up to the end of an object. A body that ends where a key would
// begin, or within the end marker, is taken for one that forgot it, as several encoders
// do. An empty key with any other value is a key like others.
func (d *Decoder) properties() (Object, error) {
	ps := Object{}
	for {
		if d.left() == 0 || d.left() == 1 && d.b[d.i] == 0 {
			d.i = len(d.b)
			return ps, nil
		}
		n, err := d.u16()
		if err != nil {
			return nil, err
		}
		if n == 0 && d.left() == 0 {
			return ps, nil
		}
		if n == 0 && d.b[d.i] == markerObjectEnd {
			d.i++
			return ps, nil
		}
		key, err := d.text(n, d.lim.KeyBytes)
		if err != nil {
			return nil, err
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		ps = append(ps, Property{key, v})
	}
}

// holds refuses a count of values, each of size bytes at least, that the rest of the
// body does not hold or the limits do not allow, before anything is allocated for them.
func (d *Decoder) holds(n int64, size int) error {
	if n > int64(d.left()/size) {
		return fmt.Errorf("%w: %d values in %d bytes", ErrTruncated, n, d.left())
	}
	if n > int64(d.lim.Values-d.values) {
		return fmt.Errorf("%w: more than %d values", ErrLimit, d.lim.Values)
	}
	return nil
}
