package mp4

import (
	"slices"
	"testing"
	"time"

	"weir/av"
)

// aac is a track of 48 kHz, of which a frame has 1024 samples.
var aac = Track{Track: av.Track{Kind: av.Audio, Codec: av.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}}

const aacFrame = 1024 * time.Second / 48000

// soundOf returns the durations, in samples, that a track of sound is written with, and how far its end is from the time stamps then.
func soundOf(t *testing.T, stamps []time.Duration) (durations []uint32, off int64) {
	t.Helper()
	m, err := NewMuxer(Head{Tracks: []Track{aac}})
	if err != nil {
		t.Fatal(err)
	}
	var frames []av.Frame
	for _, at := range stamps {
		frames = append(frames, av.Frame{Kind: av.Audio, Codec: av.AAC, DTS: at, PTS: at, Payload: []byte{0x21, 0, 0x49, 0x90}})
	}
	m.begin(frames)
	m.sound(m.tracks[0], frames)
	for i := range m.samples {
		durations = append(durations, m.samples[i].Duration)
	}
	return durations, m.tracks[0].next - m.ticks(m.tracks[0], stamps[len(stamps)-1])
}

// TestSoundThatFallsBehind: where the samples, counted, are ahead of the time stamps by more than a tenth of a second they get shorter until they
// are not ahead at all, and last as long as they are from then on.
func TestSoundThatFallsBehind(t *testing.T) {
	var stamps []time.Duration
	for i := range 60 {
		at := time.Duration(i) * aacFrame
		if i >= 10 {
			at -= 150 * time.Millisecond
		}
		stamps = append(stamps, at)
	}
	durations, off := soundOf(t, stamps)
	short := 0
	for i, d := range durations {
		if d != 1024 {
			short++
			if i < 10 || i > 20 {
				t.Errorf("frame %d lasts %d samples", i, d)
			}
		}
	}
	if len(durations) != 60 || short < 8 || off < 1023 || off > 1025 { // 7200 samples are 7.03 frames
		t.Errorf("%d frames, %d of them short, and the last one ends %d samples behind its time stamp", len(durations), short, off)
	}
	for i := range stamps[10:] { // by less than a tenth of a second nothing changes
		stamps[10+i] += 60 * time.Millisecond
	}
	if durations, _ := soundOf(t, stamps); slices.Max(durations) != 1024 || slices.Min(durations) != 1024 {
		t.Errorf("%d", durations)
	}
}

// TestHoleIsFilledToTheNearestFrame: of the frames of silence in a hole the last one may be too long or too short by half.
func TestHoleIsFilledToTheNearestFrame(t *testing.T) {
	for frames, want := range map[float64]int{10.4: 10, 10.6: 11, 468: 468} {
		hole := time.Duration(frames * float64(aacFrame))
		stamps := []time.Duration{0, aacFrame, 2*aacFrame + hole, 3*aacFrame + hole}
		if durations, _ := soundOf(t, stamps); len(durations) != 4+want || slices.Max(durations) != 1024 || slices.Min(durations) != 1024 {
			t.Errorf("a hole of %v frames: %d of silence", frames, len(durations)-4)
		}
	}
	// More than 10 s are no silence: the sample before lasts for as long.
	durations, _ := soundOf(t, []time.Duration{0, aacFrame, 2*aacFrame + 10*time.Second + time.Millisecond})
	if want := []uint32{1024, 1024 + 480048, 1024}; !slices.Equal(durations, want) {
		t.Errorf("%d, want %d", durations, want)
	}
}

// TestLastPictureOfSlides: the last of pictures that are far apart lasts a second, as nobody knows when the next one comes; of pictures that are
// close to each other it lasts as long as the one before.
func TestLastPictureOfSlides(t *testing.T) {
	m := record(t)
	for apart, want := range map[time.Duration]time.Duration{10 * time.Second: time.Second, 500 * time.Millisecond: 500 * time.Millisecond} {
		x, err := NewMuxer(Head{Tracks: m.tracks[:1]})
		if err != nil {
			t.Fatal(err)
		}
		frames := []av.Frame{m.frames[slices.IndexFunc(m.frames, func(f av.Frame) bool { return f.Kind == av.Video && f.IsKey() })]}
		frames[0].DTS, frames[0].PTS = 0, 0
		frames = append(frames, frames[0])
		frames[1].DTS, frames[1].PTS = apart, apart
		if _, err := x.AppendFragment(nil, frames, NoEnd); err != nil {
			t.Fatal(err)
		}
		if got := x.Duration(); got != apart+want {
			t.Errorf("two pictures that are %v apart last %v", apart, got)
		}
	}
}

