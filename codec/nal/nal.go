// Package nal splits and joins the NAL units of H.264, H.265 and H.266, whose framings
// are the same: each unit behind its length (ISO/IEC 14496-15, 4.3.3 and 5.3.2), as in
// FLV and MP4, or behind a start code (Rec. ITU-T H.264 and H.265, Annex B), as in MPEG-TS.
// What is inside a unit is for the packages of the codecs.
package nal

import (
	"bytes"
	"fmt"
	"iter"
)

// Units yields the NAL units of an access unit, each behind its length of lengthSize (1,
// 2, 3 or 4) bytes. It takes what peers send: a length of zero is passed over, and it
// stops at a length that goes past the end. The units are slices of b; nothing is
// allocated.
func Units(b []byte, lengthSize int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { units(b, lengthSize, yield) }
}

func units(b []byte, lengthSize int, yield func([]byte) bool) {
	for {
		unit, rest, ok := Next(b, lengthSize)
		if !ok || len(unit) > 0 && !yield(unit) {
			return
		}
		b = rest
	}
}

// Next splits off the first unit, which is empty if its length is zero. It fails at the
// end, at a length that goes past the end, and for a lengthSize other than 1 to 4.
func Next(b []byte, lengthSize int) (unit, rest []byte, ok bool) {
	if lengthSize < 1 || lengthSize > 4 || len(b) < lengthSize {
		return nil, nil, false
	}
	n := uint32(0)
	for _, c := range b[:lengthSize] {
		n = n<<8 | uint32(c)
	}
	b = b[lengthSize:]
	if uint64(n) > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// Valid reports whether b is whole: lengths and units up to its last byte.
func Valid(b []byte, lengthSize int) bool {
	for len(b) > 0 {
		_, rest, ok := Next(b, lengthSize)
		if !ok {
			return false
		}
		b = rest
	}
	return true
}

// Append appends a unit behind its length. It fails if the length does not fit lengthSize,
// which is 1, 2, 3 or 4.
func Append(dst, unit []byte, lengthSize int) ([]byte, error) {
	if lengthSize < 1 || lengthSize > 4 || uint64(len(unit)) >= 1<<(8*lengthSize) {
		return dst, fmt.Errorf("nal: writing a unit of %d bytes: its length does not fit %d bytes", len(unit), lengthSize)
	}
	for i := lengthSize - 1; i >= 0; i-- {
		dst = append(dst, byte(len(unit)>>(8*i)))
	}
	return append(dst, unit...), nil
}

// IsAnnexB reports whether b, which should hold units behind lengths of lengthSize bytes,
// holds start codes instead, as some cameras send in FLV: it begins with one and does not
// split along its lengths. With lengthSize 0 the start code decides alone.
func IsAnnexB(b []byte, lengthSize int) bool {
	return startCode(b) > 0 && (lengthSize == 0 || !Valid(b, lengthSize))
}

// startCode returns the size of the start code that b begins with, else 0.
func startCode(b []byte) int {
	switch {
	case len(b) >= 3 && b[0] == 0 && b[1] == 0 && b[2] == 1:
		return 3
	case len(b) >= 4 && b[0] == 0 && b[1] == 0 && b[2] == 0 && b[3] == 1:
		return 4
	}
	return 0
}

// AnnexB yields the NAL units of a byte stream: what lies between start codes, without
// the zero bytes before each and at the end. What comes before the first start code is passed
// over. The units are slices of b; nothing is allocated.
func AnnexB(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { annexB(b, yield) }
}

var code = []byte{0, 0, 1}

func annexB(b []byte, yield func([]byte) bool) {
	i := bytes.Index(b, code)
	for i >= 0 {
		b = b[i+3:]
		i = bytes.Index(b, code)
		unit := b
		if i >= 0 {
			unit = b[:i:i]
		}
		for len(unit) > 0 && unit[len(unit)-1] == 0 {
			unit = unit[:len(unit)-1]
		}
		if len(unit) > 0 && !yield(unit) {
			return
		}
	}
}

// AppendAnnexB appends a unit behind a start code of four bytes.
func AppendAnnexB(dst, unit []byte) []byte {
	return append(append(dst, 0, 0, 0, 1), unit...)
}
