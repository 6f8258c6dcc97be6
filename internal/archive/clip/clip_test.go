package clip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"weir/av"
	"weir/format/fmp4"
	"weir/format/mp4"
)

// The stream of the tests: pictures at 25 frames a second, of which each third is shown behind the two that follow it, with a key frame each second; and sound.
var (
	video = mp4.Track{Track: av.Track{
		Kind: av.Video, Codec: av.H264, Config: []byte{1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0a, 1, 0, 2, 0x68, 0xce}, Size: av.Size{Width: 64, Height: 48}, FrameRate: 25,
	}}
	sound = mp4.Track{Track: av.Track{Kind: av.Audio, Codec: av.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}}
)

const (
	frame      = 40 * time.Millisecond
	soundFrame = 1024 * time.Second / 48000
	tick       = time.Second / 40000 // what rounding may cost
)

// film returns the frames of the stream from one time to another. Each holds its number.
func film(from, to time.Duration, withSound bool) (list []av.Frame) {
	for n := 0; time.Duration(n)*frame < to; n++ {
		at := time.Duration(n) * frame
		f := av.Frame{Kind: av.Video, Codec: av.H264, DTS: at, PTS: at + 2*frame, Payload: append([]byte{0, 0, 0, 9, 0x41}, fmt.Sprintf("%08d", n)...)}
		switch n % 25 {
		case 0:
			f.Flags, f.Payload[4] = av.Key, 0x65
		case 1, 4, 7, 10, 13, 16, 19, 22:
			f.PTS += 2 * frame
		default:
			f.PTS -= frame
		}
		if at >= from {
			list = append(list, f)
		}
	}
	for n := 0; withSound && time.Duration(n)*soundFrame < to; n++ {
		if at := time.Duration(n) * soundFrame; at >= from {
			list = append(list, av.Frame{Kind: av.Audio, Codec: av.AAC, Flags: av.Key, DTS: at, PTS: at, Payload: []byte(fmt.Sprintf("sound %08d", n))})
		}
	}
	slices.SortStableFunc(list, func(a, b av.Frame) int { return int(a.DTS - b.DTS) })
	return list
}

// recorded is a recorded file.
type recorded struct {
	b     []byte
	index *mp4.Index
}

// Close implements File.
func (recorded) Close() error { return nil }

// ReadAt implements File.
func (r recorded) ReadAt(p []byte, at int64) (int, error) { return bytes.NewReader(r.b).ReadAt(p, at) }

var epoch = time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC)

// write makes a file of frames, in fragments of half a second. epoch is the wall time of the frames' time 0.
func write(t *testing.T, list []av.Frame, tracks ...mp4.Track) recorded {
	t.Helper()
	x, err := mp4.NewMuxer(mp4.Head{Path: "live/a", Start: epoch, Tracks: tracks})
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for from := 0; from < len(list); {
		to := from + 1
		for to < len(list) && (list[to].Kind != av.Video || !list[to].IsKey() && list[to].DTS-list[from].DTS < 500*time.Millisecond) {
			to++
		}
		end := mp4.NoEnd
		if to < len(list) {
			end = list[to].DTS
		}
		if b, err = x.AppendFragment(b, list[from:to], end); err != nil {
			t.Fatal(err)
		}
		from = to
	}
	f := &memory{b}
	if err := mp4.Finish(f, int64(len(b))); err != nil {
		t.Fatal(err)
	}
	index, err := mp4.ReadIndex(f, int64(len(f.b)))
	if err != nil {
		t.Fatal(err)
	}
	return recorded{f.b, index}
}

// memory is a file in memory.
type memory struct{ b []byte }

func (m *memory) ReadAt(b []byte, at int64) (int, error) { return bytes.NewReader(m.b).ReadAt(b, at) }

func (m *memory) WriteAt(b []byte, at int64) (int, error) {
	m.b = append(m.b, make([]byte, max(int(at)+len(b)-len(m.b), 0))...)
	return copy(m.b[at:], b), nil
}
func (m *memory) Truncate(size int64) error { m.b = m.b[:size]; return nil }
func (m *memory) Sync() error               { return nil }

