package amf

import "fmt"

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

// traits is the shape of an AMF3 object.
type traits struct {
	class   string
	sealed  []string
	dynamic bool
}

// decoder3 reads one AMF3 value with its own reference tables: each value behind the
// AMF0 marker 0x11 stands alone.
type decoder3 struct {
	*Decoder
	strings []string
	objects []Value // nil while incomplete
	traits  []traits
}

// DecodeAMF3 reads one bare AMF3 value from the start of b, and returns how many bytes
// it took. Numbers become float64, dense arrays StrictArray, arrays with keys
// ECMAArray (dense values under their index), vectors StrictArray, dictionaries
// ECMAArray with the keys as text.
func DecodeAMF3(b []byte, l Limits) (Value, int, error) {
	d := NewDecoder(b, l)
	v, err := d.amf3()
	if err != nil {
		return nil, d.i, fmt.Errorf("amf: AMF3 value: %w", err)
	}
	return v, d.i, nil
}

func (d *Decoder) amf3() (Value, error) {
	d3 := decoder3{Decoder: d}
	return d3.value()
}

// u29 reads a variable-length integer (AMF 3 §1.3.1).
func (d *decoder3) u29() (int, error) {
	n := 0
	for i := range 4 {
		b, err := d.u8()
		if err != nil {
			return 0, err
		}
		if i == 3 {
			return n<<8 | int(b), nil
		}
		n = n<<7 | int(b&0x7f)
		if b < 0x80 {
			break
		}
	}
	return n, nil
}

// head reads what begins a value that may be a reference: its number if it is one, else
// the length or count that follows.
func (d *decoder3) head() (n int, inline bool, err error) {
	n, err = d.u29()
	return n >> 1, n&1 == 1, err
}

func (d *decoder3) value() (Value, error) {
	if err := d.count(); err != nil {
		return nil, err
	}
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
		return float64(int32(n<<3) >> 3), err
	case marker3Double:
		return anyOf(d.f64())
	case marker3String:
		return anyOf(d.string(d.lim.StringBytes))
	}
	if m > marker3Dictionary {
		return nil, fmt.Errorf("AMF3: %w %#02x", ErrMarker, m)
	}
	n, inline, err := d.head()
	if err != nil {
		return nil, err
	}
	if !inline {
		if n >= len(d.objects) || d.objects[n] == nil {
			return nil, fmt.Errorf("AMF3: %w %d", ErrReference, n)
		}
		v := d.objects[n]
		values, depth := measure(v)
		if d.values += values; d.values > d.lim.Values || d.depth+depth > d.lim.Depth {
			return nil, fmt.Errorf("%w: references to large values", ErrLimit)
		}
		return v, nil
	}
	if len(d.objects) >= maxReferences {
		return nil, fmt.Errorf("%w: more than %d AMF3 objects", ErrLimit, maxReferences)
	}
	ref := len(d.objects)
	d.objects = append(d.objects, nil)
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer func() { d.depth-- }()
	v, err := d.inline(m, n)
	if err != nil {
		return nil, err
	}
	d.objects[ref] = v
	return v, nil
}

// inline reads the rest of a complex value whose head said n.
func (d *decoder3) inline(m byte, n int) (Value, error) {
	switch m {
	case marker3XMLDocument, marker3XML:
		s, err := d.text(n, d.lim.StringBytes)
		return XML(s), err
	case marker3ByteArray:
		s, err := d.text(n, d.lim.StringBytes)
		return Bytes(s), err
	case marker3Date:
		ms, err := d.f64()
		return Date{UnixMilli: ms}, err
	case marker3Array:
		return d.array(n)
	case marker3Object:
		return d.object(n)
	case marker3Dictionary:
		return d.dictionary(n)
	}
	return d.vector(m, n)
}

func (d *decoder3) string(limit int) (string, error) {
	n, inline, err := d.head()
	if err != nil {
		return "", err
	}
	if !inline {
		if n >= len(d.strings) {
			return "", fmt.Errorf("AMF3: %w to string %d", ErrReference, n)
		}
		if s := d.strings[n]; len(s) <= limit {
			return s, nil
		}
		return "", fmt.Errorf("%w: a string of %d bytes, allowed are %d", ErrLimit, len(d.strings[n]), limit)
	}
	s, err := d.text(n, limit)
	if err != nil || s == "" { // the empty string is never in the table
		return s, err
	}
	if len(d.strings) >= maxReferences {
		return "", fmt.Errorf("%w: more than %d AMF3 strings", ErrLimit, maxReferences)
	}
	d.strings = append(d.strings, s)
	return s, nil
}

