package amf

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// The AMF3 type markers (AMF 3 §3.1).
const (
	marker3Undefined    = 0x00
	marker3Null         = 0x01
	marker3False        = 0x02
	marker3True         = 0x03
	marker3Integer      = 0x04
	marker3Double       = 0x05
	marker3String       = 0x06
	marker3XMLDocument  = 0x07
	marker3Date         = 0x08
	marker3Array        = 0x09
	marker3Object       = 0x0a
	marker3XML          = 0x0b
	marker3ByteArray    = 0x0c
	marker3VectorInt    = 0x0d
	marker3VectorUint   = 0x0e
	marker3VectorDouble = 0x0f
	marker3VectorObject = 0x10
	marker3Dictionary   = 0x11
)

// maxReferences bounds each of AMF3's reference tables. What comes after is read but
// cannot be referred to.
const maxReferences = 1024

// tables3 are AMF3's reference tables. One set serves all AMF3 values of a message, as
// Flash and the servers made for it have it.
type tables3 struct {
	strings []string
	objects []Value // nil while incomplete
	traits  []traits
}

// traits is the shape of an AMF3 object.
type traits struct {
	class   string
	sealed  []string
	dynamic bool
}

// DecodeAMF3 reads one bare AMF3 value from the start of b, and returns how many bytes
// it took; what follows is ignored. Values take the form that AMF0 has for them:
// integers are float64, arrays without keys StrictArray, arrays with keys ECMAArray
// (elements without a key come last, under their index), vectors StrictArray (the class
// name of a vector of objects is dropped), dictionaries ECMAArray with keys as
// ActionScript prints them, both kinds of XML document XML.
//
// Errors are those of Decoder.Next, except that an empty b is ErrTruncated.
func DecodeAMF3(b []byte, l Limits) (Value, int, error) {
	d := NewDecoder(b, l)
	v, err := d.next((*Decoder).counted3)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("amf: AMF3 value: %w", ErrTruncated)
	}
	return v, d.Offset(), err
}

func (d *Decoder) counted3() (Value, error) {
	if err := d.count(1); err != nil {
		return nil, err
	}
	return d.value3()
}

// value3 reads an AMF3 value that has been counted.
func (d *Decoder) value3() (Value, error) {
	m, err := d.u8()
	if err != nil {
		return nil, err
	}
	switch m {
	case marker3Undefined:
		return Undefined{}, nil
	case marker3Null:
		return nil, nil
	case marker3False, marker3True:
		return m == marker3True, nil
	case marker3Integer:
		n, err := d.u29()
		return float64(int32(uint32(n)<<3) >> 3), err // 29 bits with a sign
	case marker3Double:
		return anyOf(d.f64())
	case marker3String:
		s, again, err := d.string3(d.lim.StringBytes)
		if err == nil && again {
			err = d.repeat(len(s))
		}
		return s, err
	}
	if m > marker3Dictionary {
		return nil, fmt.Errorf("AMF3: %w %#02x", ErrMarker, m)
	}
	n, inline, err := d.head3()
	if err != nil {
		return nil, err
	}
	if !inline {
		return d.again(d.amf3.objects, n)
	}
	ref := len(d.amf3.objects)
	if ref < maxReferences {
		d.amf3.objects = append(d.amf3.objects, nil)
	}
	v, err := d.inline3(m, n)
	if err != nil {
		return nil, err
	}
	if ref < maxReferences {
		d.amf3.objects[ref] = v
	}
	return v, nil
}

// head3 reads what begins a value that may be a reference: its number if it is one, else
// the length, count or flags of the value that follows.
func (d *Decoder) head3() (n int, inline bool, err error) {
	n, err = d.u29()
	return n >> 1, n&1 == 1, err
}

