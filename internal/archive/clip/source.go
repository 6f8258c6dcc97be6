package clip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"time"

	"weir/format/fmp4"
	"weir/format/mp4"
)

// Bounds of what is read and made.
const (
	maxTracks  = 32
	maxSamples = 4 << 20 // of all tracks of a clip
	// reorder is by how much a picture may be decoded after it is shown, by the clock of the file.
	reorder     = time.Second
	perFragment = 64      // samples of a track, as a guess
	guess       = 4 << 10 // of the size of a fragment's description: one read is enough for most
)

// Errors of this package; they are wrapped.
var (
	// ErrDamaged is returned for a file whose fragments cannot be read.
	ErrDamaged = errors.New("the file is damaged")
	// ErrCodecs is returned for files that cannot become one because their tracks differ.
	ErrCodecs = errors.New("the tracks of the files differ")
	// ErrTooLong is returned for more samples than a clip may have.
	ErrTooLong = errors.New("the clip is too long")
	// ErrEmpty is returned for a range in which no sample is shown.
	ErrEmpty = errors.New("there is nothing in the range")
)

// File is a file that is read.
type File interface {
	io.ReaderAt
	io.Closer
}

// Source is a part of one recorded file. Times are those of the file.
type Source struct {
	// Open opens the file; it is closed again.
	Open  func() (File, error)
	Index *mp4.Index
	// Size is that of the file, which is whole, if its own tables are to be read in the place of its fragments' descriptions: one read
	// of a file that is far away, instead of one for each fragment. 0 reads the fragments.
	Size int64
	// From and To are what is shown of it. Of several sources only the first may begin after its file's beginning.
	From, To time.Duration
	// Gap is time before this source that is not recorded but is to pass all the same: what the source before
	// shows at its end stays.
	Gap time.Duration
}

// track is a track of a clip.
type track struct {
	id    uint32
	scale int64
	video bool
	trak  []byte // of the initialization
	stsd  []byte
}

// sample is a sample of a file, and where it is. Times are in ticks.
type sample struct {
	offset   int64
	dts      int64
	cts      int32
	size     uint32
	duration uint32
	key      bool
}

// parseInit reads the tracks of an initialization segment.
func parseInit(b []byte) ([]*track, error) {
	moov := child(b, "moov")
	if moov == nil {
		return nil, fmt.Errorf("%w: it has no description", ErrDamaged)
	}
	var tracks []*track
	err := children(moov, func(typ string, _, trak []byte) error {
		if typ != "trak" {
			return nil
		}
		tkhd, mdia := child(trak, "tkhd"), child(trak, "mdia")
		mdhd, hdlr := child(mdia, "mdhd"), child(mdia, "hdlr")
		stsd := child(child(child(mdia, "minf"), "stbl"), "stsd")
		at := 12
		if len(mdhd) > 0 && mdhd[0] == 1 {
			at = 20
		}
		idAt := 12
		if len(tkhd) > 0 && tkhd[0] == 1 {
			idAt = 20
		}
		if len(tkhd) < idAt+tkhdTail || len(mdhd) < at+8 || len(hdlr) < 12 || stsd == nil || len(tracks) == maxTracks {
			return fmt.Errorf("%w: a track of its description", ErrDamaged)
		}
		t := &track{
			id: binary.BigEndian.Uint32(tkhd[idAt:]), scale: int64(binary.BigEndian.Uint32(mdhd[at:])),
			video: string(hdlr[8:12]) == "vide", trak: trak, stsd: stsd,
		}
		if t.scale == 0 {
			return fmt.Errorf("%w: a track without a time scale", ErrDamaged)
		}
		tracks = append(tracks, t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(tracks) == 0 {
		return nil, fmt.Errorf("%w: it has no tracks", ErrDamaged)
	}
	return tracks, nil
}

// equal reports whether two initializations describe the same tracks, so that samples of both may
// follow one another. Their clocks may differ.
func equal(a, b []*track) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].id != b[i].id || !bytes.Equal(a[i].stsd, b[i].stsd) {
			return false
		}
	}
	return true
}

// read returns the samples of each track that the source needs, and where in the file the first fragment
// of them begins. most is how many there may be.
func (s *Source) read(tracks []*track, most int, last bool) (all [][]sample, begin int64, err error) {
	file, err := s.Open()
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	list := s.Index.Fragments
	behind := sort.Search(len(list), func(i int) bool { return list[i].Time >= s.To+reorder })
	first := keyBefore(list, sort.Search(len(list), func(i int) bool { return list[i].Time > s.From })-1)
	if first >= behind {
		return nil, 0, ErrEmpty
	}
	var table [][]sample
	if s.Size > 0 {
		if table, err = s.tables(file, tracks, first, behind); err != nil {
			return nil, 0, err
		}
	}
	for {
		if table != nil {
			all, err = among(table, list[first].Offset, list[behind-1].Offset+list[behind-1].Size, most)
		} else {
			all, err = s.fragments(file, list[first:behind], tracks, most)
		}
		if err != nil {
			return nil, 0, err
		}
		// A key frame that is decoded before the beginning may be shown after it: what is shown at the
		// beginning is in the group of pictures before, then.
		if before := keyBefore(list, first-1); first > 0 && before < first && startsLate(tracks, all, s.From) {
			first = before
			continue
		}
		for i, t := range tracks {
			to := s.To
			if t.video && !last { // its last pictures are shown while the next file's first ones are decoded
				to += reorder
			}
			all[i] = t.shown(all[i], s.From, to)
		}
		return all, list[first].Offset, nil
	}
}