// fits refuses a count of values that the rest of the input cannot hold.
func (d *decoder3) fits(n, size int) error {
	if n > d.left()/size {
		return fmt.Errorf("%w: %d values in %d bytes", ErrTruncated, n, d.left())
	}
	return nil
}

func (d *decoder3) array(n int) (Value, error) {
	var ps Object
	for {
		key, err := d.string(d.lim.KeyBytes)
		if err != nil {
			return nil, err
		}
		if key == "" {
			break
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		ps = append(ps, Property{key, v})
	}
	if err := d.fits(n, 1); err != nil {
		return nil, err
	}
	dense := StrictArray{}
	for range n {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		dense = append(dense, v)
	}
	if ps == nil {
		return dense, nil
	}
	for i, v := range dense {
		ps = append(ps, Property{fmt.Sprint(i), v})
	}
	return ECMAArray(ps), nil
}

func (d *decoder3) object(n int) (Value, error) {
	var t traits
	switch {
	case n&1 == 0:
		if n >>= 1; n >= len(d.traits) {
			return nil, fmt.Errorf("AMF3: %w to traits %d", ErrReference, n)
		}
		t = d.traits[n]
	case n&2 != 0:
		return nil, fmt.Errorf("AMF3: %w: externalizable object", ErrMarker)
	default:
		t.dynamic = n&4 != 0
		sealed := n >> 3
		var err error
		if t.class, err = d.string(d.lim.KeyBytes); err != nil {
			return nil, err
		}
		if err := d.fits(sealed, 1); err != nil {
			return nil, err
		}
		if sealed > d.lim.Values || len(d.traits) >= maxReferences {
			return nil, fmt.Errorf("%w: AMF3 traits", ErrLimit)
		}
		for range sealed {
			key, err := d.string(d.lim.KeyBytes)
			if err != nil {
				return nil, err
			}
			t.sealed = append(t.sealed, key)
		}
		d.traits = append(d.traits, t)
	}
	ps := Object{}
	for _, key := range t.sealed {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		ps = append(ps, Property{key, v})
	}
	for t.dynamic {
		key, err := d.string(d.lim.KeyBytes)
		if err != nil {
			return nil, err
		}
		if key == "" {
			break
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		ps = append(ps, Property{key, v})
	}
	if t.class != "" {
		return TypedObject{t.class, ps}, nil
	}
	return ps, nil
}

func (d *decoder3) dictionary(n int) (Value, error) {
	if _, err := d.u8(); err != nil { // weak keys: of no meaning here
		return nil, err
	}
	if err := d.fits(n, 2); err != nil {
		return nil, err
	}
	a := ECMAArray{}
	for range n {
		k, err := d.value()
		if err != nil {
			return nil, err
		}
		key := fmt.Sprintf("%.*v", d.lim.KeyBytes, k)
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		a = append(a, Property{key[:min(len(key), d.lim.KeyBytes)], v})
	}
	return a, nil
}

func (d *decoder3) vector(m byte, n int) (Value, error) {
	if _, err := d.u8(); err != nil { // fixed length: of no meaning here
		return nil, err
	}
	if m == marker3VectorObject {
		if _, err := d.string(d.lim.KeyBytes); err != nil {
			return nil, err
		}
	}
	size := map[byte]int{marker3VectorInt: 4, marker3VectorUint: 4, marker3VectorDouble: 8, marker3VectorObject: 1}[m]
	if err := d.fits(n, size); err != nil {
		return nil, err
	}
	a := StrictArray{}
	for range n {
		var v Value
		var err error
		switch m {
		case marker3VectorObject:
			v, err = d.value()
		case marker3VectorDouble:
			v, err = anyOf(d.f64())
		default:
			var u uint32
			u, err = d.u32()
			if v = float64(u); m == marker3VectorInt {
				v = float64(int32(u))
			}
		}
		if err == nil && m != marker3VectorObject {
			err = d.count()
		}
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	return a, nil
}
