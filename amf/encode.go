package amf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Append appends the AMF0 encoding of each value to dst. Strings over 65535 bytes are
// written as long strings, Bytes as an AMF3 byte array behind the AMF3 marker; whatever
// a Decoder returned can be written. Besides Values it takes int and uint32 as numbers,
// and []Value as StrictArray.
//
// It fails with ErrEncode on any other Go type, a key or class name over 65535 bytes,
// a string or XML of 4 GiB, Bytes of 256 MiB, or values nested deeper than 64; dst is
// then returned as it was.
func Append(dst []byte, vs ...Value) ([]byte, error) {
	b := dst
	for _, v := range vs {
		var err error
		if b, err = appendValue(b, v, 0); err != nil {
			return dst, err
		}
	}
	return b, nil
}

func appendValue(b []byte, v Value, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return AppendNull(b), nil
	case Undefined:
		return AppendUndefined(b), nil
	case Unsupported:
		return append(b, markerUnsupported), nil
	case bool:
		return AppendBool(b, v), nil
	case float64:
		return AppendNumber(b, v), nil
	case int:
		return AppendNumber(b, float64(v)), nil
	case uint32:
		return AppendNumber(b, float64(v)), nil
	case string:
		if err := fits(len(v), math.MaxUint32); err != nil {
			return nil, err
		}
		return AppendString(b, v), nil
	case XML:
		if err := fits(len(v), math.MaxUint32); err != nil {
			return nil, err
		}
		b = binary.BigEndian.AppendUint32(append(b, markerXML), uint32(len(v)))
		return append(b, v...), nil
	case Date:
		b = binary.BigEndian.AppendUint64(append(b, markerDate), math.Float64bits(v.UnixMilli))
		return binary.BigEndian.AppendUint16(b, uint16(v.Zone)), nil
	case Bytes:
		if err := fits(len(v), 1<<28-1); err != nil {
			return nil, err
		}
		return append(appendU29(append(b, markerAMF3, marker3ByteArray), uint32(len(v))<<1|1), v...), nil
	}
	// Values may be Go slices that contain themselves.
	if depth >= maxDepth {
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrEncode, maxDepth)
	}
	switch v := v.(type) {
	case Object:
		return appendProperties(AppendObject(b), v, depth)
	case ECMAArray:
		return appendProperties(AppendECMAArray(b, uint32(len(v))), Object(v), depth)
	case TypedObject:
		if err := fits(len(v.Class), math.MaxUint16); err != nil {
			return nil, err
		}
		return appendProperties(AppendKey(append(b, markerTypedObject), v.Class), v.Properties, depth)
	case StrictArray:
		return appendArray(b, v, depth)
	case []Value:
		return appendArray(b, v, depth)
	}
	return nil, fmt.Errorf("%w: a %T", ErrEncode, v)
}

func appendArray(b []byte, a []Value, depth int) ([]byte, error) {
	b = binary.BigEndian.AppendUint32(append(b, markerStrictArray), uint32(len(a)))
	for _, v := range a {
		var err error
		if b, err = appendValue(b, v, depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendProperties(b []byte, ps Object, depth int) ([]byte, error) {
	for i := range ps {
		if err := fits(len(ps[i].Key), math.MaxUint16); err != nil {
			return nil, err
		}
		var err error
		if b, err = appendValue(AppendKey(b, ps[i].Key), ps[i].Value, depth+1); err != nil {
			return nil, err
		}
	}
	return AppendObjectEnd(b), nil
}

// fits refuses a length that its field cannot hold.
func fits(n int, most uint64) error {
	if uint64(n) > most {
		return fmt.Errorf("%w: %d bytes where %d fit", ErrEncode, n, most)
	}
	return nil
}

// appendU29 appends AMF3's variable-length integer, below 2^29 (AMF 3 §1.3.1).
func appendU29(b []byte, n uint32) []byte {
	switch {
	case n < 1<<7:
		return append(b, byte(n))
	case n < 1<<14:
		return append(b, byte(n>>7)|0x80, byte(n&0x7f))
	case n < 1<<21:
		return append(b, byte(n>>14)|0x80, byte(n>>7)|0x80, byte(n&0x7f))
	}
	return append(b, byte(n>>22)|0x80, byte(n>>15)|0x80, byte(n>>8)|0x80, byte(n))
}
