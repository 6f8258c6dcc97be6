package fmp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"
	"testing"

	"weir/av"
)

// padded is a file that goes on with zeros.
type padded []byte

func (p padded) ReadAt(b []byte, at int64) (int, error) {
	n := 0
	if at < int64(len(p)) {
		n = copy(b, p[at:])
	}
	clear(b[n:])
	return len(b), nil
}

// head is the head of a box whose body has so many bytes.
func head(typ string, body int) []byte { return append(be32(nil, uint32(8+body)), typ...) }

// count reads a padded file, and returns how many frames of media there are.
func count(t *testing.T, b []byte, size int64) (n int, err error) {
	t.Helper()
	r, err := NewReader(padded(b), size)
	if err != nil {
		return 0, err
	}
	for {
		switch f, err := r.Next(); {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		case f.Type == av.Media:
			n++
		}
	}
}

// TestMoovBound: the description of a file may have 64 MiB.
func TestMoovBound(t *testing.T) {
	for n, want := range map[int]error{64 << 20: nil, 64<<20 + 1: ErrBox} {
		b := soundInit(t)
		at := bytes.Index(b, []byte("moov")) - 4
		b = append(b, head("free", n-(len(b)-at-8)-8)...)
		binary.BigEndian.PutUint32(b[at:], uint32(8+n))
		if _, err := NewReader(padded(b), int64(at+8+n)); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", n, err, want)
		}
	}
}

// TestTopBound: there may be 1,048,576 boxes before the description.
func TestTopBound(t *testing.T) {
	init := soundInit(t)
	at := bytes.Index(init, []byte("moov")) - 4
	for n, want := range map[int]error{1 << 20: nil, 1<<20 + 1: ErrNotMP4} {
		b := slices.Concat(init[:at], bytes.Repeat(head("free", 0), n-1), init[at:])
		if _, err := NewReader(bytes.NewReader(b), int64(len(b))); !errors.Is(err, want) {
			t.Errorf("%d boxes: %v, want %v", n, err, want)
		}
	}
}

// traf describes the samples of a track in a fragment, whose data the file has anywhere, at the place of the fragment itself.
func traf(id, time, samples, size uint32) []byte {
	return box("traf", full("tfhd", 0, tfhdBaseIsMoof|tfhdDuration|0x10, id, 1, size), full("tfdt", 0, 0, time), full("trun", 0, 0, samples))
}

// TestMoofBound: the description of a fragment may have 16 MiB.
func TestMoofBound(t *testing.T) {
	init := soundInit(t)
	for n, want := range map[int]int{16 << 20: 3, 16<<20 + 1: 0} {
		run := traf(1, 0, 3, 1)
		b := slices.Concat(init, head("moof", n), run, head("free", n-len(run)-8))
		if got, err := count(t, b, int64(len(init)+8+n)); got != want || err != nil {
			t.Errorf("%d bytes: %d samples, %v, want %d", n, got, err, want)
		}
		// The scan wants the data in the box behind.
		run = box("traf", full("tfhd", 0, tfhdBaseIsMoof|tfhdDuration|0x10, 1, 1, 1), full("trun", 0, trunOffset, 3, uint32(8+n+8)))
		b = slices.Concat(init, head("moof", n), run, head("free", n-len(run)-8), make([]byte, n-len(run)-8), head("mdat", 3), make([]byte, 3))
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if f, err := r.NextFragment(); (err == nil) != (want > 0) || want > 0 && len(f.Runs[0].Samples) != want {
			t.Errorf("%d bytes: %d runs, %v, want %d samples", n, len(f.Runs), err, want)
		}
	}
}

// TestSampleBound: a sample may have 32 MiB, in fragments and in plain files.
func TestSampleBound(t *testing.T) {
	for size, want := range map[uint32]int{32 << 20: 1, 32<<20 + 1: 0} {
		b := slices.Concat(soundInit(t), box("moof", traf(1, 0, 1, size)))
		if got, err := count(t, b, 40<<20); got != want || err != nil {
			t.Errorf("a fragment's sample of %d bytes: %d frames, %v, want %d", size, got, err, want)
		}
		b = plainFile(t, full("stts", 0, 0, 1, 1, 1024), full("stsc", 0, 0, 1, 1, 1, 1), full("stsz", 0, 0, size, 1), full("stco", 0, 0, 1, 400))
		if got, err := count(t, b, 40<<20); got != want || err != nil {
			t.Errorf("a plain file's sample of %d bytes: %d frames, %v, want %d", size, got, err, want)
		}
	}
}

