package mpegts

import (
	"encoding/binary"
	"errors"
)

// The descriptors that are written or read (H.222.0, 2.6; ETSI EN 300 468).
const (
	descriptorRegistration    = 0x05
	descriptorMetadataPointer = 0x25
	descriptorMetadata        = 0x26
	descriptorAC3             = 0x6a
	descriptorEAC3            = 0x7a
	descriptorExtension       = 0x7f
	extensionOpus             = 0x80
)

const (
	tablePAT      = 0x00
	tablePMT      = 0x02
	tableSCTE35   = 0xfc
	sectionHeader = 8 // of the long form, up to last_section_number
	crcSize       = 4
	// maxSection is the longest section that is read, that of private ones.
	maxSection = 4096
)

var (
	errSection = errors.New("malformed section")
	errCRC     = errors.New("section with a wrong CRC")
)

// appendRegistration appends a registration descriptor (H.222.0, 2.6.8).
func appendRegistration(dst []byte, format string) []byte {
	return append(append(dst, descriptorRegistration, byte(len(format))), format...)
}

// id3Format is the metadata format of ID3 and its identifier, for an application and
// for the metadata itself.
const id3Format = "\xff\xffID3 \xffID3 "

// appendMetadataDescriptor appends the metadata_descriptor of a stream of ID3
// (H.222.0, 2.6.60; Timed Metadata for HTTP Live Streaming, 2.3).
func appendMetadataDescriptor(dst []byte) []byte {
	dst = append(dst, descriptorMetadata, byte(len(id3Format)+2))
	return append(append(dst, id3Format...), 0, 0x0f)
}

// appendMetadataPointer appends the metadata_pointer_descriptor of a program with a
// stream of ID3 (H.222.0, 2.6.58).
func appendMetadataPointer(dst []byte, program uint16) []byte {
	dst = append(dst, descriptorMetadataPointer, byte(len(id3Format)+4))
	dst = append(append(dst, id3Format...), 0, 0x1f)
	return binary.BigEndian.AppendUint16(dst, program)
}

// appendLongSection appends a section of the long form with its CRC (H.222.0, 2.4.4.11).
func appendLongSection(dst []byte, table uint8, id uint16, version uint8, body []byte) []byte {
	from := len(dst)
	n := sectionHeader - 3 + len(body) + crcSize
	dst = append(dst, table, 0xb0|byte(n>>8), byte(n))
	dst = binary.BigEndian.AppendUint16(dst, id)
	dst = append(dst, 0xc1|version<<1, 0, 0) // it applies at once, and is the only one
	dst = append(dst, body...)
	return binary.BigEndian.AppendUint32(dst, crc(dst[from:]))
}

// appendPAT appends a program association section of one program (H.222.0, 2.4.4.3).
func appendPAT(dst []byte, program, pmt uint16) []byte {
	const stream = 1
	return appendLongSection(dst, tablePAT, stream, 0, []byte{byte(program >> 8), byte(program), 0xe0 | byte(pmt>>8), byte(pmt)})
}

// appendStream appends a stream's entry in a program map (H.222.0, 2.4.4.8).
func appendStream(dst []byte, streamType uint8, pid uint16, descriptors []byte) []byte {
	dst = append(dst, streamType, 0xe0|byte(pid>>8), byte(pid), 0xf0|byte(len(descriptors)>>8), byte(len(descriptors)))
	return append(dst, descriptors...)
}

// parseLongSection checks a section of the long form and returns its table id
// extension and body. current is false if it is one that does not apply yet.
func parseLongSection(b []byte) (id uint16, current bool, body []byte, err error) {
	if len(b) < sectionHeader+crcSize || b[1]&0x80 == 0 {
		return 0, false, nil, errSection
	}
	if crc(b) != 0 {
		return 0, false, nil, errCRC
	}
	return binary.BigEndian.Uint16(b[3:]), b[5]&1 != 0, b[sectionHeader : len(b)-crcSize], nil
}

// descriptors yields the tag and the body of each descriptor in b.
func descriptors(b []byte) func(yield func(tag byte, body []byte) bool) {
	return func(yield func(byte, []byte) bool) {
		for len(b) >= 2 && len(b)-2 >= int(b[1]) {
			if !yield(b[0], b[2:2+int(b[1])]) {
				return
			}
			b = b[2+int(b[1]):]
		}
	}
}

// mapped is a stream's entry in a program map.
type mapped struct {
	streamType  uint8
	pid         uint16
	descriptors []byte
}

// parsePMT reads the body of a program map section (H.222.0, 2.4.4.8). The slices are
// of body.
func parsePMT(body []byte) (pcrPID uint16, program []byte, streams []mapped, err error) {
	const fixed, entry = 4, 5
	if len(body) < fixed {
		return 0, nil, nil, errSection
	}
	pcrPID = binary.BigEndian.Uint16(body) & 0x1fff
	n := int(binary.BigEndian.Uint16(body[2:]) & 0x0fff)
	body = body[fixed:]
	if n > len(body) {
		return 0, nil, nil, errSection
	}
	program, body = body[:n], body[n:]
	for len(body) > 0 {
		if len(body) < entry {
			return 0, nil, nil, errSection
		}
		n := int(binary.BigEndian.Uint16(body[3:]) & 0x0fff)
		if n > len(body)-entry {
			return 0, nil, nil, errSection
		}
		streams = append(streams, mapped{
			streamType:  body[0],
			pid:         binary.BigEndian.Uint16(body[1:]) & 0x1fff,
			descriptors: body[entry : entry+n],
		})
		body = body[entry+n:]
	}
	return pcrPID, program, streams, nil
}
