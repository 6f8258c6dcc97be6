package fmp4

import (
	"encoding/binary"
	"math"
)

// openBox begins a box, whose place is needed to close it.
func openBox(b []byte, typ string) (_ []byte, at int) {
	at = len(b)
	return append(append(b, 0, 0, 0, 0), typ...), at
}

// openFull begins a full box.
func openFull(b []byte, typ string, version byte, flags uint32) (_ []byte, at int) {
	b, at = openBox(b, typ)
	return be32(b, uint32(version)<<24|flags), at
}

// closeBox writes the size of a box that ends here. Boxes that hold media are checked to
// be short enough beforehand.
func closeBox(b []byte, at int) []byte {
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

func be16(b []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(b, v) }
func be32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }
func be64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

func zeros(b []byte, n int) []byte {
	for range n {
		b = append(b, 0)
	}
	return b
}

// fits16 is v, or 0 if it takes more than 16 bits.
func fits16(v int) uint16 {
	if v < 0 || v > math.MaxUint16 {
		return 0
	}
	return uint16(v)
}
