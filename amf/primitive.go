package amf

import (
	"encoding/binary"
	"math"
)

// The functions here append one AMF0 element each and cannot fail. They allocate only
// to make dst larger.

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

// AppendUndefined appends undefined.
func AppendUndefined(dst []byte) []byte { return append(dst, markerUndefined) }

// AppendString appends a string, as a long string if it is over 65535 bytes. It must be
// shorter than 4 GiB; the rest is cut.
func AppendString(dst []byte, s string) []byte {
	if len(s) <= math.MaxUint16 {
		return AppendKey(append(dst, markerString), s)
	}
	n := uint32(min(uint64(len(s)), math.MaxUint32))
	return append(binary.BigEndian.AppendUint32(append(dst, markerLongString), n), s[:n]...)
}

// AppendObject begins an anonymous object: properties follow, each a key and a value,
// then AppendObjectEnd.
func AppendObject(dst []byte) []byte { return append(dst, markerObject) }

// AppendECMAArray begins an associative array of count properties, which follow as in
// an object, with AppendObjectEnd after them.
func AppendECMAArray(dst []byte, count uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, markerECMAArray), count)
}

// AppendKey appends the key of a property, whose value must follow. Of a key over 65535
// bytes the rest is cut.
func AppendKey(dst []byte, key string) []byte {
	key = key[:min(len(key), math.MaxUint16)]
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(key))), key...)
}

// AppendObjectEnd ends an object or an associative array.
func AppendObjectEnd(dst []byte) []byte { return append(dst, 0, 0, markerObjectEnd) }
