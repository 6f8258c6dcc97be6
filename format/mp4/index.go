package mp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"weir/av"
	"weir/format/fmp4"
)

// Errors of reading; they are wrapped.
var (
	// ErrForeign is returned for a file that this package has not written.
	ErrForeign = errors.New("not a recording of this package")
	// ErrEmpty is returned for a file that has no whole fragment.
	ErrEmpty = errors.New("nothing has been recorded in it")
	// ErrNoIndex is returned for a finished file whose index is missing or damaged: another program has written it anew.
	ErrNoIndex = errors.New("it has no index")
)

// Index says where the fragments of a file are. In a finished file it is a uuid box behind the moov box; of another it is made
// by reading the descriptions of its fragments.
type Index struct {
	Path  string    // the stream's
	Epoch uint64    // of the stream's life
	Start time.Time // wall time of file time 0
	Note  []byte    // what the file's owner wanted to find in it again, as Head has it
	// Init is the initialization segment (ftyp, and moov with mvex) that the fragments need; a finished file has
	// another one.
	Init      []byte
	Fragments []Fragment
}

// Fragment is one fragment of a file.
type Fragment struct {
	// Time and Duration are on the file's clock: of the decoding times of the first video track or else the first
	// track, where the fragment has samples of it, and else of another.
	Time, Duration time.Duration
	Offset, Size   int64 // of moof and mdat together
	Key            bool  // it begins with a key frame; sound alone always does
}

// ReadIndex reads the index of a file of so many bytes, which may still be written: then it has the fragments that are whole. It fails with
// ErrForeign, ErrEmpty, ErrNoIndex, or the error of r.
func ReadIndex(r io.ReaderAt, size int64) (*Index, error) {
	index, err := readIndex(r, size)
	if err != nil {
		return nil, fmt.Errorf("mp4: reading the index: %w", err)
	}
	return index, nil
}

func readIndex(r io.ReaderAt, size int64) (*Index, error) {
	h, err := readHead(r, size)
	if err != nil {
		return nil, err
	}
	if !h.finished {
		s, err := scan(r, size, &h, nil)
		if err != nil {
			return nil, err
		}
		return s.index, nil
	}
	moov, err := fmp4.ReadBox(r, h.mdatEnd, size)
	if err != nil || !h.describes(moov) {
		return nil, noIndexOr(err)
	}
	u, err := fmp4.ReadBox(r, moov.End, size)
	if err != nil || u.End > size {
		return nil, noIndexOr(err)
	}
	index, err := readIndexBox(r, u)
	if err != nil {
		return nil, noIndexOr(err)
	}
	return index, nil
}

// noIndexOr is err, or ErrNoIndex for what a file lacks.
func noIndexOr(err error) error {
	if err == nil || isEnd(err) || errors.Is(err, fmp4.ErrBox) || errors.Is(err, ErrForeign) {
		return ErrNoIndex
	}
	return err
}