// part is a source that shows the file from one time of the frames to another.
func (r recorded) part(from, to time.Duration, tables bool) Source {
	s := Source{Open: func() (File, error) { return r, nil }, Index: r.index, From: epoch.Add(from).Sub(r.index.Start), To: epoch.Add(to).Sub(r.index.Start)}
	if tables {
		s.Size = int64(len(r.b))
	}
	return s
}

// clipOf makes a clip and returns it as it is read.
func clipOf(t *testing.T, files []recorded, sources ...Source) (*Clip, []byte) {
	t.Helper()
	c, err := New(sources)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c.Reader(func(i int) (io.ReaderAt, error) { return files[i], nil }))
	if err != nil || int64(len(b)) != c.Size() {
		t.Fatalf("%d of %d bytes: %v", len(b), c.Size(), err)
	}
	return c, b
}

// content is what a player reads of a file: when each frame is shown, by what it holds. It checks that times of decoding grow.
func content(t *testing.T, b []byte) (shown map[string]time.Duration, keys map[string]bool) {
	t.Helper()
	r, err := fmp4.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	shown, keys = map[string]time.Duration{}, map[string]bool{}
	last := map[av.Kind]time.Duration{av.Video: math.MinInt64, av.Audio: math.MinInt64}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return shown, keys
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Type != av.Media {
			continue
		}
		if f.DTS <= last[f.Kind] {
			t.Errorf("%q is decoded at %v, behind %v", f.Payload, f.DTS, last[f.Kind])
		}
		if f.Kind == av.Video && last[f.Kind] == math.MinInt64 && !f.IsKey() {
			t.Errorf("the first picture, %q, is no key frame", f.Payload)
		}
		last[f.Kind] = f.DTS
		if _, twice := shown[string(f.Payload)]; twice {
			t.Errorf("%q is in it twice", f.Payload)
		}
		shown[string(f.Payload)], keys[string(f.Payload)] = f.PTS+r.Start(), f.IsKey()
	}
}

// checkShown checks that all frames of the stream that are shown from one time to another are in a clip, at their times from an origin on.
func checkShown(t *testing.T, name string, b []byte, from, to, origin time.Duration, withSound bool) {
	t.Helper()
	shown, keys := content(t, b)
	for _, f := range film(0, to+time.Second, withSound) {
		at, ok := shown[string(f.Payload)]
		last := f.PTS // of what is shown of it
		if f.Kind == av.Audio {
			last += soundFrame - time.Nanosecond
		}
		if needed := f.PTS < to && last >= from; needed && !ok {
			t.Errorf("%s: %q at %v is missing", name, f.Payload, f.PTS)
		} else if off := (at - (f.PTS - origin)).Abs(); ok && off > tick {
			t.Errorf("%s: %q is shown at %v, not at %v", name, f.Payload, at, f.PTS-origin)
		}
		if ok && f.Kind == av.Video && keys[string(f.Payload)] != f.IsKey() {
			t.Errorf("%s: %q key %v", name, f.Payload, keys[string(f.Payload)])
		}
		if ok && f.Kind == av.Audio && (f.PTS >= to || last < from) {
			t.Errorf("%s: sound %q at %v is not needed", name, f.Payload, f.PTS)
		}
		if ok && f.Kind == av.Video && (f.DTS >= to+3*frame || f.DTS < from-2*time.Second) {
			t.Errorf("%s: picture %q at %v is not needed", name, f.Payload, f.PTS)
		}
	}
}

