package mp4

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/format/fmp4"
)

// vp9 is a track of pictures, whose payloads may be anything.
var vp9 = Track{Track: av.Track{Kind: av.Video, Codec: av.VP9, Config: []byte{1, 0, 0, 0, 0, 40, 0x82, 2, 2, 2, 0, 0}, Size: av.Size{Width: 320, Height: 180}}}

const frame25 = 40 * time.Millisecond

// picturesAt are pictures that are shown when they are decoded.
func picturesAt(times ...time.Duration) (frames []av.Frame) {
	for _, at := range times {
		frames = append(frames, av.Frame{Kind: av.Video, Codec: av.VP9, DTS: at, PTS: at, Flags: av.Key, Payload: []byte{0x82, 1}})
	}
	return frames
}

// every returns n times at 25 a second.
func every(n int) (times []time.Duration) {
	for i := range n {
		times = append(times, time.Duration(i)*frame25)
	}
	return times
}

// samplesOf returns the samples that pictures are written as, and their muxer.
func samplesOf(t *testing.T, frames []av.Frame) ([]fmp4.Sample, *Muxer) {
	t.Helper()
	m, err := NewMuxer(Head{Tracks: []Track{vp9}})
	if err != nil {
		t.Fatal(err)
	}
	m.begin(frames)
	m.video(m.tracks[0], frames, NoEnd)
	return m.samples, m
}

// TestTracksBound: a file has 32 tracks at most, and a path and a note of 65,535 bytes.
func TestTracksBound(t *testing.T) {
	long := strings.Repeat("a", 65535)
	for _, c := range []struct {
		name string
		head Head
		want error
	}{
		{"no tracks", Head{}, ErrTracks},
		{"32 tracks", Head{Tracks: slices.Repeat([]Track{vp9}, 32)}, nil},
		{"33 tracks", Head{Tracks: slices.Repeat([]Track{vp9}, 33)}, ErrTracks},
		{"65,535 bytes", Head{Tracks: []Track{vp9}, Path: long, Note: []byte(long)}, nil},
		{"a path of 65,536", Head{Tracks: []Track{vp9}, Path: long + "a"}, ErrPath},
		{"a note of 65,536", Head{Tracks: []Track{vp9}, Note: []byte(long + "a")}, ErrPath},
	} {
		if _, err := NewMuxer(c.head); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestFitBounds: eight pictures on a grid make it believed, or three at the rate that the track declares; their time stamps may
// be 2 ms apart in how far they are off.
func TestFitBounds(t *testing.T) {
	for _, c := range []struct {
		n      int
		rate   float64
		spread time.Duration
		want   bool
	}{
		{8, 0, 0, true},
		{7, 0, 0, false},
		{3, 25, 0, true},
		{2, 25, 0, false},
		{12, 0, 2 * time.Millisecond, true},
		{12, 0, 2*time.Millisecond + 1, false},
	} {
		times := every(c.n)
		times[len(times)-1] += c.spread
		tr := &track{Track: fmp4.Track{Track: vp9.Track}, kind: av.Video}
		tr.FrameRate = c.rate
		var g grid
		if g.fit(picturesAt(times...), tr); g.on != c.want {
			t.Errorf("%d pictures at %v a second, %v apart: %v", c.n, c.rate, c.spread, g.on)
		}
	}
}

// TestStampBounds: a picture that is decoded 1.05 ms from its place on the grid lies on it, and so does one that is shown 2.05 ms from
// it; another turns the grid off, or is shown when its time stamp says.
func TestStampBounds(t *testing.T) {
	for off, want := range map[time.Duration]bool{1050 * time.Microsecond: true, 1050*time.Microsecond + 1: false} {
		for _, sign := range []time.Duration{1, -1} {
			g := grid{on: true, num: 25, den: 1}
			got := g.snap(frame25 + sign*off)
			if g.on != want || got != map[bool]time.Duration{true: frame25, false: frame25 + sign*off}[want] {
				t.Errorf("decoded %v off: at %v, on the grid %v", sign*off, got, g.on)
			}
		}
	}
	const perMS = 90 // ticks
	for off, want := range map[time.Duration]int32{2050 * time.Microsecond: 0, 2100 * time.Microsecond: 2.1 * perMS} {
		frames := picturesAt(every(12)...)
		frames[5].PTS += off
		if samples, m := samplesOf(t, frames); samples[5].CTS != want || !m.tracks[0].grid.on {
			t.Errorf("shown %v off: by %d ticks, want %d", off, samples[5].CTS, want)
		}
	}
}

// TestShownBound: a picture may be shown 10 s from when it is decoded; a time stamp that is farther off is not believed.
func TestShownBound(t *testing.T) {
	for off, want := range map[time.Duration]int32{10 * time.Second: 900_000, 10*time.Second + 10*time.Millisecond: 0} {
		frames := picturesAt(every(12)...)
		frames[5].PTS += off
		if samples, _ := samplesOf(t, frames); samples[5].CTS != want {
			t.Errorf("shown %v later: by %d ticks, want %d", off, samples[5].CTS, want)
		}
		// Pictures that are shown before they are decoded are decoded earlier, as far as that is believed.
		frames = picturesAt(every(12)...)
		frames[0].PTS -= off
		if _, m := samplesOf(t, frames); m.origin != -time.Duration(want)*time.Second/90000 {
			t.Errorf("shown %v earlier: the file begins at %v", off, m.origin)
		}
	}
}

// TestTicksBound: a sample lasts 2,147,483,647 ticks at most.
func TestTicksBound(t *testing.T) {
	at := func(ticks int64) time.Duration { return time.Duration(math.Ceil(float64(ticks) / 90000 * 1e9)) }
	for ticks, want := range map[int64]uint32{1<<31 - 2: 1<<31 - 2, 1<<31 - 1: 1<<31 - 1, 1 << 31: 1<<31 - 1, 1<<31 + 1000: 1<<31 - 1} {
		if samples, _ := samplesOf(t, picturesAt(0, at(ticks))); samples[0].Duration != want {
			t.Errorf("two pictures that are %d ticks apart: %d, want %d", ticks, samples[0].Duration, want)
		}
	}
}

// TestReadBound: no more than 1 GiB is read at once. That much is not read here, for the memory that it takes.
func TestReadBound(t *testing.T) {
	if b, err := readBytes(endless{}, 5, 5+1<<30+1); !errors.Is(err, ErrForeign) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if b, err := readBytes(endless{}, 5, 5+1<<20); err != nil || len(b) != 1<<20 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// endless is a file that has whatever is asked for.
type endless struct{}

func (endless) ReadAt(b []byte, _ int64) (int, error) { return len(b), nil }
