package fmp4

import (
	"encoding/binary"
	"fmt"
	"math"

	"weir/av"
)

// Tables gathers the sample tables of one track of a plain file (ISO/IEC 14496-12, 8.6 and 8.7). The zero value has no
// samples.
type Tables struct {
	times, offsets []tableRun
	sizes          []uint32
	chunks         []int64
	perChunk       []uint32
	keys           []uint32 // numbers of the key frames, from 1 on
	start          int64    // when the first sample is shown, on the file's clock
	firstCTS       int64
	leastCTS       int64
	next           int64 // where the last sample ends
	last           int64 // its duration, which is in no table yet
	media          int64 // the durations before that
}

// tableRun is how often a value comes in a row.
type tableRun struct {
	count uint32
	value int64
}

func appendTableRun(runs []tableRun, v int64) []tableRun {
	if n := len(runs); n > 0 && runs[n-1].value == v && runs[n-1].count < math.MaxUint32 {
		runs[n-1].count++
		return runs
	}
	return append(runs, tableRun{1, v})
}

// Add adds samples that lie behind one another in the file. Where they do not begin as the sample before them ends,
// that one lasts longer or shorter.
func (t *Tables) Add(samples []SampleAt) {
	if len(samples) == 0 {
		return
	}
	if first := &samples[0]; len(t.sizes) == 0 {
		t.start, t.firstCTS, t.leastCTS = first.DTS+int64(first.CTS), int64(first.CTS), int64(first.CTS)
	} else {
		t.last = min(max(t.last+first.DTS-t.next, 0), math.MaxUint32)
	}
	t.chunks = append(t.chunks, samples[0].Offset)
	t.perChunk = append(t.perChunk, uint32(len(samples)))
	for i := range samples {
		s := &samples[i]
		if len(t.sizes) > 0 {
			t.times = appendTableRun(t.times, t.last)
			t.media += t.last
		}
		t.sizes = append(t.sizes, uint32(s.Size))
		t.offsets = appendTableRun(t.offsets, int64(s.CTS))
		t.leastCTS = min(t.leastCTS, int64(s.CTS))
		if s.Key {
			t.keys = append(t.keys, uint32(len(t.sizes)))
		}
		t.last = int64(s.Duration)
	}
	end := &samples[len(samples)-1]
	t.next = end.DTS + int64(end.Duration)
}

// Samples returns how many samples were added.
func (t *Tables) Samples() int { return len(t.sizes) }

// duration is that of the media, in ticks.
func (t *Tables) duration() int64 { return t.media + t.last }

// AppendPlain appends the moov box of a plain file: moov, the box that AppendMovie made, with the samples of tables,
// which are in the order of its tracks. Tracks without samples are left out. A track that begins later than the file does
// has an empty edit before it. It fails with ErrBox for a moov box that AppendMovie has not made.
func AppendPlain(dst, moov []byte, tables []*Tables) ([]byte, error) {
	if len(moov) < 8 {
		return dst, fmt.Errorf("fmp4: writing a plain file: %w", ErrBox)
	}
	scale := int64(0)
	if h := find(moov[8:], "mvhd"); len(h) > 24 && h[0] == 1 {
		scale = int64(binary.BigEndian.Uint32(h[20:]))
	}
	if scale == 0 {
		return dst, fmt.Errorf("fmp4: writing a plain file: %w: mvhd", ErrBox)
	}
	// What is shown first is at the beginning, also if its decoding time is not 0.
	begin, known := int64(0), false
	for i, t := range traks(moov[8:]) {
		if i < len(tables) && tables[i].Samples() > 0 {
			if at, ok := tables[i].shown(t, scale); ok && (!known || at < begin) {
				begin, known = at, true
			}
		}
	}
	b, at := openBox(dst, "moov")
	track, whole := 0, int64(0)
	err := inner(moov[8:], func(typ string, body []byte) (err error) {
		switch typ {
		case "mvex":
		case "trak":
			if track++; track > len(tables) {
				return ErrBox
			}
			if t := tables[track-1]; t.Samples() > 0 {
				var d int64
				b, d, err = appendPlainTrack(b, body, t, scale, begin)
				whole = max(whole, d)
			}
		default:
			b = appendCopy(b, typ, body)
		}
		return err
	})
	if err != nil {
		return dst, fmt.Errorf("fmp4: writing a plain file: %w", err)
	}
	if h := find(b[at+8:], "mvhd"); len(h) >= 32 {
		binary.BigEndian.PutUint64(h[24:], uint64(whole))
	}
	return closeBox(b, at), nil
}

func appendCopy(b []byte, typ string, body []byte) []byte {
	b, at := openBox(b, typ)
	return closeBox(append(b, body...), at)
}

// traks returns what is in the trak boxes of a moov box.
func traks(moov []byte) (list [][]byte) {
	_ = inner(moov, func(typ string, body []byte) error {
		if typ == "trak" {
			list = append(list, body)
		}
		return nil
	})
	return list
}

// ownScale returns the timescale of a track with durations of 64 bits.
func ownScale(trak []byte) (int64, bool) {
	mdhd := find(find(trak, "mdia"), "mdhd")
	if len(mdhd) < 32 || mdhd[0] != 1 || binary.BigEndian.Uint32(mdhd[20:]) == 0 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint32(mdhd[20:])), true
}

