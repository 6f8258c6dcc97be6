package clip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"time"

	"weir/format/mp4"
)

// Bounds of what is read and made.
const (
	maxMoof    = 16 << 20
	maxSample  = 32 << 20
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
	trex  defaults
}

// defaults are what samples have that do not say otherwise.
type defaults struct{ duration, size, flags uint32 }

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
	return tracks, children(child(moov, "mvex"), func(typ string, _, b []byte) error {
		if typ != "trex" || len(b) < 24 {
			return nil
		}
		for _, t := range tracks {
			if t.id == binary.BigEndian.Uint32(b[4:]) {
				t.trex = defaults{binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:])}
			}
		}
		return nil
	})
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
			all, err = fragments(file, list[first:behind], tracks, most)
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
func fragments(file io.ReaderAt, list []mp4.Fragment, tracks []*track, most int) ([][]sample, error) {
	all := make([][]sample, len(tracks))
	for i := range all {
		all[i] = make([]sample, 0, len(list)*perFragment)
	}
	buf := make([]byte, guess)
	for i := range list {
		var err error
		if most, err = readFragment(file, &list[i], buf, tracks, all, most); err != nil {
			return nil, err
		}
	}
	return all, nil
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

// unread is the error of a fragment that cannot be read: its file is damaged only if it ends before it.
func unread(f *mp4.Fragment, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return fmt.Errorf("a fragment at %d cannot be read: %w", f.Offset, err)
}

// readMoof returns the description of a fragment, a moof box. It is in buf if it fits.
func readMoof(file io.ReaderAt, f *mp4.Fragment, buf []byte) ([]byte, error) {
	if f.Size < 16 || f.Offset < 0 {
		return nil, fmt.Errorf("%w: a fragment of %d bytes", ErrDamaged, f.Size)
	}
	head := buf[:min(int64(len(buf)), f.Size)]
	if n, err := file.ReadAt(head, f.Offset); n < len(head) {
		return nil, unread(f, err)
	}
	size := int64(binary.BigEndian.Uint32(head))
	if string(head[4:8]) != "moof" || size < 8 || size > min(maxMoof, f.Size) {
		return nil, fmt.Errorf("%w: there is no fragment at %d", ErrDamaged, f.Offset)
	}
	if size > int64(len(head)) {
		head = make([]byte, size)
		if n, err := file.ReadAt(head, f.Offset); n < len(head) {
			return nil, unread(f, err)
		}
	}
	return head[:size], nil
}

// readFragment adds the samples of a fragment, and returns how many more there may be.
func readFragment(file io.ReaderAt, f *mp4.Fragment, buf []byte, tracks []*track, all [][]sample, most int) (int, error) {
	head, err := readMoof(file, f, buf)
	if err != nil {
		return most, err
	}
	data := f.Offset + int64(len(head)) + 8
	err = children(head[8:], func(typ string, _, traf []byte) error {
		if typ != "traf" {
			return nil
		}
		var err error
		data, most, err = readTraf(traf, f, tracks, all, data, most)
		return err
	})
	return most, err
}

// readTraf adds the samples of one track (ISO/IEC 14496-12, 8.8.6). data is where they are if it does not say so.
func readTraf(b []byte, f *mp4.Fragment, tracks []*track, all [][]sample, data int64, most int) (int64, int, error) {
	bad := fmt.Errorf("%w: the fragment at %d", ErrDamaged, f.Offset)
	tfhd, tfdt := child(b, "tfhd"), child(b, "tfdt")
	if len(tfhd) < 8 || len(tfdt) < 8 {
		return data, most, bad
	}
	flags := binary.BigEndian.Uint32(tfhd) & 0xffffff
	at := -1
	for i, t := range tracks {
		if t.id == binary.BigEndian.Uint32(tfhd[4:]) {
			at = i
		}
	}
	if at < 0 {
		return data, most, nil
	}
	d, h := tracks[at].trex, fields{b: tfhd[8:]}
	base := data
	switch {
	case flags&0x1 != 0:
		base = int64(h.u64() & math.MaxInt64)
	case flags&0x20000 != 0:
		base = f.Offset
	}
	if flags&0x2 != 0 {
		h.u32()
	}
	for _, x := range []struct {
		flag uint32
		into *uint32
	}{{0x8, &d.duration}, {0x10, &d.size}, {0x20, &d.flags}} {
		if flags&x.flag != 0 {
			*x.into = h.u32()
		}
	}
	dts := int64(binary.BigEndian.Uint32(tfdt[4:]))
	if tfdt[0] == 1 && len(tfdt) >= 12 {
		dts = int64(binary.BigEndian.Uint64(tfdt[4:]))
	}
	if h.bad || dts < 0 || dts > math.MaxInt64/4 {
		return data, most, bad
	}
	place := base
	err := children(b, func(typ string, _, run []byte) error {
		if typ != "trun" {
			return nil
		}
		r := fields{b: run}
		flags, count := r.u32()&0xffffff, r.u32()
		if flags&0x1 != 0 {
			place = base + int64(int32(r.u32()))
		}
		firstFlags := d.flags
		if flags&0x4 != 0 {
			firstFlags = r.u32()
		}
		row := 0
		for _, bit := range []uint32{0x100, 0x200, 0x400, 0x800} {
			if flags&bit != 0 {
				row += 4
			}
		}
		if r.bad || uint64(count)*uint64(row) > uint64(len(r.b)) {
			return bad
		}
		if most -= int(count); most < 0 || count > maxSamples {
			return ErrTooLong
		}
		for i := range count {
			x, own := sample{offset: place, dts: dts, size: d.size, duration: d.duration}, d.flags
			if i == 0 {
				own = firstFlags
			}
			if flags&0x100 != 0 {
				x.duration = r.u32()
			}
			if flags&0x200 != 0 {
				x.size = r.u32()
			}
			if flags&0x400 != 0 {
				own = r.u32()
			}
			if flags&0x800 != 0 {
				x.cts = int32(r.u32())
			}
			const notSync = 1 << 16
			x.key = own&notSync == 0
			if x.size > maxSample || place < f.Offset || place+int64(x.size) > f.Offset+f.Size {
				return bad
			}
			place += int64(x.size)
			dts += int64(x.duration)
			all[at] = append(all[at], x)
		}
		return nil
	})
	return place, most, err
}
