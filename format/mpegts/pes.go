package mpegts

import (
	"encoding/binary"
	"errors"
)

const (
	pesFixed  = 9 // up to PES_header_data_length
	stampSize = 5
	// maxPESLength is the longest that a PES packet can say it is, after its first six bytes.
	maxPESLength = 0xffff
	noTime       = -1 << 63
)

var errPES = errors.New("malformed PES packet")

// appendPESHeader appends the header of a PES packet of size bytes of payload that
// begins with an access unit (H.222.0, 2.4.3.7). A dts equal to pts is left out. A size
// that the header cannot say becomes 0: video has no other way.
func appendPESHeader(dst []byte, id uint8, pts, dts int64, size int) []byte {
	flags, n := byte(0x80), stampSize
	if dts != pts {
		flags, n = 0xc0, 2*stampSize
	}
	length := pesFixed - 6 + n + size
	if length > maxPESLength {
		length = 0
	}
	dst = append(dst, 0, 0, 1, id, byte(length>>8), byte(length), 0x84, flags, byte(n))
	if dts == pts {
		return appendStamp(dst, 2, pts)
	}
	return appendStamp(appendStamp(dst, 3, pts), 1, dts)
}

// pesHeaderSize returns the size of the header that appendPESHeader appends.
func pesHeaderSize(pts, dts int64) int {
	if dts == pts {
		return pesFixed + stampSize
	}
	return pesFixed + 2*stampSize
}

// appendStamp appends a time stamp of 33 bits behind a prefix of four.
func appendStamp(dst []byte, prefix byte, ts int64) []byte {
	return append(dst, prefix<<4|byte(ts>>29)&0x0e|1, byte(ts>>22), byte(ts>>14)|1, byte(ts>>7), byte(ts<<1)|1)
}

// stamp reads a time stamp. The marker bits and the prefix are not looked at: some
// multiplexers get them wrong.
func stamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(binary.BigEndian.Uint16(b[1:])>>1)<<15 | int64(binary.BigEndian.Uint16(b[3:])>>1)
}

// pesHeader is what a PES packet's header says.
type pesHeader struct {
	id       uint8
	aligned  bool  // data_alignment_indicator
	pts, dts int64 // of 33 bits; noTime if absent
	length   int   // PES_packet_length: bytes after the first six; 0 if not said
	size     int   // of the header
}

// parsePESHeader parses the header that b begins with. It fails with errPES, and ok is
// false if b is too short to say.
func parsePESHeader(b []byte) (h pesHeader, ok bool, err error) {
	h.pts, h.dts = noTime, noTime
	if n := min(len(b), 3); string(b[:n]) != "\x00\x00\x01"[:n] {
		return h, false, errPES
	}
	if len(b) < pesFixed {
		return h, false, nil
	}
	h.id = b[3]
	h.length = int(binary.BigEndian.Uint16(b[4:]))
	if b[6]&0xc0 != 0x80 {
		return h, false, errPES
	}
	h.aligned = b[6]&0x04 != 0
	h.size = pesFixed + int(b[8])
	if h.length > 0 && h.length < h.size-6 {
		return h, false, errPES
	}
	if len(b) < h.size {
		return h, false, nil
	}
	stamps := b[pesFixed:h.size]
	if flags := b[7] & 0xc0; flags&0x80 != 0 && len(stamps) >= stampSize {
		h.pts = stamp(stamps)
		h.dts = h.pts
		if flags == 0xc0 && len(stamps) >= 2*stampSize {
			h.dts = stamp(stamps[stampSize:])
		}
	}
	return h, true, nil
}
