package codec

import (
	"weir/av"
	"weir/codec/h264"
	"weir/codec/h265"
)

// UnitRole is what a NAL unit is to its access unit.
type UnitRole uint8

// The roles of NAL units.
const (
	// UnitPrefix comes before the slices and is none of the following: supplemental
	// information, for example.
	UnitPrefix UnitRole = iota
	// UnitSlice is the slice that a picture begins with.
	UnitSlice
	// UnitMoreSlice is a slice that goes on with the picture of the slice before it.
	UnitMoreSlice
	// UnitSuffix comes after the slices: filler data, the end of a sequence, and
	// supplemental information that H.265 puts there.
	UnitSuffix
	// UnitDelimiter is the access unit delimiter.
	UnitDelimiter
	// UnitVPS, UnitSPS and UnitPPS are video, sequence and picture parameter sets.
	UnitVPS
	UnitSPS
	UnitPPS
)

// IsSlice reports whether the unit is a slice.
func (r UnitRole) IsSlice() bool { return r == UnitSlice || r == UnitMoreSlice }

// IsSet reports whether the unit is a parameter set.
func (r UnitRole) IsSet() bool { return r >= UnitVPS }

// RoleOf returns the role of a NAL unit of H.264 or H.265 by its header, and of a slice
// by the first bit behind that. A unit that is cut short there is a UnitPrefix.
func RoleOf(c av.Codec, unit []byte) UnitRole {
	if c == av.H265 {
		return roleH265(unit)
	}
	return roleH264(unit)
}

// slice tells by the first bit behind a slice's header whether the picture begins there:
// first_mb_in_slice is 0 if the bit is set, and first_slice_segment_in_pic_flag is the bit.
func slice(unit []byte, header int) UnitRole {
	switch {
	case len(unit) <= header:
		return UnitPrefix
	case unit[header]&0x80 == 0:
		return UnitMoreSlice
	}
	return UnitSlice
}

func roleH264(unit []byte) UnitRole {
	const (
		partitionA   = 2
		partitionB   = 3
		partitionC   = 4
		endOfSeq     = 10
		endOfStream  = 11
		auxiliary    = 19
		extension    = 20
		depth        = 21
		headerLength = 1
	)
	switch h264.Type(unit) {
	case h264.TypeSlice, partitionA, h264.TypeIDR:
		return slice(unit, headerLength)
	case partitionB, partitionC, extension, depth:
		return UnitMoreSlice
	case endOfSeq, endOfStream, h264.TypeFiller, auxiliary:
		return UnitSuffix
	case h264.TypeAUD:
		return UnitDelimiter
	case h264.TypeSPS:
		return UnitSPS
	case h264.TypePPS:
		return UnitPPS
	}
	return UnitPrefix
}

func roleH265(unit []byte) UnitRole {
	const (
		endOfSeq     = 36
		endOfStream  = 37
		headerLength = 2
	)
	switch t := h265.Type(unit); {
	case t < 0:
		return UnitPrefix
	case t < h265.TypeVPS:
		return slice(unit, headerLength)
	case t == endOfSeq, t == endOfStream, t == h265.TypeFiller, t == h265.TypeSEISuffix:
		return UnitSuffix
	case t == h265.TypeAUD:
		return UnitDelimiter
	case t == h265.TypeVPS:
		return UnitVPS
	case t == h265.TypeSPS:
		return UnitSPS
	case t == h265.TypePPS:
		return UnitPPS
	}
	return UnitPrefix
}