// TestRangesOfOneFile: a clip has the frames of its range at their times, whether they are found by the fragments or by the file's tables, which makes
// no difference of a byte; wherever the range begins there are the pictures that are needed to show its first one.
func TestRangesOfOneFile(t *testing.T) {
	r := write(t, film(0, 6*time.Second, true), video, sound)
	for _, c := range []struct{ from, to time.Duration }{
		{0, 6 * time.Second},
		{1500 * time.Millisecond, 4 * time.Second},
		{2 * time.Second, 3 * time.Second},
		{2*time.Second + frame, 3 * time.Second},
		{2010 * time.Millisecond, 2020 * time.Millisecond},
		{2990 * time.Millisecond, 3010 * time.Millisecond},
		{0, time.Millisecond},
		{5 * time.Second, 7 * time.Second},
		{1024 * time.Millisecond, 1024*time.Millisecond + time.Microsecond}, // where a frame of sound begins, and less than a tick
	} {
		name := fmt.Sprint(c.from, " to ", c.to)
		x, b := clipOf(t, []recorded{r}, r.part(c.from, c.to, false))
		checkShown(t, name, b, c.from, min(c.to, 6*time.Second), c.from, true)
		if x.Duration != c.to-c.from {
			t.Errorf("%s: %v", name, x.Duration)
		}
		if _, other := clipOf(t, []recorded{r}, r.part(c.from, c.to, true)); !bytes.Equal(b, other) {
			t.Errorf("%s: by the file's tables it is another one", name)
		}
		// What the boxes say.
		moov := child(b, "moov")
		if got := binary.BigEndian.Uint64(child(moov, "mvhd")[24:]); got != max(uint64((c.to-c.from)*90/time.Millisecond), 1) {
			t.Errorf("%s: the movie lasts %d", name, got)
		}
		_ = children(moov, func(typ string, _, trak []byte) error {
			if typ != "trak" {
				return nil
			}
			mdhd := child(child(trak, "mdia"), "mdhd")
			stbl := child(child(child(trak, "mdia"), "minf"), "stbl")
			stts, sum := child(stbl, "stts"), uint64(0)
			for i := range int(binary.BigEndian.Uint32(stts[4:])) {
				sum += uint64(binary.BigEndian.Uint32(stts[8+8*i:])) * uint64(binary.BigEndian.Uint32(stts[12+8*i:]))
			}
			if got := binary.BigEndian.Uint64(mdhd[24:]); got != sum {
				t.Errorf("%s: a track lasts %d, and its samples %d", name, got, sum)
			}
			return nil
		})
	}
	if _, err := New(nil); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
}

// TestTwoFiles: files that follow one another become one, and the last pictures of the first one, which are shown while the first of the second are decoded, are in
// it; time that is missing between them passes if it is to.
func TestTwoFiles(t *testing.T) {
	const joint = 3 * time.Second
	files := []recorded{write(t, film(0, joint, true), video, sound), write(t, film(joint, 6*time.Second, true), video, sound)}
	for _, tables := range []bool{false, true} {
		_, b := clipOf(t, files, files[0].part(1500*time.Millisecond, joint, tables), files[1].part(joint, 4500*time.Millisecond, tables))
		checkShown(t, "two files", b, 1500*time.Millisecond, 4500*time.Millisecond, 1500*time.Millisecond, true)
	}
	later := files[1].part(joint, 4500*time.Millisecond, false)
	later.Gap = 10 * time.Second
	c, b := clipOf(t, files, files[0].part(2*time.Second, joint, false), later)
	shown, _ := content(t, b)
	if got, want := shown["\x00\x00\x00\x09\x6500000075"], joint+2*frame-2*time.Second+10*time.Second; (got - want).Abs() > tick {
		t.Errorf("behind the gap the first picture is shown at %v, not at %v", got, want)
	}
	if want := 12500 * time.Millisecond; c.Duration != want {
		t.Errorf("it lasts %v, not %v", c.Duration, want)
	}
	other := write(t, film(joint, 6*time.Second, true), video, mp4.Track{Track: av.Track{Kind: av.Audio, Codec: av.AAC, Config: []byte{0x12, 0x10}, SampleRate: 44100, Channels: 2}})
	var at *SourceError
	if _, err := New([]Source{files[0].part(0, joint, false), other.part(joint, 4*time.Second, false)}); !errors.Is(err, ErrCodecs) || !errors.As(err, &at) || at.Source != 1 {
		t.Error(err)
	}
}

// TestFilesThatOverlap: pictures of a file that begins before the one before it ends are decoded behind it, and are shown when they were.
func TestFilesThatOverlap(t *testing.T) {
	strip := &strip{track: &track{scale: 90000}}
	list := []samplesAt{{0, 0}, {3600, 3600}}
	strip.add(toSamples(list), &Source{}, 0, 0)
	strip.add(toSamples(list), &Source{}, 20*time.Millisecond, 100)
	want := []struct{ dts, shown int64 }{{0, 0}, {3600, 7200}, {3601, 1800}, {5400, 9000}}
	for i, x := range strip.samples {
		if x.dts != want[i].dts || x.dts+int64(x.cts) != want[i].shown {
			t.Errorf("sample %d is decoded at %d and shown at %d, not at %+v", i, x.dts, x.dts+int64(x.cts), want[i])
		}
	}
	if strip.samples[2].offset != 100 || strip.ends != 5400+3600 {
		t.Errorf("%+v, %d", strip.samples[2], strip.ends)
	}
}

