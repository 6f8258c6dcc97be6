package mpegts

import (
	"encoding/binary"
	"errors"
)

// PacketSize is the size of a transport packet in bytes.
const PacketSize = 188

const (
	syncByte    = 0x47
	headerSize  = 4
	maxPayload  = PacketSize - headerSize
	patPID      = 0x0000
	nullPID     = 0x1fff
	pcrSize     = 6
	pcrFieldLen = 2 + pcrSize // adaptation field with flags and PCR
)

// Flags of the adaptation field (H.222.0, 2.4.3.4).
const (
	flagDiscontinuity = 0x80
	flagRandomAccess  = 0x40
	flagPCR           = 0x10
)

// errPacket is returned for a packet whose header contradicts itself.
var errPacket = errors.New("malformed packet")

// packet is the header of a transport packet (H.222.0, 2.4.3.2) and what follows it.
type packet struct {
	pid         uint16
	start       bool // payload_unit_start_indicator
	failed      bool // transport_error_indicator
	scrambled   bool
	counter     uint8 // continuity_counter
	flags       uint8 // of the adaptation field; 0 without one
	pcr         int64 // of 90 kHz; -1 without one
	hasPayload  bool
	payload     []byte
	afterHeader []byte // the packet without its first four bytes
}

// parsePacket parses a packet of PacketSize bytes; payload is a slice of b.
func parsePacket(b []byte) (packet, error) {
	p := packet{
		pid:         binary.BigEndian.Uint16(b[1:]) & 0x1fff,
		start:       b[1]&0x40 != 0,
		failed:      b[1]&0x80 != 0,
		scrambled:   b[3]&0xc0 != 0,
		counter:     b[3] & 0x0f,
		pcr:         -1,
		hasPayload:  b[3]&0x10 != 0,
		afterHeader: b[headerSize:PacketSize],
	}
	rest := p.afterHeader
	if b[3]&0x20 != 0 {
		n := int(rest[0])
		if n > len(rest)-1 {
			return p, errPacket
		}
		field := rest[1 : 1+n]
		rest = rest[1+n:]
		if n > 0 {
			p.flags = field[0]
		}
		if p.flags&flagPCR != 0 {
			if n < 1+pcrSize {
				return p, errPacket
			}
			p.pcr = int64(binary.BigEndian.Uint32(field[1:]))<<1 | int64(field[5]>>7)
		}
	}
	if p.hasPayload {
		p.payload = rest
	}
	return p, nil
}

// appendPCR appends a program clock reference (H.222.0, 2.4.3.5) whose extension is 0.
func appendPCR(dst []byte, pcr int64) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(uint64(pcr)>>1))
	return append(dst, byte(pcr<<7)|0x7e, 0)
}

// appendHeader appends the four bytes that a packet begins with.
func appendHeader(dst []byte, pid uint16, start bool, control, counter uint8) []byte {
	hi := byte(pid >> 8)
	if start {
		hi |= 0x40
	}
	return append(dst, syncByte, hi, byte(pid), control|counter&0x0f)
}

// The adaptation_field_control values, in their place.
const (
	payloadOnly    = 0x10
	adaptationOnly = 0x20
	both           = 0x30
)

// stuffing is what fills sections, adaptation fields and null packets.
var stuffing = func() (b [PacketSize]byte) {
	for i := range b {
		b[i] = 0xff
	}
	return b
}()