// emptyOr is err, or ErrEmpty for what a file that is cut off lacks.
func emptyOr(err error) error {
	switch {
	case err == nil, isEnd(err):
		return ErrEmpty
	case errors.Is(err, fmp4.ErrBox):
		return ErrForeign
	}
	return err
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// boxType is the type of our uuid box: "Weir-index-v1".
const boxType = "Weir-index-v1\x00\x00\x01"

const (
	// indexVersion is that which is written; the first one, which has no note, is read as well.
	indexVersion = 2
	rowSize      = 24
	keyBit       = 1 << 31 // of a row's size
)

// appendIndex appends the uuid box: version, start in nanoseconds since 1970, epoch, path, note, initialization segment, and a row
// for each fragment: offset, size with the key bit, time in nanoseconds, duration in microseconds.
func appendIndex(b []byte, x *Index) []byte {
	at := len(b)
	b = appendBox(b, "uuid", []byte(boxType))
	b = append(b, indexVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(x.Start.UnixNano()))
	b = binary.BigEndian.AppendUint64(b, x.Epoch)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(x.Path))), x.Path...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(x.Note))), x.Note...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(x.Init))), x.Init...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(x.Fragments)))
	for i := range x.Fragments {
		f := &x.Fragments[i]
		size := uint32(f.Size)
		if f.Key {
			size |= keyBit
		}
		b = binary.BigEndian.AppendUint64(b, uint64(f.Offset))
		b = binary.BigEndian.AppendUint32(b, size)
		b = binary.BigEndian.AppendUint64(b, uint64(f.Time))
		b = binary.BigEndian.AppendUint32(b, uint32(min(f.Duration.Microseconds(), math.MaxUint32)))
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

// readIndexBox reads what appendIndex writes. It fails with ErrForeign for anything else.
func readIndexBox(r file, u fmp4.Box) (*Index, error) {
	if u.Type != "uuid" {
		return nil, ErrForeign
	}
	b, err := readBytes(r, u.Body, u.End)
	if err != nil {
		return nil, err
	}
	const fixed = 16 + 1 + 8 + 8 + 2
	if len(b) < fixed || string(b[:16]) != boxType || b[16] == 0 || b[16] > indexVersion {
		return nil, ErrForeign
	}
	version := b[16]
	x := &Index{Start: time.Unix(0, int64(binary.BigEndian.Uint64(b[17:]))).UTC(), Epoch: binary.BigEndian.Uint64(b[25:])}
	text := func() (s []byte, ok bool) {
		n := 2 + int(binary.BigEndian.Uint16(b))
		if len(b) < n+4 {
			return nil, false
		}
		s, b = b[2:n:n], b[n:]
		return s, true
	}
	b = b[fixed-2:]
	path, ok := text()
	if ok && version > 1 {
		x.Note, ok = text()
	}
	if !ok {
		return nil, ErrForeign
	}
	x.Path = string(path)
	size := binary.BigEndian.Uint32(b)
	if b = b[4:]; uint64(len(b)) < uint64(size)+4 {
		return nil, ErrForeign
	}
	x.Init = b[:size:size]
	rows := binary.BigEndian.Uint32(b[size:])
	if b = b[size+4:]; uint64(len(b)) != uint64(rows)*rowSize {
		return nil, ErrForeign
	}
	x.Fragments = make([]Fragment, rows)
	for i := range x.Fragments {
		row := b[i*rowSize:]
		size := binary.BigEndian.Uint32(row[8:])
		x.Fragments[i] = Fragment{
			Offset: int64(binary.BigEndian.Uint64(row)), Size: int64(size &^ keyBit), Key: size&keyBit != 0,
			Time:     time.Duration(binary.BigEndian.Uint64(row[12:])),
			Duration: time.Duration(binary.BigEndian.Uint32(row[20:])) * time.Microsecond,
		}
	}
	return x, nil
}

// scanned is what the fragments of a file tell.
type scanned struct {
	index  *Index
	tables []*fmp4.Tables // of each track, if they were asked for
	moov   []byte
	end    int64 // of the last whole fragment
}

// scan reads the descriptions of the fragments of a file that is not finished, and adds their samples to tables if those are
// not nil: one is added for each track.
func scan(r io.ReaderAt, size int64, h *head, tables []*fmp4.Tables) (*scanned, error) {
	s := &scanned{index: &h.about}
	reader, err := fmp4.NewReader(r, size)
	if errors.Is(err, fmp4.ErrNotMP4) || errors.Is(err, fmp4.ErrBox) || errors.Is(err, fmp4.ErrNoTracks) {
		err = fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if err != nil {
		return nil, err
	}
	if out := reader.LeftOut(); len(out) > 0 { // the Muxer writes none that cannot be read
		return nil, fmt.Errorf("%w: %v", ErrForeign, out)
	}
	if s.moov, err = readBytes(r, h.moov.Begin, h.moov.End); err != nil {
		return nil, err
	}
	if s.index.Init, err = h.init(r); err != nil {
		return nil, err
	}
	tracks := reader.Tracks()
	lead, places := tracks[0].ID, map[uint32]int{}
	for i := range tracks {
		places[tracks[i].ID] = i
		if tables != nil {
			tables = append(tables, &fmp4.Tables{})
		}
	}
	for i := range tracks {
		if tracks[i].Kind == av.Video {
			lead = tracks[i].ID
			break
		}
	}
	for {
		f, err := reader.NextFragment()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(f.Runs) == 0 {
			continue
		}
		s.end = f.End
		row := Fragment{Offset: f.Begin, Size: f.End - f.Begin}
		for i := range f.Runs {
			run := &f.Runs[i]
			first, last := &run.Samples[0], &run.Samples[len(run.Samples)-1]
			if i == 0 || run.Track.ID == lead {
				row.Time = timeOf(first.DTS, run.Track)
				row.Duration = (timeOf(last.DTS+int64(last.Duration), run.Track) - row.Time).Truncate(time.Microsecond)
				row.Key = first.Key && (run.Track.ID == lead)
			}
			if tables != nil {
				tables[places[run.Track.ID]].Add(run.Samples)
			}
		}
		s.index.Fragments = append(s.index.Fragments, row)
	}
	if len(s.index.Fragments) == 0 {
		return nil, ErrEmpty
	}
	s.tables = tables
	return s, nil
}