type samplesAt struct{ dts, cts int64 }

func toSamples(list []samplesAt) (out []sample) {
	for _, s := range list {
		out = append(out, sample{dts: s.dts, cts: int32(s.cts), duration: 3600})
	}
	return out
}

// TestSoundThatBeginsLater: a track that begins within the clip does so at its time.
func TestSoundThatBeginsLater(t *testing.T) {
	list := slices.DeleteFunc(film(0, 4*time.Second, true), func(f av.Frame) bool { return f.Kind == av.Audio && f.DTS < 2500*time.Millisecond })
	r := write(t, list, video, sound)
	_, b := clipOf(t, []recorded{r}, r.part(time.Second, 4*time.Second, false))
	shown, _ := content(t, b)
	first := time.Duration(math.MaxInt64)
	for text, at := range shown {
		if text[:5] == "sound" {
			first = min(first, at)
		}
	}
	if want := 118*soundFrame - time.Second; (first - want).Abs() > tick {
		t.Errorf("the sound begins at %v, not at %v", first, want)
	}
	_ = children(child(b, "moov"), func(typ string, _, trak []byte) error {
		if typ != "trak" {
			return nil
		}
		elst, sum := child(child(trak, "edts"), "elst"), uint64(0)
		for i := range int(binary.BigEndian.Uint32(elst[4:])) {
			sum += binary.BigEndian.Uint64(elst[8+20*i:])
		}
		if sum != 3*90000 {
			t.Errorf("the edits of a track last %d, and the movie %d", sum, 3*90000)
		}
		return nil
	})
}

// TestOtherClock: times are put on another clock so that no error adds up.
func TestOtherClock(t *testing.T) {
	tr := &track{scale: 48000}
	list := make([]sample, 1000)
	for i := range list {
		list[i] = sample{dts: int64(i) * 1024, duration: 1024, cts: -512}
	}
	tr.convert(list, 44100)
	for i, x := range list {
		at := func(ticks int) int64 { return int64(math.Round(float64(ticks) * 44100 / 48000)) }
		if x.dts != at(i*1024) || x.dts+int64(x.duration) != at((i+1)*1024) || i > 0 && x.dts+int64(x.cts) != at(i*1024-512) || i == 0 && x.cts != 0 {
			t.Fatalf("sample %d: %+v", i, x)
		}
	}
	same := []sample{{dts: 7, duration: 5, cts: -3}}
	if tr.convert(same, 48000); same[0] != (sample{dts: 7, duration: 5, cts: -3}) {
		t.Errorf("%+v", same)
	}
}

// TestEqualTracks: only files with the same tracks, in the same order and under the same numbers, become one.
func TestEqualTracks(t *testing.T) {
	one, two := &track{id: 1, scale: 1, stsd: []byte("a")}, &track{id: 2, stsd: []byte("b")}
	for _, c := range []struct {
		a, b []*track
		want bool
	}{
		{[]*track{one, two}, []*track{{id: 1, scale: 7, stsd: []byte("a")}, two}, true},
		{[]*track{one, two}, []*track{one}, false},
		{[]*track{one}, []*track{{id: 3, stsd: []byte("a")}}, false},
		{[]*track{one}, []*track{{id: 1, stsd: []byte("c")}}, false},
		{[]*track{one, two}, []*track{two, one}, false},
	} {
		if got := equal(c.a, c.b); got != c.want {
			t.Errorf("%+v, %+v: %v", c.a, c.b, got)
		}
	}
}

