// Package amf reads and writes the Action Message Format: AMF0 complete both ways
// (Adobe's "Action Message Format -- AMF 0", 2007), and AMF3 (2013 edition) as far as
// RTMP commands and data carry it, read completely and written for byte arrays only.
//
// Values keep their order, so that what was read can be written again. Every depth,
// count and length of the input is bounded by Limits, and nothing is allocated by a
// count or length that the input does not hold.
//
// Not supported: externalizable AMF3 objects, whose form only their class knows;
// AMF3 dictionaries with keys that are objects; the reserved AMF0 types MovieClip and
// RecordSet; writing AMF3 other than byte arrays, and writing references.
package amf

import (
	"errors"
	"math"
)

// Value is one AMF value: nil (null), Undefined, bool, float64, string, Object,
// ECMAArray, StrictArray, TypedObject, Date, XML, Bytes or Unsupported.
type Value any

// Undefined is the undefined value.
type Undefined struct{}

// Unsupported is a value that its sender could not express.
type Unsupported struct{}

// Property is one named value of an object.
type Property struct {
	Key   string
	Value Value
}

// Object is an anonymous object; its properties keep their order.
type Object []Property

// ECMAArray is an associative array. The count that it is written with is its length;
// the one that it was read with is ignored, because many encoders write a wrong one.
type ECMAArray []Property

// StrictArray is a dense array.
type StrictArray []Value

// TypedObject is an object with a class name.
type TypedObject struct {
	Class      string
	Properties Object
}

// Date is a time in milliseconds since 1970 UTC, and the time zone field, which
// should be 0.
type Date struct {
	UnixMilli float64
	Zone      int16
}

// XML is an XML document as text.
type XML string

// Bytes is an AMF3 byte array.
type Bytes []byte

// Limits bound what is read from one message. Fields that are zero or less take the
// defaults.
type Limits struct {
	// Depth is how many objects and arrays may be inside one another. Default 32, at
	// most 64: what Append can write.
	Depth int
	// Values is how many values there may be in all, those inside others and those
	// repeated by references included. Default 4096.
	Values int
	// StringBytes is the length of one string, XML document or byte array. Default
	// 64 KiB. What references repeat may be 16 times as much in all.
	StringBytes int
	// KeyBytes is the length of one key or class name. Default 256, at most 65535.
	KeyBytes int
}

// maxDepth bounds the nesting that Append follows and that Limits may allow.
const maxDepth = 64

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.Depth, 32)
	set(&l.Values, 4096)
	set(&l.StringBytes, 64<<10)
	set(&l.KeyBytes, 256)
	l.Depth = min(l.Depth, maxDepth)
	l.KeyBytes = min(l.KeyBytes, math.MaxUint16)
	return l
}

// Errors of decoding; each is wrapped with the position at which it was found.
var (
	// ErrTruncated: the input ends within a value.
	ErrTruncated = errors.New("truncated")
	// ErrLimit: the input exceeds one of the Limits.
	ErrLimit = errors.New("over the limit")
	// ErrMarker: a type marker that has no meaning there, or stands for something that
	// is not supported.
	ErrMarker = errors.New("bad marker")
	// ErrReference: a reference to a value that does not exist, or to one around it.
	ErrReference = errors.New("bad reference")
)

// ErrEncode is wrapped by the errors of Append.
var ErrEncode = errors.New("amf: cannot encode")

// Get returns the value of the last property called key.
func (o Object) Get(key string) (Value, bool) { return get(o, key) }

// GetString returns the value of key if it is a string.
func (o Object) GetString(key string) (string, bool) {
	v, _ := get(o, key)
	s, ok := v.(string)
	return s, ok
}

// GetNumber returns the value of key if it is a number.
func (o Object) GetNumber(key string) (float64, bool) {
	v, _ := get(o, key)
	n, ok := v.(float64)
	return n, ok
}

// Set returns o with the last property called key changed to v, or with one appended.
// It may change o in place.
func (o Object) Set(key string, v Value) Object { return set(o, key, v) }

// Get returns the value of the last property called key.
func (a ECMAArray) Get(key string) (Value, bool) { return get(a, key) }

// GetString returns the value of key if it is a string.
func (a ECMAArray) GetString(key string) (string, bool) { return Object(a).GetString(key) }

// GetNumber returns the value of key if it is a number.
func (a ECMAArray) GetNumber(key string) (float64, bool) { return Object(a).GetNumber(key) }

// Set returns a with the last property called key changed to v, or with one appended.
// It may change a in place.
func (a ECMAArray) Set(key string, v Value) ECMAArray { return set(a, key, v) }

func get(ps []Property, key string) (Value, bool) {
	for i := len(ps) - 1; i >= 0; i-- {
		if ps[i].Key == key {
			return ps[i].Value, true
		}
	}
	return nil, false
}

func set[P ~[]Property](ps P, key string, v Value) P {
	for i := len(ps) - 1; i >= 0; i-- {
		if ps[i].Key == key {
			ps[i].Value = v
			return ps
		}
	}
	return append(ps, Property{key, v})
}

// Properties returns the properties of an Object, ECMAArray or TypedObject, and false
// for any other value. They are those of v itself, not a copy.
func Properties(v Value) (Object, bool) {
	switch v := v.(type) {
	case Object:
		return v, true
	case ECMAArray:
		return Object(v), true
	case TypedObject:
		return v.Properties, true
	}
	return nil, false
}

// Body3 returns the AMF0 values in the payload of an RTMP message of type 15, 16 or
// 17: the format byte 0 is taken off if it is there, which some clients forget. The
// values begin with a name, so that a first byte of 0 cannot be a number's marker.
func Body3(payload []byte) []byte {
	if len(payload) > 0 && payload[0] == 0 {
		return payload[1:]
	}
	return payload
}