// fragments reads the samples of fragments.
func (s *Source) fragments(file io.ReaderAt, list []mp4.Fragment, tracks []*track, most int) ([][]sample, error) {
	r, err := describe(file, s.Index)
	if err != nil {
		return nil, err
	}
	all := make([][]sample, len(tracks))
	for i := range all {
		all[i] = make([]sample, 0, len(list)*perFragment)
	}
	for i := range list {
		f, err := fragment(r, &list[i])
		if err != nil {
			return nil, err
		}
		for k := range f.Runs {
			run := &f.Runs[k]
			at := slices.IndexFunc(tracks, func(t *track) bool { return t.id == run.Track.ID })
			if at < 0 {
				continue
			}
			if most -= len(run.Samples); most < 0 {
				return nil, ErrTooLong
			}
			if dts := run.Samples[0].DTS; dts > math.MaxInt64/4 {
				return nil, fmt.Errorf("%w: the fragment at %d begins at %d", ErrDamaged, f.Begin, dts)
			}
			for _, x := range run.Samples {
				all[at] = append(all[at], sample{x.Offset, x.DTS, x.CTS, uint32(x.Size), x.Duration, x.Key})
			}
		}
	}
	return all, nil
}

// describe returns a reader of the descriptions of a file's fragments.
func describe(file io.ReaderAt, x *mp4.Index) (*fmp4.Reader, error) {
	r, err := fmp4.NewFragmentReader(x.Init, &window{file: file}, math.MaxInt64)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return r, nil
}

// fragment reads the description of a fragment. Its file is damaged if there is no such fragment, not if it cannot be read.
func fragment(r *fmp4.Reader, f *mp4.Fragment) (fmp4.Fragment, error) {
	d, err := r.FragmentAt(f.Offset, f.Size)
	if errors.Is(err, fmp4.ErrBox) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		err = fmt.Errorf("a fragment at %d cannot be read: %w", f.Offset, err)
	}
	return d, err
}

// window reads a file ahead, so that what describes a fragment is mostly one read.
type window struct {
	file io.ReaderAt
	at   int64
	b    []byte
}

// ReadAt implements io.ReaderAt.
func (w *window) ReadAt(p []byte, at int64) (int, error) {
	if from := at - w.at; from >= 0 && from+int64(len(p)) <= int64(len(w.b)) {
		return copy(p, w.b[from:]), nil
	}
	b := w.b[:0]
	if len(p) > cap(b) {
		b = make([]byte, max(len(p), guess))
	}
	n, err := w.file.ReadAt(b[:cap(b)], at)
	w.at, w.b = at, b[:n]
	if n = copy(p, w.b); n == len(p) {
		err = nil
	}
	return n, err
}

// shown returns the samples that are needed to show a track from one time to another.
func (t *track) shown(list []sample, from, to time.Duration) []sample {
	first := t.ticks(from)
	end := max(t.ticks(to), first+1) // however short it is, something is shown
	begin, last := 0, min(1, len(list))
	for i := range list {
		x := &list[i]
		if x.dts+int64(x.cts) < end {
			last = i + 1
		}
		if !t.video && x.dts+int64(x.duration) <= first {
			begin = i + 1
		}
	}
	return list[min(begin, last):last]
}

// keyBefore returns the newest fragment up to i that begins with a key frame; 0 if there is none.
func keyBefore(list []mp4.Fragment, i int) int {
	for ; i > 0 && !list[i].Key; i-- {
	}
	return max(i, 0)
}

// startsLate reports whether the first picture of a track of pictures is shown after from.
func startsLate(tracks []*track, all [][]sample, from time.Duration) bool {
	for i, t := range tracks {
		if t.video && len(all[i]) > 0 && all[i][0].dts+int64(all[i][0].cts) > t.ticks(from) {
			return true
		}
	}
	return false
}

// ticks is a time on the track's clock, rounded to the nearest tick.
func (t *track) ticks(d time.Duration) int64 {
	s, rest := int64(d/time.Second), int64(d%time.Second)
	half := int64(time.Second / 2)
	if rest < 0 {
		half = -half
	}
	return s*t.scale + (rest*t.scale+half)/int64(time.Second)
}