// twoTracks is the initialization segment of two tracks, which need no configuration.
func twoTracks(t *testing.T) []byte {
	t.Helper()
	mp3 := av.Track{Kind: av.Audio, Codec: av.MP3, SampleRate: 48000, Channels: 2}
	b, err := AppendInit(nil, []Track{{Track: mp3, ID: 1}, {Track: mp3, ID: 2}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// first returns the number of the track that the first frame is of.
func first(t *testing.T, b []byte, size int64) uint8 {
	t.Helper()
	r, err := NewReader(padded(b), size)
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Next()
	if err != nil || f.Type != av.Media {
		t.Fatal(f, err)
	}
	return f.Track
}

// TestLookaheadBound: 32 fragments are read ahead to find the track whose samples are earlier, though they come later in the file.
func TestLookaheadBound(t *testing.T) {
	const early, late = 1, 0
	for others, want := range map[int]uint8{31: early, 32: late} {
		b := twoTracks(t)
		for i := range others {
			b = append(b, box("moof", traf(1, uint32(1000+i), 1, 1))...)
		}
		b = append(b, box("moof", traf(2, 0, 1, 1))...)
		if got := first(t, b, int64(len(b))); got != want {
			t.Errorf("behind %d fragments of the other: track %d is first, want %d", others, got, want)
		}
	}
}

// TestQueueBound: a fragment may have 1,048,576 samples, and while there are so many nothing is read ahead.
func TestQueueBound(t *testing.T) {
	const size = 4 << 20 // a file has as many bytes as samples
	init := soundInit(t)
	for n, want := range map[uint32]bool{1 << 20: true, 1<<20 + 1: false} {
		run := box("traf", full("tfhd", 0, tfhdBaseIsMoof|tfhdDuration|0x10, 1, 1, 0), full("trun", 0, trunOffset, n, 8+8+20+8+20+8))
		b := slices.Concat(init, box("moof", run))
		b = append(b, head("mdat", size-len(b)-8)...)
		r, err := NewReader(padded(b), size)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := r.NextFragment(); (err == nil) != want || want && len(f.Runs[0].Samples) != int(n) {
			t.Errorf("%d samples: %d runs, %v", n, len(f.Runs), err)
		}
	}
	for n, want := range map[uint32]uint8{1<<20 - 1: 1, 1 << 20: 0} {
		b := slices.Concat(twoTracks(t), box("moof", traf(1, 1000, n, 1)), box("moof", traf(2, 0, 1, 1)))
		b = append(b, head("mdat", size-len(b)-8)...)
		if got := first(t, b, size); got != want {
			t.Errorf("behind %d samples of the other: track %d is first, want %d", n, got, want)
		}
	}
}

// TestFragmentBound: a fragment may have 2,147,483,647 bytes, its description counted at 128 bytes, 128 a run, and 16 a sample.
// One of so many is not written here: it would take 2 GiB of memory.
func TestFragmentBound(t *testing.T) {
	const described = 128 + 128 + 16*2048
	buf := make([]byte, 1<<20)
	for over, want := range map[int]error{0: nil, 1: ErrTooLarge} {
		run := Run{ID: 1, Samples: slices.Repeat([]Sample{{Payload: buf}}, 2047)}
		rest := math.MaxInt32 - described - 2047<<20 + over
		run.Samples = append(run.Samples, Sample{Payload: buf[:rest]})
		err := checkRuns([]Run{run})
		if !errors.Is(err, want) {
			t.Errorf("%d bytes too many: %v, want %v", over, err, want)
		}
		if err == nil {
			continue
		}
		if b, err := AppendFragment([]byte("x"), 1, []Run{run}); !errors.Is(err, want) || string(b) != "x" {
			t.Errorf("%d bytes too many are written: %v", over, err)
		}
	}
}

// TestTracksBounds: 32 tracks of a file are read, and of those that are left out 32 are named.
func TestTracksBounds(t *testing.T) {
	sound := func(n int) (list []Track) {
		for i := range n {
			list = append(list, Track{Track: av.Track{Kind: av.Audio, Codec: av.MP3, SampleRate: 48000, Channels: 2}, ID: uint32(i + 1)})
		}
		return list
	}
	for n, want := range map[int]int{32: 32, 33: 32} {
		b, err := AppendInit(nil, sound(n))
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil || len(r.Tracks()) != want || len(r.LeftOut()) != 0 {
			t.Errorf("of %d tracks %d are read, %v", n, len(r.Tracks()), err)
		}
		if b, err = AppendInit(nil, sound(1+n)); err != nil {
			t.Fatal(err)
		}
		first := bytes.Index(b, []byte("mp4a")) + 4
		copy(b[first:], bytes.ReplaceAll(b[first:], []byte("mp4a"), []byte("alac")))
		if r, err = NewReader(bytes.NewReader(b), int64(len(b))); err != nil || len(r.Tracks()) != 1 || len(r.LeftOut()) != want {
			t.Errorf("of %d tracks that are left out %d are named, %v", n, len(r.LeftOut()), err)
		}
	}
}
