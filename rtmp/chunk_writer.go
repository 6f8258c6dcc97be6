package rtmp

import (
	"encoding/binary"
	"slices"
)

const (
	extendedMark = 0xffffff // in the 24-bit field: the time follows in 32 bits
	fullHeader   = 11
	maxCSID      = 65599
	firstChunk   = 128 // the chunk size that holds until another is announced
)

// EncodedSize returns how many bytes AppendMessage appends for a body of bodyLen bytes
// on the chunk stream csid. 0 stands for any of those that AppendMessage chooses by type.
func EncodedSize(bodyLen int, timestamp, csid uint32, chunkSize int) int {
	if chunkSize <= 0 {
		chunkSize = firstChunk
	}
	bodyLen = min(bodyLen, MaxMessageSize)
	basic, ext := basicHeaderSize(csid), 0
	if timestamp >= extendedMark {
		ext = 4
	}
	n := basic + fullHeader + ext + bodyLen
	if bodyLen > chunkSize {
		n += (bodyLen - 1) / chunkSize * (basic + ext)
	}
	return n
}

// basicHeaderSize returns the size of the basic header of a chunk of csid.
func basicHeaderSize(csid uint32) int {
	switch {
	case csid < 64 || csid > maxCSID:
		return 1
	case csid < 320:
		return 2
	}
	return 3
}

// appendBasicHeader appends fmt and chunk stream id (RTMP 1.0 §5.3.1.1).
func appendBasicHeader(dst []byte, format byte, csid uint32) []byte {
	switch basicHeaderSize(csid) {
	case 1:
		return append(dst, format<<6|byte(csid))
	case 2:
		return append(dst, format<<6, byte(csid-64))
	}
	csid -= 64
	return append(dst, format<<6|1, byte(csid), byte(csid>>8))
}

// AppendMessage appends m as one fmt 0 chunk, with an absolute timestamp, and as many
// fmt 3 chunks as chunkSize requires; an extended timestamp stands in each of them (RTMP 1.0
// §5.3.1.3). A reader may begin with any message so written. A chunkSize that is not positive is
// 128, which holds until another has been announced. The body is the concatenation of body or, if
// there is none, m.Payload; what exceeds MaxMessageSize cannot be expressed and is left out. With
// room for EncodedSize bytes in dst it does not allocate.
func AppendMessage(dst []byte, m *Message, chunkSize int, body ...[]byte) []byte {
	if len(body) == 0 {
		return appendChunks(dst, m, chunkSize, m.Payload, nil)
	}
	if len(body) == 1 {
		return appendChunks(dst, m, chunkSize, body[0], nil)
	}
	return appendChunks(dst, m, chunkSize, body[0], body[1:])
}

// appendChunks is AppendMessage with the body in two arguments: as one, it would have to be
// allocated.
func appendChunks(dst []byte, m *Message, chunkSize int, first []byte, rest [][]byte) []byte {
	if chunkSize <= 0 {
		chunkSize = firstChunk
	}
	length := len(first)
	for _, p := range rest {
		length += len(p)
	}
	length = min(length, MaxMessageSize)
	csid := m.chunkStreamID()
	dst = slices.Grow(dst, EncodedSize(length, m.Timestamp, csid, chunkSize))
	field := min(m.Timestamp, extendedMark)
	dst = appendBasicHeader(dst, 0, csid)
	dst = append(dst, byte(field>>16), byte(field>>8), byte(field),
		byte(length>>16), byte(length>>8), byte(length), byte(m.Type))
	dst = binary.LittleEndian.AppendUint32(dst, m.StreamID)
	if field == extendedMark {
		dst = binary.BigEndian.AppendUint32(dst, m.Timestamp)
	}
	room := chunkSize
	for i := -1; i < len(rest); i++ {
		p := first
		if i >= 0 {
			p = rest[i]
		}
		p = p[:min(len(p), length)]
		length -= len(p)
		for len(p) > 0 {
			if room == 0 {
				dst = appendBasicHeader(dst, 3, csid)
				if field == extendedMark {
					dst = binary.BigEndian.AppendUint32(dst, m.Timestamp)
				}
				room = chunkSize
			}
			n := min(room, len(p))
			dst = append(dst, p[:n]...)
			p, room = p[n:], room-n
		}
	}
	return dst
}

// SetStreamID makes the messages in b, whole ones as AppendMessage wrote them with this chunk
// size, those of message stream id: all but the ones of message stream 0, which belong to the
// connection. Of these it changes the StreamEOF of a stream that has ended (RTMP 1.0 §7.1.7).
// It stops at the first byte that begins no such message.
func SetStreamID(b []byte, id uint32, chunkSize int) {
	if chunkSize <= 0 {
		chunkSize = firstChunk
	}
	for len(b) > 0 {
		basic, csid := 1, uint32(b[0]&0x3f)
		switch {
		case csid == 0 && len(b) > 1:
			basic, csid = 2, uint32(b[1])+64
		case csid == 1 && len(b) > 2:
			basic, csid = 3, uint32(b[1])+uint32(b[2])<<8+64
		}
		const messageHeader = 11
		if b[0]>>6 != 0 || len(b) < basic+messageHeader {
			return
		}
		h := b[basic : basic+messageHeader]
		timestamp := uint32(h[0])<<16 | uint32(h[1])<<8 | uint32(h[2])
		length := int(h[3])<<16 | int(h[4])<<8 | int(h[5])
		size := EncodedSize(length, timestamp, csid, chunkSize)
		if size > len(b) {
			return
		}
		if binary.LittleEndian.Uint32(h[7:]) != 0 {
			binary.LittleEndian.PutUint32(h[7:], id)
		} else if p := b[basic+messageHeader : size]; MessageType(h[6]) == TypeUserControl && len(p) == 6 && binary.BigEndian.Uint16(p) == eventStreamEOF {
			binary.BigEndian.PutUint32(p[2:], id)
		}
		b = b[size:]
	}
}
