package clip

import (
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"time"

	"weir/format/fmp4"
	"weir/format/mp4"
)

// Shifted reads a file of so many bytes as it would be if its fragments were decoded later by a time: their tfdt boxes are changed, and nothing
// else. It fails with ErrDamaged for an initialization that cannot be read.
func Shifted(file io.ReaderAt, size int64, x *mp4.Index, by time.Duration) (io.ReadSeeker, error) {
	tracks, err := parseInit(x.Init)
	if err != nil {
		return nil, err
	}
	s := &shifted{file: file, list: x.Fragments, known: -1, moves: map[uint32]int64{}}
	if s.reader, err = describe(file, x); err != nil {
		return nil, err
	}
	for _, t := range tracks {
		s.moves[t.id] = t.ticks(by)
	}
	return io.NewSectionReader(s, 0, size), nil
}

// shifted is a file whose fragments are decoded later.
type shifted struct {
	file   io.ReaderAt
	reader *fmp4.Reader // of descriptions
	list   []mp4.Fragment
	moves  map[uint32]int64 // by which each track is, in its ticks

	known int // the fragment that changes are of
	fixes []change
}

// change is bytes of the file that are others.
type change struct {
	at int64
	b  []byte
}

// ReadAt implements io.ReaderAt.
func (s *shifted) ReadAt(p []byte, at int64) (int, error) {
	n, err := s.file.ReadAt(p, at)
	end := at + int64(n)
	first := max(sort.Search(len(s.list), func(i int) bool { return s.list[i].Offset > at })-1, 0)
	for i := first; i < len(s.list) && s.list[i].Offset < end; i++ {
		if i != s.known {
			fixes, err := s.read(&s.list[i])
			if err != nil {
				return 0, err
			}
			s.known, s.fixes = i, fixes
		}
		for _, c := range s.fixes {
			if from, to := max(c.at, at), min(c.at+int64(len(c.b)), end); from < to {
				copy(p[from-at:to-at], c.b[from-c.at:to-c.at])
			}
		}
	}
	return n, err
}

// read returns what is to be changed in a fragment.
func (s *shifted) read(f *mp4.Fragment) (list []change, err error) {
	d, err := fragment(s.reader, f)
	if err != nil {
		return nil, err
	}
	for _, run := range d.Runs {
		if run.TimeAt == 0 {
			return nil, fmt.Errorf("%w: the fragment at %d has no time", ErrDamaged, f.Offset)
		}
		later := max(run.Samples[0].DTS+s.moves[run.Track.ID], 0)
		list = append(list, change{run.TimeAt, binary.BigEndian.AppendUint64(nil, uint64(later))})
	}
	return list, nil
}
