package fmp4

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
)

// Box is where a box at the top of a file is.
type Box struct {
	Type string
	// Begin and Body are where its head begins and ends, and End where the box does, which may be behind
	// the end of a file that is cut off.
	Begin, Body, End int64
}

// ReadBox reads the head of the box at a place of a file of so many bytes. It fails with io.EOF where no whole head
// is left, with ErrBox for a size that is none, and else with the error of r.
func ReadBox(r io.ReaderAt, at, size int64) (b Box, err error) {
	var head [16]byte
	if at < 0 || at >= size {
		return b, io.EOF
	}
	n, err := r.ReadAt(head[:min(16, size-at)], at)
	if n < 8 {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.EOF
		}
		return b, err
	}
	b = Box{Type: string(head[4:8]), Begin: at, Body: at + 8}
	switch length := int64(binary.BigEndian.Uint32(head[:])); {
	case length == 0:
		b.End = size
	case length == 1:
		if n < 16 {
			return b, io.EOF
		}
		large := binary.BigEndian.Uint64(head[8:])
		if large < 16 || large > math.MaxInt64-uint64(at) {
			return b, ErrBox
		}
		b.Body, b.End = at+16, at+int64(large)
	case length < 8:
		return b, ErrBox
	default:
		b.End = at + length
	}
	return b, nil
}
