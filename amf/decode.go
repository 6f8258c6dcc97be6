package amf

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// The AMF0 type markers (AMF 0 §2.1).
const (
	markerNumber      = 0x00
	markerBoolean     = 0x01
	markerString      = 0x02
	markerObject      = 0x03
	markerMovieClip   = 0x04
	markerNull        = 0x05
	markerUndefined   = 0x06
	markerReference   = 0x07
	markerECMAArray   = 0x08
	markerObjectEnd   = 0x09
	markerStrictArray = 0x0a
	markerDate        = 0x0b
	markerLongString  = 0x0c
	markerUnsupported = 0x0d
	markerRecordSet   = 0x0e
	markerXML         = 0x0f
	markerTypedObject = 0x10
	markerAMF3        = 0x11
)

// Decoder reads consecutive AMF0 values from one message body. The strings that it
// returns are copies.
type Decoder struct {
	b      []byte
	i      int
	lim    Limits
	values int
	depth  int
	refs   []Value // the complex values so far, for references; nil while incomplete
	err    error
}

// NewDecoder returns a decoder of b within l.
func NewDecoder(b []byte, l Limits) *Decoder { return &Decoder{b: b, lim: l.withDefaults()} }

// DecodeAll reads all values of b. It returns those read before an error with it.
func DecodeAll(b []byte, l Limits) ([]Value, error) {
	d := NewDecoder(b, l)
	var vs []Value
	for {
		v, err := d.Next()
		if err == io.EOF {
			return vs, nil
		}
		if err != nil {
			return vs, err
		}
		vs = append(vs, v)
	}
}

// Offset returns how many bytes have been consumed.
func (d *Decoder) Offset() int { return d.i }

// Next returns the next value; io.EOF at the end of the body. After any other error the
// decoder is dead and returns it again.
func (d *Decoder) Next() (Value, error) {
	if d.err != nil {
		return nil, d.err
	}
	if d.i == len(d.b) {
		return nil, io.EOF
	}
	start := d.i
	v, err := d.value()
	if err != nil {
		d.err = fmt.Errorf("amf: value at byte %d: %w", start, err)
		return nil, d.err
	}
	return v, nil
}

// Skip passes over one value, within the same limits as Next.
func (d *Decoder) Skip() error {
	_, err := d.Next()
	return err
}

func (d *Decoder) left() int { return len(d.b) - d.i }

// take returns the next n bytes of the body itself.
func (d *Decoder) take(n int) ([]byte, error) {
	if n < 0 || d.left() < n {
		return nil, fmt.Errorf("%w: %d bytes of %d left", ErrTruncated, d.left(), n)
	}
	b := d.b[d.i : d.i+n]
	d.i += n
	return b, nil
}

func (d *Decoder) u8() (byte, error) {
	if d.i == len(d.b) {
		return 0, ErrTruncated
	}
	d.i++
	return d.b[d.i-1], nil
}

func (d *Decoder) u16() (int, error) {
	b, err := d.take(2)
	if err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint16(b)), nil
}

func (d *Decoder) u32() (uint32, error) {
	b, err := d.take(4)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

func (d *Decoder) f64() (float64, error) {
	b, err := d.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

func (d *Decoder) text(n, limit int) (string, error) {
	if n > limit {
		return "", fmt.Errorf("%w: a string of %d bytes, allowed are %d", ErrLimit, n, limit)
	}
	b, err := d.take(n)
	return string(b), err
}

// enter counts a value and, if it holds others, its depth.
func (d *Decoder) count() error {
	if d.values++; d.values > d.lim.Values {
		return fmt.Errorf("%w: more than %d values", ErrLimit, d.lim.Values)
	}
	return nil
}

func (d *Decoder) enter() error {
	if d.depth++; d.depth > d.lim.Depth {
		return fmt.Errorf("%w: nested deeper than %d", ErrLimit, d.lim.Depth)
	}
	return nil
}

func (d *Decoder) value() (Value, error) {
	if err := d.count(); err != nil {
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
		return d.amf3()
	}
	return nil, fmt.Errorf("%w %#02x", ErrMarker, m)
}

// anyOf makes a Value of a typed result.
func anyOf[T any](v T, err error) (Value, error) { return v, err }

// reference returns an earlier complex value of the message. One that is not complete
// would contain itself. Its size counts again, so that references cannot multiply what
// they name.
func (d *Decoder) reference() (Value, error) {
	n, err := d.u16()
	if err != nil {
		return nil, err
	}
	if n >= len(d.refs) || d.refs[n] == nil {
		return nil, fmt.Errorf("%w %d", ErrReference, n)
	}
	v := d.refs[n]
	values, depth := measure(v)
	if d.depth+depth > d.lim.Depth {
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrLimit, d.lim.Depth)
	}
	if d.values += values; d.values > d.lim.Values {
		return nil, fmt.Errorf("%w: more than %d values", ErrLimit, d.lim.Values)
	}
	return v, nil
}

// measure returns how many values v is made of and how deep it is nested.
func measure(v Value) (values, depth int) {
	add := func(v Value) {
		n, d := measure(v)
		values, depth = values+n, max(depth, d)
	}
	switch v := v.(type) {
	case StrictArray:
		for _, e := range v {
			add(e)
		}
	default:
		ps, ok := Properties(v)
		if !ok {
			return 1, 0
		}
		for i := range ps {
			add(ps[i].Value)
		}
	}
	return values + 1, depth + 1
}

func (d *Decoder) complex(m byte) (Value, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer func() { d.depth-- }()
	ref := len(d.refs)
	d.refs = append(d.refs, nil)
	var v Value
	var err error
	switch m {
	case markerObject:
		v, err = anyOf(d.properties())
	case markerECMAArray:
		if _, err = d.u32(); err == nil { // the count is a hint, and often wrong
			var ps Object
			ps, err = d.properties()
			v = ECMAArray(ps)
		}
	case markerTypedObject:
		var t TypedObject
		var n int
		if n, err = d.u16(); err == nil {
			if t.Class, err = d.text(n, d.lim.KeyBytes); err == nil {
				t.Properties, err = d.properties()
			}
		}
		v = t
	case markerStrictArray:
		v, err = anyOf(d.strictArray())
	}
	if err != nil {
		return nil, err
	}
	d.refs[ref] = v
	return v, nil
}

func (d *Decoder) strictArray() (StrictArray, error) {
	n, err := d.u32()
	if err != nil {
		return nil, err
	}
	if int64(n) > int64(d.left()) { // each value takes a byte at least
		return nil, fmt.Errorf("%w: %d values in %d bytes", ErrTruncated, n, d.left())
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
// begin is taken for one that forgot the end, as several encoders do.
func (d *Decoder) properties() (Object, error) {
	ps := Object{}
	for {
		if d.left() < 2 {
			d.i = len(d.b)
			return ps, nil
		}
		n, err := d.u16()
		if err != nil {
			return nil, err
		}
		if n == 0 {
			if d.left() == 0 {
				return ps, nil
			}
			if d.b[d.i] == markerObjectEnd {
				d.i++
				return ps, nil
			}
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
