package mp4

import (
	"encoding/binary"
	"slices"
	"time"

	"weir/av"
	"weir/format/fmp4"
)

const (
	// freeSize is the length of the free box, whose place the head of the mdat box takes.
	freeSize = 16
	// MaxReserve bounds Head.Reserve. What changes in front of a file when it is finished is within its first 5 MiB, which
	// matters to those who send it somewhere while it grows.
	MaxReserve = 4 << 20
	minReserve = 1 << 10 // a smaller one holds no moov box
)

// appendBox appends a whole box.
func appendBox(b []byte, typ string, body ...[]byte) []byte {
	size := 8
	for _, p := range body {
		size += len(p)
	}
	b = append(binary.BigEndian.AppendUint32(b, uint32(size)), typ...)
	for _, p := range body {
		b = append(b, p...)
	}
	return b
}

// appendHead appends what comes before the fragments.
func (m *Muxer) appendHead(dst []byte) ([]byte, error) {
	tracks := make([]fmp4.Track, len(m.tracks))
	brands := "isom\x00\x00\x02\x00isomiso6iso5mp41mp42"
	codecs := map[av.Codec]string{av.H264: "avc1", av.AV1: "av01", av.H265: "hvc1"}
	for i, t := range m.tracks {
		tracks[i] = t.Track
		if brand := codecs[t.Codec]; brand != "" {
			brands += brand
			delete(codecs, t.Codec)
		}
	}
	b := appendBox(dst, "ftyp", []byte(brands))
	if n := min(m.head.Reserve, MaxReserve); n >= minReserve {
		b = appendBox(b, "free", make([]byte, n-8))
	}
	b = appendBox(b, "free", make([]byte, freeSize-8))
	b, err := fmp4.AppendMovie(b, tracks, m.head.Start)
	if err != nil {
		return dst, err
	}
	return appendIndex(b, &Index{Path: m.head.Path, Epoch: m.head.Epoch, Start: m.head.Start, Note: m.head.Note}), nil
}

// head is what one of our files begins with, in front of its fragments.
type head struct {
	ftyp     int64    // where that box ends
	front    fmp4.Box // the free box that was reserved, or the moov box in it; without a type if there is none
	free     int64    // where the free box is, or the head of the mdat box that took its place
	finished bool
	mdatEnd  int64 // of a finished file
	moov     fmp4.Box
	about    Index // without fragments and initialization
}

// file is what is read of a file.
type file interface {
	ReadAt(b []byte, at int64) (int, error)
}

// readHead reads the head of one of our files. It fails with ErrForeign for others, and for one of ours that is cut off
// in its head with ErrEmpty.
func readHead(r file, size int64) (h head, err error) {
	ftyp, err := fmp4.ReadBox(r, 0, size)
	if err != nil {
		return h, emptyOr(err)
	}
	if ftyp.Type != "ftyp" {
		return h, ErrForeign
	}
	b, err := fmp4.ReadBox(r, ftyp.End, size)
	if err != nil {
		return h, emptyOr(err)
	}
	h.ftyp = ftyp.End
	if b.Type == "moov" || b.Type == "free" && b.End-b.Begin >= minReserve {
		h.front = b
		b, err = fmp4.ReadBox(r, b.End, size)
		if err == nil && b.Type == "free" && b.End-b.Begin != freeSize { // what the moov box left of it
			b, err = fmp4.ReadBox(r, b.End, size)
		}
		if err != nil {
			return h, emptyOr(err)
		}
	}
	h.free = b.Begin
	switch {
	case h.front.Type == "moov" && b.Type != "mdat":
		return h, ErrForeign
	case b.Type == "mdat" && b.End <= size:
		h.finished, h.mdatEnd = true, b.End
		return h, nil
	case b.Type != "free" || b.End-b.Begin != freeSize:
		return h, ErrForeign
	}
	if h.moov, err = fmp4.ReadBox(r, b.End, size); err != nil {
		return h, emptyOr(err)
	}
	if h.moov.Type != "moov" {
		return h, ErrForeign
	}
	u, err := fmp4.ReadBox(r, h.moov.End, size)
	if err != nil || u.End > size {
		return h, emptyOr(err)
	}
	index, err := readIndexBox(r, u)
	if err != nil {
		return h, err
	}
	h.about = *index
	return h, nil
}

// readBytes reads a range of a file, of at most maxRead bytes.
func readBytes(r file, from, end int64) ([]byte, error) {
	if end < from || end-from > maxRead {
		return nil, ErrForeign
	}
	b := make([]byte, end-from)
	if n, err := r.ReadAt(b, from); int64(n) < end-from {
		return nil, err
	}
	return b, nil
}

// maxRead bounds the boxes that are read whole. The index of a year in fragments of a second is smaller.
const maxRead = 1 << 30

// init returns the initialization segment of a file that is not finished.
func (h *head) init(r file) ([]byte, error) {
	ftyp, err := readBytes(r, 0, h.ftyp)
	if err != nil {
		return nil, err
	}
	moov, err := readBytes(r, h.moov.Begin, h.moov.End)
	if err != nil {
		return nil, err
	}
	return slices.Concat(ftyp, moov), nil
}

// timeOf is a time in ticks as a duration.
func timeOf(ticks int64, t *fmp4.Track) time.Duration { return av.Duration(ticks, int64(t.Timescale)) }
