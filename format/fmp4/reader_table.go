package fmp4

import (
	"encoding/binary"
	"fmt"
)

// sampleTable walks over the samples of a plain file (ISO/IEC 14496-12, 8.5 to 8.7).
type sampleTable struct {
	times, offsets runs // of durations, and of composition times
	sizes          []byte
	size           uint32 // of all samples; 0: they are in sizes
	count          uint32
	chunks         []byte
	wide           bool   // chunks are of 64 bits
	groups         []byte // stsc
	keys           []byte // stss; nil: every sample is one

	sample uint32 // the next one
	dts    int64
	chunk  int   // it is in, from 0
	left   int   // samples of the chunk
	at     int64 // its place in the file
	group  int
	key    int
}

// runs walks over a table of (count, value).
type runs struct {
	b    []byte
	left uint32
	v    uint32
}

// next returns the next value; false behind the last.
func (r *runs) next() (uint32, bool) {
	for r.left == 0 {
		if len(r.b) < 8 {
			return 0, false
		}
		r.left, r.v = binary.BigEndian.Uint32(r.b), binary.BigEndian.Uint32(r.b[4:])
		r.b = r.b[8:]
	}
	r.left--
	return r.v, true
}

// table returns the rows of a box: behind a full box's head and a count of them.
func table(stbl []byte, typ string, row int) ([]byte, error) {
	b := find(stbl, typ)
	if b == nil {
		return nil, nil
	}
	if len(b) < 8 {
		return nil, fmt.Errorf("%w: %s", ErrBox, typ)
	}
	n := uint64(binary.BigEndian.Uint32(b[4:])) * uint64(row)
	if n > uint64(len(b)-8) {
		return nil, fmt.Errorf("%w: %s has %d rows in %d bytes", ErrBox, typ, n/uint64(row), len(b))
	}
	return b[8 : 8+n], nil
}

// newSampleTable reads the tables; nil if there are no samples in them.
func newSampleTable(stbl []byte, video bool) (t *sampleTable, err error) {
	t = &sampleTable{group: -1}
	for _, x := range []struct {
		into *[]byte
		typ  string
		row  int
	}{
		{&t.times.b, "stts", 8}, {&t.offsets.b, "ctts", 8}, {&t.groups, "stsc", 12}, {&t.chunks, "stco", 4}, {&t.keys, "stss", 4},
	} {
		if *x.into, err = table(stbl, x.typ, x.row); err != nil {
			return nil, err
		}
	}
	if t.chunks == nil {
		if t.chunks, err = table(stbl, "co64", 8); err != nil {
			return nil, err
		}
		t.wide = true
	}
	if !video {
		t.keys = nil
	}
	b := find(stbl, "stsz")
	if len(b) < 12 {
		return nil, nil
	}
	t.size, t.count = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	if t.sizes = b[12:]; t.size == 0 && uint64(t.count)*4 > uint64(len(t.sizes)) {
		return nil, fmt.Errorf("%w: stsz has %d rows in %d bytes", ErrBox, t.count, len(b))
	}
	if t.count == 0 || len(t.chunks) == 0 || len(t.groups) == 0 {
		return nil, nil
	}
	return t, nil
}

// next returns the next sample that is within a file of so many bytes; false behind the
// last.
func (t *sampleTable) next(fileSize int64) (s readSample, ok bool) {
	if t.sample >= t.count {
		return s, false
	}
	for t.left == 0 {
		if !t.nextChunk() {
			return s, false
		}
	}
	size := t.size
	if size == 0 {
		size = binary.BigEndian.Uint32(t.sizes[4*t.sample:])
	}
	duration, ok := t.times.next()
	if !ok || size > maxSample || t.at < 0 || t.at > fileSize-int64(size) {
		return s, false
	}
	s = readSample{offset: t.at, size: int(size), dts: t.dts, duration: duration}
	if c, ok := t.offsets.next(); ok {
		s.cts = int64(int32(c)) // signed in version 0 too, as writers write them
	}
	t.sample++
	s.key = t.isKey()
	t.at += int64(size)
	t.dts += int64(duration)
	t.left--
	return s, true
}

// isKey reports whether the sample that was just counted is a key frame.
func (t *sampleTable) isKey() bool {
	if t.keys == nil {
		return true
	}
	for ; 4*t.key < len(t.keys); t.key++ {
		switch n := binary.BigEndian.Uint32(t.keys[4*t.key:]); {
		case n == t.sample:
			return true
		case n > t.sample:
			return false
		}
	}
	return false
}

// nextChunk goes on to the next chunk; false behind the last.
func (t *sampleTable) nextChunk() bool {
	width := 4
	if t.wide {
		width = 8
	}
	if (t.chunk+1)*width > len(t.chunks) {
		return false
	}
	if t.wide {
		t.at = int64(binary.BigEndian.Uint64(t.chunks[t.chunk*width:]))
	} else {
		t.at = int64(binary.BigEndian.Uint32(t.chunks[t.chunk*width:]))
	}
	t.chunk++
	// A group holds from its first chunk on until the next one's.
	for 12*(t.group+1) < len(t.groups) && binary.BigEndian.Uint32(t.groups[12*(t.group+1):]) <= uint32(t.chunk) {
		t.group++
	}
	if t.group < 0 {
		return false
	}
	t.left = int(binary.BigEndian.Uint32(t.groups[12*t.group+4:]))
	return true
}
