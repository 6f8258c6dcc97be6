// Package av1 reads what a server must know of AV1 (AV1 Bitstream & Decoding Process
// Specification, version 1.0.0 with errata 1): the configuration record (AV1 Codec ISO
// Media File Format Binding, 2.3), sequence headers, and where decoding may start.
//
// Media is in the low-overhead format of FLV and MP4: a temporal unit's OBUs with their sizes,
// without temporal delimiters. The length-delimited format (Annex B) is not supported, nor
// is anything in a frame header beyond its type.
package av1

import (
	"io"
	"iter"
)

// The types of OBU (6.2.2).
const (
	TypeSequenceHeader    = 1
	TypeTemporalDelimiter = 2
	TypeFrameHeader       = 3
	TypeTileGroup         = 4
	TypeMetadata          = 5
	TypeFrame             = 6
	TypeRedundantHeader   = 7
	TypeTileList          = 8
	TypePadding           = 15
)

// OBU is one open bitstream unit.
type OBU struct {
	Type       int
	TemporalID uint8
	SpatialID  uint8
	// Data is the whole unit with header and size, Payload what follows them.
	Data, Payload []byte
}

// OBUs yields the OBUs of a temporal unit. Only the last may lack its size. It stops at
// what is not an OBU or goes past the end. The units are slices of b; nothing is allocated.
func OBUs(b []byte) iter.Seq[OBU] {
	return func(yield func(OBU) bool) {
		for len(b) > 0 {
			u, rest, err := Next(b)
			if err != nil || !yield(u) {
				return
			}
			b = rest
		}
	}
}

// Next splits off the first OBU (5.3). It fails with io.ErrUnexpectedEOF if it goes past
// the end, or with ErrForbidden.
func Next(b []byte) (u OBU, rest []byte, err error) {
	if len(b) == 0 {
		return u, nil, io.ErrUnexpectedEOF
	}
	head := b[0]
	if head&0x80 != 0 {
		return u, nil, ErrForbidden
	}
	u.Type = int(head >> 3 & 15)
	at := 1
	if head&4 != 0 {
		if len(b) < 2 {
			return u, nil, io.ErrUnexpectedEOF
		}
		u.TemporalID, u.SpatialID = b[1]>>5, b[1]>>3&3
		at = 2
	}
	size := len(b) - at
	if head&2 != 0 {
		v, n := leb128(b[at:])
		if at += n; n == 0 || v > uint64(len(b)-at) {
			return u, nil, io.ErrUnexpectedEOF
		}
		size = int(v)
	}
	end := at + size
	u.Data, u.Payload = b[:end:end], b[at:end:end]
	return u, b[end:], nil
}

// leb128 reads a number of at most 8 bytes that fits 32 bits (4.10.5); n is 0 if there is none.
func leb128(b []byte) (v uint64, n int) {
	for i := range min(len(b), 8) {
		v |= uint64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			if v > 1<<32-1 {
				return 0, 0
			}
			return v, i + 1
		}
	}
	return 0, 0
}

// AppendOBU appends an OBU with its size and without extension. typ is 0 to 15.
func AppendOBU(dst []byte, typ int, payload []byte) []byte {
	dst = append(dst, byte(typ&15)<<3|2)
	v := len(payload)
	for ; v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(append(dst, byte(v)), payload...)
}