// inline3 reads the rest of a value whose head said n.
func (d *Decoder) inline3(m byte, n int) (Value, error) {
	switch m {
	case marker3XMLDocument, marker3XML:
		s, err := d.text(n, d.lim.StringBytes)
		return XML(s), err
	case marker3ByteArray:
		b, err := d.limited(n, d.lim.StringBytes)
		return append(Bytes{}, b...), err
	case marker3Date:
		ms, err := d.f64()
		return Date{UnixMilli: ms}, err
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.leave()
	switch m {
	case marker3Array:
		return d.array3(n)
	case marker3Object:
		return d.object3(n)
	case marker3Dictionary:
		return d.dictionary3(n)
	}
	return anyOf(d.vector3(m, n))
}

// string3 reads a string or a reference to one, and says which.
func (d *Decoder) string3(limit int) (s string, again bool, err error) {
	n, inline, err := d.head3()
	if err != nil {
		return "", false, err
	}
	if inline {
		s, err = d.text(n, limit)
		// The empty string is never in the table.
		if err == nil && s != "" && len(d.amf3.strings) < maxReferences {
			d.amf3.strings = append(d.amf3.strings, s)
		}
		return s, false, err
	}
	if n >= len(d.amf3.strings) {
		return "", true, fmt.Errorf("AMF3 string: %w %d", ErrReference, n)
	}
	if s = d.amf3.strings[n]; len(s) > limit {
		return "", true, fmt.Errorf("%w: a string of %d bytes, allowed are %d", ErrLimit, len(s), limit)
	}
	return s, true, nil
}

func (d *Decoder) key3() (string, error) {
	s, _, err := d.string3(d.lim.KeyBytes)
	return s, err
}

// pairs3 reads keys with their values up to the empty key.
func (d *Decoder) pairs3(ps Object) (Object, error) {
	for {
		key, err := d.key3()
		if err != nil || key == "" {
			return ps, err
		}
		v, err := d.counted3()
		if err != nil {
			return nil, err
		}
		ps = append(ps, Property{key, v})
	}
}

func (d *Decoder) array3(n int) (Value, error) {
	if err := d.holds(int64(n), 1); err != nil {
		return nil, err
	}
	ps, err := d.pairs3(nil)
	if err != nil {
		return nil, err
	}
	dense := StrictArray{}
	for range n {
		v, err := d.counted3()
		if err != nil {
			return nil, err
		}
		dense = append(dense, v)
	}
	if ps == nil {
		return dense, nil
	}
	for i, v := range dense {
		key, err := d.keyOf(float64(i))
		if err != nil {
			return nil, err
		}
		ps = append(ps, Property{key, v})
	}
	return ECMAArray(ps), nil
}

func (d *Decoder) object3(n int) (Value, error) {
	t, err := d.traits3(n)
	if err != nil {
		return nil, err
	}
	ps := Object{}
	for _, key := range t.sealed {
		v, err := d.counted3()
		if err != nil {
			return nil, err
		}
		ps = append(ps, Property{key, v})
	}
	if t.dynamic {
		if ps, err = d.pairs3(ps); err != nil {
			return nil, err
		}
	}
	if t.class != "" {
		return TypedObject{t.class, ps}, nil
	}
	return ps, nil
}

// traits3 reads the traits of an object, or a reference to some, from the head n: bit 0
// says inline, bit 1 externalizable, bit 2 dynamic, the rest how many are sealed.
func (d *Decoder) traits3(n int) (t traits, err error) {
	if n&1 == 0 {
		if n >>= 1; n >= len(d.amf3.traits) {
			return t, fmt.Errorf("AMF3 traits: %w %d", ErrReference, n)
		}
		return d.amf3.traits[n], nil
	}
	if n&2 != 0 {
		return t, fmt.Errorf("AMF3: %w: externalizable object", ErrMarker)
	}
	t.dynamic = n&4 != 0
	sealed := n >> 3
	if t.class, err = d.key3(); err != nil {
		return t, err
	}
	if err := d.holds(int64(sealed), 2); err != nil { // a key and a value each
		return t, err
	}
	for range sealed {
		key, err := d.key3()
		if err != nil {
			return t, err
		}
		t.sealed = append(t.sealed, key)
	}
	if len(d.amf3.traits) < maxReferences {
		d.amf3.traits = append(d.amf3.traits, t)
	}
	return t, nil
}

func (d *Decoder) dictionary3(n int) (Value, error) {
	if _, err := d.u8(); err != nil { // weak keys: of no meaning here
		return nil, err
	}
	if err := d.holds(int64(n), 2); err != nil {
		return nil, err
	}
	a := ECMAArray{}
	for range n {
		k, err := d.counted3()
		if err != nil {
			return nil, err
		}
		key, err := d.keyOf(k)
		if err != nil {
			return nil, err
		}
		v, err := d.counted3()
		if err != nil {
			return nil, err
		}
		a = append(a, Property{key, v})
	}
	return a, nil
}

// keyOf returns the key that ActionScript makes of a simple value.
func (d *Decoder) keyOf(v Value) (string, error) {
	var key string
	switch v := v.(type) {
	case nil:
		key = "null"
	case Undefined:
		key = "undefined"
	case bool:
		key = strconv.FormatBool(v)
	case string:
		key = v
	case float64:
		key = formatNumber(v)
	default:
		return "", fmt.Errorf("AMF3: %w: dictionary key of type %T", ErrMarker, v)
	}
	if len(key) > d.lim.KeyBytes {
		return "", fmt.Errorf("%w: a key of %d bytes, allowed are %d", ErrLimit, len(key), d.lim.KeyBytes)
	}
	return key, nil
}

func formatNumber(n float64) string {
	switch a := math.Abs(n); {
	case math.IsInf(n, 1):
		return "Infinity"
	case math.IsInf(n, -1):
		return "-Infinity"
	case a == 0:
		return "0"
	case a >= 1e-6 && a < 1e21:
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return strconv.FormatFloat(n, 'g', -1, 64)
}

func (d *Decoder) vector3(m byte, n int) (StrictArray, error) {
	if _, err := d.u8(); err != nil { // fixed length: of no meaning here
		return nil, err
	}
	element, size := d.int3, 4
	switch m {
	case marker3VectorUint:
		element = d.uint3
	case marker3VectorDouble:
		element, size = d.double3, 8
	case marker3VectorObject:
		if _, err := d.key3(); err != nil { // the class name
			return nil, err
		}
		element, size = d.value3, 1
	}
	if err := d.holds(int64(n), size); err != nil {
		return nil, err
	}
	a := StrictArray{}
	for range n {
		if err := d.count(1); err != nil {
			return nil, err
		}
		v, err := element()
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	return a, nil
}

func (d *Decoder) int3() (Value, error) {
	u, err := d.u32()
	return float64(int32(u)), err
}

func (d *Decoder) uint3() (Value, error) {
	u, err := d.u32()
	return float64(u), err
}

func (d *Decoder) double3() (Value, error) { return anyOf(d.f64()) }
