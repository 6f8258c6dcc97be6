package flac

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
)

// Frame is the header of a frame (9.1).
type Frame struct {
	BlockSize  int // samples per channel, 1 to 65536
	SampleRate int // Hz; 0 if STREAMINFO says it
	Channels   int // 1 to 8
	BitDepth   int // 0 if STREAMINFO says it
	// Number is the frame's, or of its first sample if Variable.
	Number   uint64
	Variable bool
	Size     int // bytes of the header, checksum included
}

// ParseFrame parses the header that b begins with, and checks its checksum. It fails with
// ErrFrame or io.ErrUnexpectedEOF.
func ParseFrame(b []byte) (Frame, error) {
	f, err := parseFrame(b)
	if err != nil {
		return Frame{}, fmt.Errorf("flac: reading a frame header: %w", err)
	}
	return f, nil
}

func parseFrame(b []byte) (Frame, error) {
	var f Frame
	if len(b) < 5 {
		return f, io.ErrUnexpectedEOF
	}
	blockSize, rate, channels, depth := b[2]>>4, b[2]&15, b[3]>>4, b[3]>>1&7
	if b[0] != 0xff || b[1]&0xfe != 0xf8 || blockSize == 0 || rate == 15 || channels > 10 || depth == 3 || b[3]&1 != 0 {
		return f, ErrFrame
	}
	f.Variable = b[1]&1 != 0
	f.Channels = int(channels) + 1
	if channels >= 8 { // left and side, side and right, mid and side
		f.Channels = 2
	}
	f.BitDepth = [8]int{0, 8, 12, 0, 16, 20, 24, 32}[depth]
	at, ok := 4, false
	if f.Number, at, ok = number(b, at); !ok {
		if at > len(b) {
			return f, io.ErrUnexpectedEOF
		}
		return f, ErrFrame
	}
	extra := 0
	switch {
	case blockSize == 6, blockSize == 7:
		extra = int(blockSize) - 5
	}
	rateAt := at + extra
	switch rate {
	case 12:
		extra++
	case 13, 14:
		extra += 2
	}
	end := at + extra
	if len(b) <= end {
		return f, io.ErrUnexpectedEOF
	}
	if crc8(b[:end]) != b[end] {
		return f, ErrFrame
	}
	switch {
	case blockSize == 1:
		f.BlockSize = 192
	case blockSize <= 5:
		f.BlockSize = 144 << blockSize
	case blockSize == 6:
		f.BlockSize = int(b[at]) + 1
	case blockSize == 7:
		f.BlockSize = int(binary.BigEndian.Uint16(b[at:])) + 1
	default:
		f.BlockSize = 1 << blockSize
	}
	switch rate {
	case 12:
		f.SampleRate = int(b[rateAt]) * 1000
	case 13:
		f.SampleRate = int(binary.BigEndian.Uint16(b[rateAt:]))
	case 14:
		f.SampleRate = int(binary.BigEndian.Uint16(b[rateAt:])) * 10
	default:
		f.SampleRate = [12]int{0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000}[rate]
	}
	f.Size = end + 1
	return f, nil
}

// number reads the coded number at b[at:] (9.1.5), UTF-8 extended to 36 bits. It returns
// where it ends; past the end of b if it goes there.
func number(b []byte, at int) (v uint64, end int, ok bool) {
	first := b[at]
	n := bits.LeadingZeros8(^first)
	switch n {
	case 0:
		return uint64(first), at + 1, true
	case 1, 8:
		return 0, at, false
	}
	if end = at + n; end > len(b) {
		return 0, end, false
	}
	v = uint64(first & (0xff >> (n + 1)))
	for _, c := range b[at+1 : end] {
		if c&0xc0 != 0x80 {
			return 0, at, false
		}
		v = v<<6 | uint64(c&0x3f)
	}
	return v, end, true
}

// crc8 is the checksum of a frame header, polynomial x^8+x^2+x+1 (9.1.8).
func crc8(b []byte) byte {
	crc := byte(0)
	for _, c := range b {
		crc ^= c
		for range 8 {
			crc = crc<<1 ^ crc>>7*7
		}
	}
	return crc
}
