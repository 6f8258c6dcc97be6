package clip

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sort"

	"weir/format/fmp4"
)

// Bounds of the tables of a whole file.
const (
	maxTail  = 128 << 20
	maxTable = 16 * maxSamples // samples of a file
)

// tail is the end of a file, behind its media, as a file of its own: in the place of the media there is only the head of a box that long.
type tail struct {
	at int64 // where it begins
	b  []byte
}

// ReadAt implements io.ReaderAt.
func (t *tail) ReadAt(p []byte, at int64) (int, error) {
	from := t.b
	if at < t.at {
		var head [16]byte
		head[3] = 1
		copy(head[4:], "mdat")
		binary.BigEndian.PutUint64(head[8:], uint64(t.at))
		from = head[min(max(at, 0), 16):]
	} else {
		from = from[min(at-t.at, int64(len(from))):]
	}
	n := copy(p, from)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// tables returns the samples of each track as the file's own tables tell of them, on the clock of its fragments, of which those from first to behind
// are wanted.
func (s *Source) tables(file io.ReaderAt, tracks []*track, first, behind int) ([][]sample, error) {
	list := s.Index.Fragments
	end := list[len(list)-1].Offset + list[len(list)-1].Size
	if end < 16 || s.Size <= end || s.Size-end > maxTail {
		return nil, fmt.Errorf("%w: there are %d bytes behind its media", ErrDamaged, s.Size-end)
	}
	t := &tail{end, make([]byte, s.Size-end)}
	if n, err := file.ReadAt(t.b, end); n < len(t.b) {
		return nil, fmt.Errorf("reading its tables: %w", err)
	}
	if len(t.b) >= 8 && string(t.b[4:8]) == "free" { // the moov box, of which the file has another one in front
		copy(t.b[4:], "moov")
	}
	r, err := fmp4.NewReader(t, s.Size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	all := make([][]sample, len(tracks))
	count := 0
	r.Samples(func(own *fmp4.Track, x fmp4.SampleAt) bool {
		i := slices.IndexFunc(tracks, func(t *track) bool { return t.id == own.ID })
		if i < 0 || tracks[i].scale != int64(own.Timescale) {
			return true
		}
		all[i] = append(all[i], sample{x.Offset, x.DTS, x.CTS, uint32(x.Size), x.Duration, x.Key})
		count++
		return count < maxTable
	})
	if count >= maxTable {
		return nil, ErrTooLong
	}
	// The tables' clock is another one in each track. A sample that a fragment describes, too, tells by how much they differ.
	read := map[int][][]sample{}
	for i := range tracks {
		k := sort.Search(len(all[i]), func(k int) bool { return all[i][k].offset >= list[first].Offset })
		if k == len(all[i]) || all[i][k].offset >= list[behind-1].Offset+list[behind-1].Size {
			continue
		}
		n := sort.Search(len(list), func(n int) bool { return list[n].Offset > all[i][k].offset }) - 1
		if read[n] == nil {
			if read[n], err = s.fragments(file, list[n:n+1], tracks, maxSamples); err != nil {
				return nil, err
			}
		}
		if x := read[n][i]; len(x) == 0 || x[0].offset != all[i][k].offset {
			return nil, fmt.Errorf("%w: its tables and its fragments differ", ErrDamaged)
		} else if dts, cts := x[0].dts-all[i][k].dts, x[0].cts-all[i][k].cts; dts != 0 || cts != 0 {
			for k := range all[i] {
				all[i][k].dts += dts
				all[i][k].cts += cts
			}
		}
	}
	return all, nil
}

// among returns the samples that lie from one place of the file to another.
func among(table [][]sample, from, to int64, most int) ([][]sample, error) {
	all := make([][]sample, len(table))
	for i, list := range table {
		begin := sort.Search(len(list), func(i int) bool { return list[i].offset >= from })
		end := sort.Search(len(list), func(i int) bool { return list[i].offset >= to })
		all[i] = list[begin:end:end]
		if most -= end - begin; most < 0 {
			return nil, ErrTooLong
		}
	}
	return all, nil
}