// TestLastPictureBehindAHole: the last picture does not last as long as the hole before it.
func TestLastPictureBehindAHole(t *testing.T) {
	m := record(t)
	x, err := NewMuxer(Head{Tracks: m.tracks[:1]})
	if err != nil {
		t.Fatal(err)
	}
	key := m.frames[slices.IndexFunc(m.frames, func(f av.Frame) bool { return f.Kind == av.Video && f.IsKey() })]
	var frames []av.Frame
	for _, at := range []time.Duration{0, 40 * time.Millisecond, 80 * time.Millisecond, 980 * time.Millisecond} {
		key.DTS, key.PTS = at, at
		frames = append(frames, key)
	}
	if _, err := x.AppendFragment(nil, frames, NoEnd); err != nil {
		t.Fatal(err)
	}
	if d := x.Duration(); d.Round(time.Millisecond) != 1020*time.Millisecond {
		t.Errorf("it lasts %v", d)
	}
}

// TestFragmentWithoutPictures: a fragment of sound alone begins with no key frame, if the file has pictures.
func TestFragmentWithoutPictures(t *testing.T) {
	m := record(t)
	x, err := NewMuxer(Head{Tracks: m.tracks})
	if err != nil {
		t.Fatal(err)
	}
	pieces := m.pieces()
	var out []byte
	for i, p := range pieces[:3] {
		if i == 1 {
			p.frames = slices.DeleteFunc(slices.Clone(p.frames), func(f av.Frame) bool { return f.Kind == av.Video })
		}
		if out, err = x.AppendFragment(out, p.frames, p.end); err != nil {
			t.Fatal(err)
		}
	}
	index, err := ReadIndex(&memory{b: out}, int64(len(out)))
	if err != nil {
		t.Fatal(err)
	}
	if list := index.Fragments; len(list) != 3 || !list[0].Key || list[1].Key || !list[2].Key || list[1].Time < list[0].Time+list[0].Duration {
		t.Errorf("%+v", index.Fragments)
	}
}

// TestReserve: below 1 KiB nothing is kept free in front, and never more than 4 MiB.
func TestReserve(t *testing.T) {
	m := record(t)
	length := func(reserve int) int {
		x, err := NewMuxer(Head{Tracks: m.tracks, Reserve: reserve})
		if err != nil {
			t.Fatal(err)
		}
		b, err := x.AppendFragment(nil, m.frames[:40], NoEnd)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadIndex(&memory{b: b}, int64(len(b))); err != nil {
			t.Errorf("reserved %d: %v", reserve, err)
		}
		return len(b)
	}
	for reserve, want := range map[int]int{0: 0, 1023: 0, 1024: 1024, 4 << 20: 4 << 20, 4<<20 + 1: 4 << 20} {
		if got := length(reserve) - length(0); got != want {
			t.Errorf("of %d bytes %d are kept free", reserve, got)
		}
	}
}

// TestSoundOfUnknownLength: a frame of sound that does not say how long it lasts does until the next one, a tick at least; the last one as long as the one before
// it, or a fiftieth of a second.
func TestSoundOfUnknownLength(t *testing.T) {
	m, err := NewMuxer(Head{Tracks: []Track{aac}})
	if err != nil {
		t.Fatal(err)
	}
	next := func(at time.Duration) []av.Frame {
		return []av.Frame{{Kind: av.Video, PTS: time.Hour}, {Kind: av.Audio, Codec: av.AAC, DTS: at, PTS: at, Payload: []byte{1}}}
	}
	for _, c := range []struct {
		rest              []av.Frame
		from, usual, want int64
	}{{next(2 * aacFrame), 1024, 0, 1024}, {next(0), 5000, 7, 1}, {nil, 5000, 0, 960}, {nil, 5000, 77, 77}} {
		m.tracks[0].usual = c.usual
		if got := m.untilNext(m.tracks[0], c.rest, c.from); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
