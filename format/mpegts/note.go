package mpegts

import (
	"encoding/binary"
	"io"
)

// noteMark is what the payload of a packet with a note begins with. Its number and the length of the whole note follow.
const noteMark = "Weir-note-v1"

const (
	noteHead = len(noteMark) + 2 + 2
	noteRoom = maxPayload - noteHead
	// maxNote bounds a note, in bytes.
	maxNote = 16 << 10
)

// AppendNote appends null packets, which all readers pass over, with a text that a file's owner wants to find in it again. One of more than 16 KiB is left
// out. A file begins with it.
func AppendNote(dst, note []byte) []byte {
	if len(note) > maxNote {
		return dst
	}
	for n := 0; n*noteRoom < len(note); n++ {
		piece := note[n*noteRoom : min((n+1)*noteRoom, len(note))]
		from := len(dst)
		dst = append(dst, syncByte, nullPID>>8, nullPID&0xff, 0x10)
		dst = append(dst, noteMark...)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(note)))
		dst = append(dst, piece...)
		for len(dst)-from < PacketSize {
			dst = append(dst, 0xff)
		}
	}
	return dst
}

// ReadNote returns the note that a file begins with; nil if there is none. It fails with the error of r.
func ReadNote(r io.ReaderAt) (note []byte, err error) {
	var b [PacketSize]byte
	for n, length := 0, 0; ; n++ {
		if k, err := r.ReadAt(b[:], int64(n)*PacketSize); k < len(b) {
			if err == io.EOF { //nolint:errorlint // a reader returns it as it is
				err = nil
			}
			return nil, err
		}
		p := b[headerSize:]
		if b[0] != syncByte || binary.BigEndian.Uint16(b[1:])&nullPID != nullPID || string(p[:len(noteMark)]) != noteMark || int(binary.BigEndian.Uint16(p[len(noteMark):])) != n {
			return nil, nil
		}
		length = int(binary.BigEndian.Uint16(p[len(noteMark)+2:]))
		if length > maxNote {
			return nil, nil
		}
		note = append(note, p[noteHead:noteHead+min(noteRoom, length-len(note))]...)
		if len(note) == length {
			return note, nil
		}
	}
}