// TestReading: any range of a clip is the same as of the whole, and what becomes of files while it is read is said.
func TestReading(t *testing.T) {
	files := []recorded{write(t, film(0, 2*time.Second, true), video, sound), write(t, film(2*time.Second, 4*time.Second, true), video, sound)}
	c, whole := clipOf(t, files, files[0].part(time.Second, 2*time.Second, false), files[1].part(2*time.Second, 3*time.Second, false))
	opened := 0
	r := c.Reader(func(i int) (io.ReaderAt, error) { opened++; return files[i], nil })
	size := c.Size()
	for _, s := range []struct {
		offset int64
		whence int
		want   int64
	}{{0, io.SeekStart, 0}, {100, io.SeekStart, 100}, {50, io.SeekCurrent, 650}, {-100, io.SeekEnd, size - 100}, {0, io.SeekEnd, size}, {int64(c.Head()) - 3, io.SeekStart, int64(c.Head()) - 3}, {size + 10, io.SeekStart, size + 10}} {
		at, err := r.Seek(s.offset, s.whence)
		if at != s.want || err != nil {
			t.Fatalf("%+v: %d, %v", s, at, err)
		}
		b := make([]byte, 500)
		n, err := io.ReadFull(r, b)
		if want := whole[min(at, size):min(at+500, size)]; !bytes.Equal(b[:n], want) || (err == nil) != (len(want) == 500) {
			t.Errorf("%d bytes at %d: %v", n, at, err)
		}
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("there is something before the beginning")
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	opened = 0
	if b, err := io.ReadAll(r); !bytes.Equal(b, whole) || err != nil || opened > 2 {
		t.Errorf("%d bytes, %v; files are opened %d times", len(b), err, opened)
	}
	gone := errors.New("gone")
	if _, err := io.ReadAll(c.Reader(func(i int) (io.ReaderAt, error) { return nil, gone })); !errors.Is(err, gone) {
		t.Error(err)
	}
	if _, err := io.ReadAll(c.Reader(func(i int) (io.ReaderAt, error) { return bytes.NewReader(files[i].b[:2000]), nil })); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// TestBeyond4GiB: a clip of more than 4 GiB has sizes and places of 64 bits.
func TestBeyond4GiB(t *testing.T) {
	r := write(t, film(0, time.Second, false), video)
	tracks, err := parseInit(r.index.Init)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []int64{1000, math.MaxUint32 - 8, math.MaxUint32 - 7, 5 << 30} {
		s := strip{track: tracks[0], samples: []sample{{offset: 0, size: 1}, {offset: data - 10, size: 10, dts: 1}}, ends: 2}
		b := header([]strip{s}, time.Second, data)
		size := int64(0)
		if tail := b[len(b)-8:]; string(tail[4:]) == "mdat" {
			size = int64(binary.BigEndian.Uint32(tail)) - 8
		} else if tail := b[len(b)-16:]; string(tail[4:8]) == "mdat" && binary.BigEndian.Uint32(tail) == 1 {
			size = int64(binary.BigEndian.Uint64(tail[8:])) - 16
		}
		if wide := len(b) > 16 && string(b[len(b)-12:len(b)-8]) == "mdat"; size != data || wide != (data+8 > math.MaxUint32) {
			t.Errorf("of %d bytes the mdat box has %d", data, size)
		}
		trak := child(child(b, "moov"), "trak")
		stbl := child(child(child(trak, "mdia"), "minf"), "stbl")
		var at []int64
		if co := child(stbl, "stco"); co != nil {
			at = []int64{int64(binary.BigEndian.Uint32(co[8:])), int64(binary.BigEndian.Uint32(co[12:]))}
		} else if co := child(stbl, "co64"); co != nil {
			at = []int64{int64(binary.BigEndian.Uint64(co[8:])), int64(binary.BigEndian.Uint64(co[16:]))}
		}
		if want := []int64{int64(len(b)), int64(len(b)) + data - 10}; !slices.Equal(at, want) {
			t.Errorf("of %d bytes: chunks at %d, not at %d", data, at, want)
		}
	}
}

// TestDamagedFragments: what cannot be is refused, before anything is made of it.
func TestDamagedFragments(t *testing.T) {
	good := write(t, film(0, 2*time.Second, true), video, sound)
	first := good.index.Fragments[0]
	find := func(typ string) int {
		return int(first.Offset) + bytes.Index(good.b[first.Offset:first.Offset+first.Size], []byte(typ)) + 4
	}
	put := func(at int, v uint32) func(b []byte) { return func(b []byte) { binary.BigEndian.PutUint32(b[at:], v) } }
	for name, c := range map[string]struct {
		change func(b []byte)
		want   error
	}{
		"nothing":            {func([]byte) {}, nil},
		"no moof":            {put(int(first.Offset)+4, 0), ErrDamaged},
		"a moof larger":      {put(int(first.Offset), uint32(first.Size)+1), ErrDamaged},
		"samples before it":  {put(find("trun")+8, 0x80000000), ErrDamaged},
		"samples behind it":  {put(find("trun")+8, uint32(first.Size)-20), ErrDamaged},
		"more than it has":   {put(find("trun")+4, 1<<20), ErrDamaged},
		"a track not known":  {put(find("tfhd")+4, 99), nil},
		"time beyond bounds": {put(find("tfdt")+4, 0x7fffffff), ErrDamaged},
	} {
		r := recorded{slices.Clone(good.b), good.index}
		c.change(r.b)
		if _, err := New([]Source{r.part(0, time.Second, false)}); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	tracks, err := parseInit(good.index.Init)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range good.index.Fragments {
		all, err := new(good.part(0, time.Second, false)).fragments(good, good.index.Fragments[i:i+1], tracks, maxSamples)
		if err != nil {
			t.Fatal(err)
		}
		n += len(all[0]) + len(all[1])
	}
	for most, want := range map[int]error{n: nil, n - 1: ErrTooLong} {
		if _, err := new(good.part(0, time.Second, false)).fragments(good, good.index.Fragments, tracks, most); !errors.Is(err, want) {
			t.Errorf("%d samples of %d: %v", n, most, err)
		}
	}
	// Tables that are of another file.
	other := *good.index
	other.Fragments = slices.Clone(other.Fragments)
	for i := range other.Fragments {
		other.Fragments[i].Offset++
		other.Fragments[i].Size--
	}
	s := good.part(0, time.Second, true)
	s.Index = &other
	if _, err := New([]Source{s}); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	moved := recorded{slices.Clone(good.b), good.index}
	last := good.index.Fragments[len(good.index.Fragments)-1]
	end := int(last.Offset + last.Size)
	at := end + bytes.Index(moved.b[end:], []byte("stco")) + 12 // of the pictures
	binary.BigEndian.PutUint32(moved.b[at:], binary.BigEndian.Uint32(moved.b[at:])+4)
	if _, err := New([]Source{moved.part(0, time.Second, true)}); !errors.Is(err, ErrDamaged) {
		t.Errorf("tables that say another place than the fragments: %v", err)
	}
}

// TestShifted: a file whose media is decoded later is the same but for the times of its fragments, however it is read.
func TestShifted(t *testing.T) {
	r := write(t, film(0, 3*time.Second, true), video, sound)
	for _, by := range []time.Duration{time.Minute, -100 * time.Millisecond} {
		s, err := Shifted(r, int64(len(r.b)), r.index, by)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(s)
		if err != nil || len(whole) != len(r.b) {
			t.Fatal(len(whole), err)
		}
		changed := slices.Clone(r.b)
		n := 0
		for i := range r.index.Fragments {
			f := &r.index.Fragments[i]
			moof := changed[f.Offset : f.Offset+f.Size]
			for at := 0; ; n++ {
				k := bytes.Index(moof[at:], []byte("tfdt"))
				if k < 0 {
					break
				}
				at += k + 8
				id := binary.BigEndian.Uint32(moof[bytes.LastIndex(moof[:at], []byte("tfhd"))+8:])
				scale := map[uint32]int64{1: 90000, 2: 48000}[id]
				was := int64(binary.BigEndian.Uint64(moof[at:]))
				binary.BigEndian.PutUint64(moof[at:], uint64(max(was+int64(by)*scale/int64(time.Second), 0)))
			}
		}
		if !bytes.Equal(whole, changed) || n < 6 {
			t.Errorf("by %v: it is another file, of %d changes", by, n)
		}
		for _, step := range []int{1, 7, 333} {
			piece := make([]byte, step)
			for at := int64(0); at < int64(len(r.b)); at += int64(step) * 13 {
				if _, err := s.Seek(at, io.SeekStart); err != nil {
					t.Fatal(err)
				}
				k, err := io.ReadFull(s, piece)
				if !bytes.Equal(piece[:k], whole[at:at+int64(k)]) || k == 0 {
					t.Fatalf("%d bytes at %d are others: %v", step, at, err)
				}
			}
		}
	}
}
