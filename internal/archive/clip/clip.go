package clip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// Clip is a plain MP4 file that is put together when it is read. It does not change.
type Clip struct {
	head   []byte  // all that stands before the media
	pieces []piece // of the media, in order
	size   int64
	// Duration is the time that it shows.
	Duration time.Duration
}

// piece is a range of a source's file.
type piece struct {
	source   int
	at, size int64
}

// strip is the samples of a track in a clip. Their times are the clip's: 0 is where it begins to be shown, in
// ticks; offset counts from the beginning of the media.
type strip struct {
	*track
	samples []sample
	ends    int64 // when the last sample ends
}

// New makes a clip of sources, in their order. It fails with ErrDamaged, of which SourceError tells the source, ErrCodecs, ErrTooLong or
// ErrEmpty.
func New(sources []Source) (*Clip, error) {
	c := &Clip{}
	var strips []strip
	var tracks []*track
	room := maxSamples
	data := int64(0) // bytes of media so far
	for i := range sources {
		s := &sources[i]
		own, err := parseInit(s.Index.Init)
		if err != nil {
			return nil, &SourceError{i, err}
		}
		if tracks == nil {
			tracks, strips = own, make([]strip, len(own))
			for k := range own {
				strips[k].track = own[k]
			}
		} else if !equal(tracks, own) {
			return nil, &SourceError{i, ErrCodecs}
		}
		all, begin, err := s.read(own, room, i == len(sources)-1)
		if err != nil && !errors.Is(err, ErrEmpty) {
			return nil, &SourceError{i, err}
		}
		end := begin
		for k := range all {
			room -= len(all[k])
			for i := range all[k] {
				end = max(end, all[k][i].offset+int64(all[k][i].size))
			}
		}
		c.Duration += s.Gap
		for k := range all {
			own[k].convert(all[k], strips[k].scale)
			strips[k].add(all[k], s, c.Duration, data-begin)
		}
		c.Duration += s.To - s.From
		c.pieces = append(c.pieces, piece{i, begin, end - begin})
		data += end - begin
	}
	shown := false
	for k := range strips {
		shown = shown || len(strips[k].samples) > 0
	}
	if !shown {
		return nil, ErrEmpty
	}
	c.head = header(strips, c.Duration, data)
	c.size = int64(len(c.head)) + data
	return c, nil
}

// convert puts the times of samples of the track on another clock. Each is rounded on its own, so that no error adds up.
func (t *track) convert(list []sample, scale int64) {
	if t.scale == scale {
		return
	}
	on := func(ticks int64) int64 {
		whole, rest := ticks/t.scale, ticks%t.scale
		return whole*scale + (rest*scale+t.scale/2)/t.scale
	}
	for i := range list {
		x := &list[i]
		dts, end, shown := on(x.dts), on(x.dts+int64(x.duration)), on(max(x.dts+int64(x.cts), 0))
		x.dts, x.duration, x.cts = dts, uint32(min(end-dts, math.MaxUint32)), int32(min(max(shown-dts, math.MinInt32), math.MaxInt32))
	}
}

// SourceError says which source an error is about.
type SourceError struct {
	Source int
	Err    error
}

// Error implements error.
func (e *SourceError) Error() string { return fmt.Sprintf("file %d: %v", e.Source+1, e.Err) }

// Unwrap returns what is wrong with the source.
func (e *SourceError) Unwrap() error { return e.Err }

// add adds a source's samples, which begin to be shown at a time of the clip; move is by how much its media moves.
func (t *strip) add(list []sample, s *Source, at time.Duration, move int64) {
	shift := t.ticks(at) - t.ticks(s.From)
	if t.samples == nil { // most clips are of one file
		t.samples = list[:0]
	}
	for _, x := range list {
		x.dts += shift
		x.offset += move
		// A picture is shown when it was, but is decoded after what came before.
		if n := len(t.samples); n > 0 && x.dts <= t.samples[n-1].dts {
			late := t.samples[n-1].dts + 1 - x.dts
			x.dts += late
			x.cts -= int32(min(late, math.MaxInt32))
		}
		t.samples = append(t.samples, x)
		t.ends = x.dts + int64(x.duration)
	}
}

// Size returns the bytes of the file.
func (c *Clip) Size() int64 { return c.size }

// Head returns how many bytes of it are kept in memory.
func (c *Clip) Head() int { return len(c.head) }

// Reader reads the file. open returns the file of a source, by its number; it is called when something of it is read, at
// most once in a row for the same.
func (c *Clip) Reader(open func(source int) (io.ReaderAt, error)) io.ReadSeeker {
	return &reader{clip: c, open: open, source: -1}
}

// reader reads a clip.
type reader struct {
	clip   *Clip
	open   func(source int) (io.ReaderAt, error)
	source int // that file is open
	file   io.ReaderAt
	at     int64
}

// Read implements io.Reader.
func (r *reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if r.at < int64(len(r.clip.head)) {
		n := copy(b, r.clip.head[r.at:])
		r.at += int64(n)
		return n, nil
	}
	at := r.at - int64(len(r.clip.head))
	for _, p := range r.clip.pieces {
		if at >= p.size {
			at -= p.size
			continue
		}
		if r.source != p.source {
			f, err := r.open(p.source)
			if err != nil {
				return 0, err
			}
			r.source, r.file = p.source, f
		}
		n, err := r.file.ReadAt(b[:min(int64(len(b)), p.size-at)], p.at+at)
		r.at += int64(n)
		if n > 0 {
			return n, nil
		}
		if err == io.EOF { //nolint:errorlint // ReadAt says so of a file that is shorter than it was
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	return 0, io.EOF
}

// Seek implements io.Seeker.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.clip.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("clip: seeking to %d: before the beginning", offset)
	}
	r.at = offset
	return offset, nil
}

// patch adds base to the places of all chunks in a head.
func patch(head []byte, tables []chunkTable, base int64) {
	for _, t := range tables {
		for i := range t.count {
			if t.wide {
				p := head[t.at+8*i:]
				binary.BigEndian.PutUint64(p, binary.BigEndian.Uint64(p)+uint64(base))
			} else {
				p := head[t.at+4*i:]
				binary.BigEndian.PutUint32(p, binary.BigEndian.Uint32(p)+uint32(base))
			}
		}
	}
}
