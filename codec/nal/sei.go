package nal

import "weir/codec/bits"

// maxSEI is how many bytes of a SEI unit are worth looking at for what concerns decoding;
// captions and user data may go on for longer.
const maxSEI = 4096

// maxMessages is how many messages of one SEI unit are looked at.
const maxMessages = 32

// HasSEI reports whether a SEI unit, whose header has that many bytes, holds a message of a type
// (Rec. ITU-T H.264, 7.3.2.3.1; H.265, 7.3.5). It looks at the first 4,096 bytes and 32 messages.
func HasSEI(unit []byte, header, payloadType int) bool {
	r := bits.NewRBSPReader(unit[header:min(len(unit), maxSEI)])
	for range maxMessages {
		if r.Bits() < 16 { // what is left is trailing bits
			return false
		}
		t, size := seiNumber(&r), seiNumber(&r)
		if r.Err() != nil || size > r.Bits()/8 {
			return false
		}
		if t == payloadType {
			return true
		}
		r.Skip(8 * size)
	}
	return false
}

// seiNumber reads a number in steps of 255. What it can be is bounded by the unit's size.
func seiNumber(r *bits.Reader) int {
	n := 0
	for {
		c := int(r.U(8))
		n += c
		if c != 255 {
			return n
		}
	}
}
