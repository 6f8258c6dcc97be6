package amf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// maxEncodeDepth bounds the nesting that Append follows.
const maxEncodeDepth = 64

// Append appends the AMF0 encoding of each value to dst. Strings over 65535 bytes are
// written as long strings, Bytes as an AMF3 byte array. Besides Values it takes int
// and uint32 as numbers. It fails with ErrEncode, and returns dst as it was.
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

// AppendNumber appends a number.
func AppendNumber(dst []byte, n float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, markerNumber), math.Float64bits(n))
}

// AppendBool appends a boolean.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, markerBoolean, 1)
	}
	return append(dst, markerBoolean, 0)
}

// AppendNull appends null.
func AppendNull(dst []byte) []byte { return append(dst, markerNull) }

// AppendString appends a string, as a long string if it needs to be.
func AppendString(dst []byte, s string) []byte {
	if len(s) > math.MaxUint16 {
		dst = binary.BigEndian.AppendUint32(append(dst, markerLongString), uint32(len(s)))
		return append(dst, s...)
	}
	return appendText(append(dst, markerString), s)
}

func appendText(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

func appendValue(b []byte, v Value, depth int) ([]byte, error) {
	if depth > maxEncodeDepth {
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrEncode, maxEncodeDepth)
	}
	switch v := v.(type) {
	case nil:
		return AppendNull(b), nil
	case Undefined:
		return append(b, markerUndefined), nil
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
		return AppendString(b, v), nil
	case XML:
		b = binary.BigEndian.AppendUint32(append(b, markerXML), uint32(len(v)))
		return append(b, v...), nil
	case Date:
		b = binary.BigEndian.AppendUint64(append(b, markerDate), math.Float64bits(v.UnixMilli))
		return binary.BigEndian.AppendUint16(b, uint16(v.Zone)), nil
	case Bytes:
		if len(v) >= 1<<28 {
			return nil, fmt.Errorf("%w: a byte array of %d bytes", ErrEncode, len(v))
		}
		return append(appendU29(append(b, markerAMF3, marker3ByteArray), len(v)<<1|1), v...), nil
	case Object:
		return appendProperties(append(b, markerObject), v, depth)
	case ECMAArray:
		b = binary.BigEndian.AppendUint32(append(b, markerECMAArray), uint32(len(v)))
		return appendProperties(b, Object(v), depth)
	case TypedObject:
		if len(v.Class) > math.MaxUint16 {
			return nil, fmt.Errorf("%w: a class name of %d bytes", ErrEncode, len(v.Class))
		}
		return appendProperties(appendText(append(b, markerTypedObject), v.Class), v.Properties, depth)
	case StrictArray:
		b = binary.BigEndian.AppendUint32(append(b, markerStrictArray), uint32(len(v)))
		for _, e := range v {
			var err error
			if b, err = appendValue(b, e, depth+1); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	return nil, fmt.Errorf("%w: a %T", ErrEncode, v)
}

func appendProperties(b []byte, ps Object, depth int) ([]byte, error) {
	for i := range ps {
		if len(ps[i].Key) > math.MaxUint16 {
			return nil, fmt.Errorf("%w: a key of %d bytes", ErrEncode, len(ps[i].Key))
		}
		var err error
		if b, err = appendValue(appendText(b, ps[i].Key), ps[i].Value, depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, 0, 0, markerObjectEnd), nil
}

// appendU29 appends a variable-length integer below 2^29 (AMF 3 §1.3.1).
func appendU29(b []byte, n int) []byte {
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
