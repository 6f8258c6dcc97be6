package flv

import (
	"encoding/binary"
	"errors"
)

// Errors of Demux, ParseMetadata, Reader and Writer. They are compared with errors.Is.
var (
	// ErrShort says that a tag body ends before its own header does.
	ErrShort = errors.New("flv: tag body is too short")
	// ErrReserved says that a tag body uses a value that the specification reserves.
	ErrReserved = errors.New("flv: reserved value")
	// ErrUnknownCodec says that an enhanced tag names a codec that is not known; see
	// FourCC for its name.
	ErrUnknownCodec = errors.New("flv: unknown codec")
	// ErrLimit says that something is longer or more numerous than this package accepts.
	ErrLimit = errors.New("flv: limit exceeded")
	// ErrForm says that a frame cannot be expressed in the form asked for.
	ErrForm = errors.New("flv: frame has no such form")
	// ErrHeader says that a file does not begin with an FLV header.
	ErrHeader = errors.New("flv: not an FLV file header")
)

// TagType is the type of an FLV tag. The values are those of the RTMP messages with
// the same body.
type TagType uint8

// The tag types. An encrypted tag's has bit 5 (0x20) set in addition.
const (
	TagAudio      TagType = 8
	TagVideo      TagType = 9
	TagScriptAMF3 TagType = 15
	TagScript     TagType = 18
)

// String returns "audio", "video", "script", "script-amf3" or "unknown".
func (t TagType) String() string {
	switch t {
	case TagAudio:
		return "audio"
	case TagVideo:
		return "video"
	case TagScript:
		return "script"
	case TagScriptAMF3:
		return "script-amf3"
	}
	return "unknown"
}

const (
	// MaxBody is the length of the longest tag body: its size field has 24 bits.
	MaxBody = 1<<24 - 1

	fileHeaderSize = 9
	tagHeaderSize  = 11
	backPointer    = 4
)

// AppendFileHeader appends the 9 bytes of a file header (Annex E.2) and the zero back
// pointer that comes before the first tag: 13 bytes.
func AppendFileHeader(dst []byte, hasAudio, hasVideo bool) []byte {
	var flags byte
	if hasAudio {
		flags |= 4
	}
	if hasVideo {
		flags |= 1
	}
	return append(dst, 'F', 'L', 'V', 1, flags, 0, 0, 0, fileHeaderSize, 0, 0, 0, 0)
}

// AppendTag appends one tag (Annex E.4.1) whose body is header followed by payload, and
// the back pointer behind it; ts is in milliseconds. If the body is longer than MaxBody,
// dst is returned as it is.
func AppendTag(dst []byte, t TagType, ts uint32, header, payload []byte) []byte {
	n := len(header) + len(payload)
	if n > MaxBody {
		return dst
	}
	dst = append(dst, byte(t),
		byte(n>>16), byte(n>>8), byte(n),
		byte(ts>>16), byte(ts>>8), byte(ts), byte(ts>>24),
		0, 0, 0)
	dst = append(dst, header...)
	dst = append(dst, payload...)
	return binary.BigEndian.AppendUint32(dst, uint32(tagHeaderSize+n))
}
