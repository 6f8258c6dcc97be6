package websocket

import "encoding/binary"

// HeaderSize returns the size of the header of an unmasked frame of n bytes.
func HeaderSize(n int) int {
	switch {
	case n < 126:
		return 2
	case n < 1<<16:
		return 4
	}
	return 10
}

// AppendHeader appends the header of a final, unmasked binary frame of n bytes (RFC 6455 §5.2).
func AppendHeader(dst []byte, n int) []byte {
	const finalBinary = 0x82
	switch HeaderSize(n) {
	case 2:
		return append(dst, finalBinary, byte(n))
	case 4:
		return binary.BigEndian.AppendUint16(append(dst, finalBinary, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, finalBinary, 127), uint64(n))
}

// AppendClose appends the closing frame of a stream that has ended: status 1000 (RFC 6455 §7.4.1).
func AppendClose(dst []byte) []byte { return append(dst, 0x88, 2, 0x03, 0xe8) }

// Ping is a ping frame without payload (RFC 6455 §5.5.2).
func Ping() []byte { return []byte{isFinal | opPing, 0} }