// shown returns when the first sample is shown, in ticks of the movie.
func (t *Tables) shown(trak []byte, scale int64) (int64, bool) {
	own, ok := ownScale(trak)
	if !ok {
		return 0, false
	}
	return av.Ticks(av.Duration(t.start, own), scale), true
}

// appendPlainTrack appends a trak box with the samples of t. It returns where the track ends, in ticks of the
// movie, of which a second has scale; begin is when the movie does.
func appendPlainTrack(b, trak []byte, t *Tables, scale, begin int64) (_ []byte, end int64, err error) {
	own, ok := ownScale(trak)
	if !ok {
		return b, 0, fmt.Errorf("%w: mdhd", ErrBox)
	}
	first, _ := t.shown(trak, scale)
	empty := max(first-begin, 0)
	length := av.Ticks(av.Duration(t.duration(), own), scale)
	end = empty + length
	b, err = rewrite(b, "trak", trak, func(b []byte, typ string, body []byte) ([]byte, bool) {
		switch typ {
		case "tkhd":
			from := len(b)
			b = appendCopy(b, typ, body)
			if len(body) >= 36 && body[0] == 1 {
				binary.BigEndian.PutUint64(b[from+8+28:], uint64(end))
			}
			return t.appendEdits(b, empty, length), true
		case "mdhd":
			from := len(b)
			b = appendCopy(b, typ, body)
			binary.BigEndian.PutUint64(b[from+8+24:], uint64(t.duration()))
			return b, true
		case "stsd":
			return t.append(appendCopy(b, typ, body)), true
		case "stts", "stsc", "stsz", "stco", "co64", "ctts", "stss":
			return b, true
		}
		return b, false
	})
	return b, end, err
}

// rewrite copies a box, and in it what is within trak, mdia, minf and stbl boxes one by one: each is written by each,
// which returns true, or else as it is.
func rewrite(b []byte, typ string, body []byte, each func(b []byte, typ string, body []byte) ([]byte, bool)) ([]byte, error) {
	b, at := openBox(b, typ)
	err := inner(body, func(typ string, body []byte) (err error) {
		switch typ {
		case "mdia", "minf", "stbl":
			b, err = rewrite(b, typ, body, each)
			return err
		}
		var done bool
		if b, done = each(b, typ, body); !done {
			b = appendCopy(b, typ, body)
		}
		return nil
	})
	return closeBox(b, at), err
}

// appendEdits appends an edit list (8.6.6): nothing for a time, if the track begins later than the file, then the media from the
// composition time of its first sample on. A track that needs none has none.
func (t *Tables) appendEdits(b []byte, empty, length int64) []byte {
	from := t.firstCTS - t.leastCTS
	if empty == 0 && from == 0 {
		return b
	}
	b, edts := openBox(b, "edts")
	b, at := openFull(b, "elst", 1, 0)
	edits := [][2]int64{{length, from}}
	if empty > 0 {
		edits = [][2]int64{{empty, -1}, {length, from}}
	}
	b = be32(b, uint32(len(edits)))
	for _, e := range edits {
		b = be64(be64(b, uint64(e[0])), uint64(e[1]))
		b = be32(b, 1<<16) // at its own rate
	}
	return closeBox(closeBox(b, at), edts)
}

// append appends the sample tables.
func (t *Tables) append(b []byte) []byte {
	b, at := openFull(b, "stts", 0, 0)
	times := appendTableRun(t.times, t.last)
	b = be32(b, uint32(len(times)))
	for _, r := range times {
		b = be32(be32(b, r.count), uint32(r.value))
	}
	b = closeBox(b, at)
	if len(t.offsets) > 1 { // else all are alike, and so 0 from the least on
		b, at = openFull(b, "ctts", 0, 0)
		b = be32(b, uint32(len(t.offsets)))
		for _, r := range t.offsets {
			b = be32(be32(b, r.count), uint32(r.value-t.leastCTS))
		}
		b = closeBox(b, at)
	}
	if len(t.keys) < len(t.sizes) {
		b, at = openFull(b, "stss", 0, 0)
		b = be32(b, uint32(len(t.keys)))
		for _, k := range t.keys {
			b = be32(b, k)
		}
		b = closeBox(b, at)
	}
	b, at = openFull(b, "stsc", 0, 0)
	count := len(b)
	b = be32(b, 0)
	rows := uint32(0)
	for i, n := range t.perChunk {
		if i == 0 || n != t.perChunk[i-1] {
			b = be32(be32(be32(b, uint32(i+1)), n), 1)
			rows++
		}
	}
	binary.BigEndian.PutUint32(b[count:], rows)
	b = closeBox(b, at)
	b, at = openFull(b, "stsz", 0, 0)
	b = be32(be32(b, 0), uint32(len(t.sizes)))
	for _, n := range t.sizes {
		b = be32(b, n)
	}
	b = closeBox(b, at)
	if t.chunks[len(t.chunks)-1] > math.MaxUint32 {
		b, at = openFull(b, "co64", 0, 0)
		b = be32(b, uint32(len(t.chunks)))
		for _, c := range t.chunks {
			b = be64(b, uint64(c))
		}
		return closeBox(b, at)
	}
	b, at = openFull(b, "stco", 0, 0)
	b = be32(b, uint32(len(t.chunks)))
	for _, c := range t.chunks {
		b = be32(b, uint32(c))
	}
	return closeBox(b, at)
}
