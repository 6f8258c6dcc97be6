package mp4

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/codec"
	"weir/format/fmp4"
)

// both writes the frames and returns the file as it is while it is written, and finished.
func (m *media) both(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	names := map[string]string{"fragmented": filepath.Join(dir, "f.mp4"), "finished": filepath.Join(dir, "p.mp4")}
	m.write(t, names["fragmented"])
	b := read(t, names["fragmented"])
	f := &memory{b: slices.Clone(b)}
	if err := Finish(f, int64(len(b))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(names["finished"], f.b, 0o600); err != nil {
		t.Fatal(err)
	}
	return names
}

// move adds to the times of all frames of a kind.
func (m *media) move(kind av.Kind, by time.Duration) {
	for i := range m.frames {
		if f := &m.frames[i]; f.Kind == kind {
			f.DTS, f.PTS = f.DTS+by, f.PTS+by
		}
	}
	slices.SortStableFunc(m.frames, func(a, b av.Frame) int { return int(a.DTS - b.DTS) })
}

// TestTracksThatBeginApart (C-405, P5): the time between picture and sound is the publisher's.
func TestTracksThatBeginApart_C405_P5(t *testing.T) {
	for _, c := range []struct {
		kind av.Kind
		by   time.Duration
	}{{av.Audio, 3 * time.Second}, {av.Video, 3 * time.Second}, {av.Audio, 123 * time.Millisecond}, {av.Video, time.Millisecond}} {
		t.Run(fmt.Sprint(c.kind, c.by), func(t *testing.T) {
			m := record(t)
			m.move(c.kind, c.by)
			for form, name := range m.both(t) {
				p := probeStarts(t, name)
				if got := p.streams[0].firstShow - p.streams[1].firstShow; math.Abs(got-m.offset()) > 0.001 {
					t.Errorf("%s: the picture begins %.4f s after the sound, want %.4f", form, got, m.offset())
				}
				if first := min(p.streams[0].firstShow, p.streams[1].firstShow); form == "finished" && math.Abs(first) > 0.001 || first < 0 || first > 0.1 {
					t.Errorf("%s: the file begins at %.4f", form, first)
				}
			}
		})
	}
}

// TestCompositionTimes (C-406): pictures are shown in their order and against the sound as the publisher wants, whatever their
// composition times are.
func TestCompositionTimes_C406(t *testing.T) {
	for _, c := range []struct {
		name  string
		shift time.Duration // of all composition times
	}{{"as sent", 0}, {"negative", -200 * time.Millisecond}, {"first 80", 13 * time.Millisecond}, {"large", time.Second}} {
		t.Run(c.name, func(t *testing.T) {
			m := record(t)
			for i := range m.frames {
				if f := &m.frames[i]; f.Kind == av.Video {
					f.PTS += c.shift
				}
			}
			var want []time.Duration
			for i := range m.frames {
				if f := &m.frames[i]; f.Kind == av.Video {
					want = append(want, f.PTS)
				}
			}
			for form, name := range m.both(t) {
				m.shownAt(t, want, form, name)
			}
		})
	}
}

// shownAt reports whether the pictures of a file are shown at times from the first on, and as long after the sound as the publisher wants.
func (m *media) shownAt(t *testing.T, want []time.Duration, form, name string) {
	t.Helper()
	p := probeStarts(t, name)
	if got := p.streams[0].firstShow - p.streams[1].firstShow; math.Abs(got-m.offset()) > 0.001 {
		t.Errorf("%s: the picture begins %.4f s after the sound, want %.4f", form, got, m.offset())
	}
	got := times(t, name, "v")
	if len(got) != len(want) {
		t.Fatalf("%s: %d pictures", form, len(got))
	}
	for i := range got {
		if d := got[i] - got[0] - (want[i] - want[0]).Seconds(); math.Abs(d) > 0.002 {
			t.Errorf("%s: picture %d is %.4f s off", form, i, d)
			break
		}
	}
}

// TestPyramid (C-406): of an encoder that takes its pictures out of a pyramid of 16 B-frames each is shown at its time, and a reader that knows no edit lists shows
// pictures and sound apart by no more than the first picture's composition time.
func TestPyramid_C406(t *testing.T) {
	b, err := encode("-bf", "16", "-b_strategy", "0", "-preset", "medium", "-x264-params", "b-pyramid=strict:b-adapt=0:ref=4")
	if err != nil {
		t.Fatal(err)
	}
	m := parse(t, b)
	var want []time.Duration
	most, first := time.Duration(0), time.Duration(-1)
	for i := range m.frames {
		if f := &m.frames[i]; f.Kind == av.Video {
			if first < 0 {
				first = f.PTS - f.DTS
			}
			most = max(most, f.PTS-f.DTS)
			want = append(want, f.PTS)
		}
	}
	if most < 15*33*time.Millisecond || first < 60*time.Millisecond {
		t.Fatalf("the encoder made no pyramid: pictures are shown up to %v after they are decoded, the first %v", most, first)
	}
	for form, name := range m.both(t) {
		m.shownAt(t, want, form, name)
		pictures, sound := times(t, name, "v", "-ignore_editlist", "1"), times(t, name, "a", "-ignore_editlist", "1")
		if d := slices.Min(pictures) - sound[0] - m.offset(); math.Abs(d) > first.Seconds()+0.001 {
			t.Errorf("%s: without edit lists pictures and sound are %.4f s apart, and the first composition time is %v", form, d, first)
		}
		shown := slices.Sorted(slices.Values(pictures))
		for i := 1; i < len(shown); i++ { // none beside or behind another
			if d := shown[i] - shown[i-1]; math.Abs(d-1./30) > 0.002 {
				t.Errorf("%s: without edit lists %.4f s are between the pictures %d and %d", form, d, i-1, i)
				break
			}
		}
	}
}

// times are when the packets of a stream are shown, to a reader with options.
func times(t *testing.T, name, stream string, options ...string) (list []float64) {
	t.Helper()
	args := append([]string{"-v", "error", "-select_streams", stream, "-show_entries", "packet=pts_time", "-of", "csv=p=0"}, options...)
	for line := range strings.Lines(run(t, "ffprobe", append(args, name)...)) {
		v, err := strconv.ParseFloat(strings.Trim(line, ",\n"), 64)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

// TestFrameGrid (C-407): time stamps that lie on a frame rate but for their rounding make a constant rate, and others stay.
func TestFrameGrid_C407(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name  string
		at    func(i int) time.Duration // of picture i
		rate  string
		exact bool
	}{
		{"33 34 33", func(i int) time.Duration { return time.Duration(i*1000/30) * time.Millisecond }, "30/1", true},
		{"30000/1001", func(i int) time.Duration {
			return (time.Duration(i) * 1001 * time.Second / 30000).Round(time.Millisecond)
		}, "30000/1001", true},
		{"24000/1001", func(i int) time.Duration {
			return (time.Duration(i) * 1001 * time.Second / 24000).Round(time.Millisecond)
		}, "24000/1001", true},
		{"40 ± 1", func(i int) time.Duration {
			return time.Duration(i*40+random.IntN(3)-1)*time.Millisecond + time.Millisecond
		}, "25/1", true},
		{"60", func(i int) time.Duration { return time.Duration(i*1000/60) * time.Millisecond }, "60/1", true},
		{"a phone", func(i int) time.Duration {
			return time.Duration(i*33+random.IntN(12)) * time.Millisecond
		}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := record(t)
			var pictures []av.Frame
			for i := range m.frames {
				if m.frames[i].Kind == av.Video {
					f := m.frames[i]
					f.DTS = c.at(len(pictures))
					f.PTS = f.DTS
					pictures = append(pictures, f)
				}
			}
			m.frames, m.tracks = pictures, m.tracks[:1]
			m.tracks[0].FrameRate = 0 // the encoder does not say
			for form, name := range m.both(t) {
				got := times(t, name, "v")
				p := probe(t, name)
				steps := map[string]int{}
				for i := range got {
					if want := c.at(i); c.exact == (math.Abs(got[i]-got[0]-(want-c.at(0)).Seconds()) > 0.0021) && c.exact {
						t.Fatalf("%s: picture %d is at %v", form, i, got[i])
					}
					if i > 0 {
						steps[fmt.Sprintf("%.4f", got[i]-got[i-1])]++
					}
				}
				if c.exact && p.streams[0].Rate != c.rate {
					t.Errorf("%s: rate %s, want %s; steps %v", form, p.streams[0].Rate, c.rate, steps)
				}
				if !c.exact {
					if len(steps) < 10 {
						t.Errorf("%s: a rate that varies became %v", form, steps)
					}
				}
			}
		})
	}
}

// TestDeclaredRate: of two rates that the time stamps fit, it is the one that the encoder names.
func TestDeclaredRate(t *testing.T) {
	for declared, want := range map[float64][2]int64{24: {24, 1}, 24000.0 / 1001: {24000, 1001}, 0: {24, 1}} {
		m := &track{Track: fmp4.Track{Track: av.Track{Kind: av.Video, Codec: av.H264, FrameRate: declared}}, kind: av.Video}
		var frames []av.Frame
		for i := range 10 {
			at := (time.Duration(i) * time.Second / 24).Round(time.Millisecond)
			frames = append(frames, av.Frame{Kind: av.Video, Codec: av.H264, DTS: at, PTS: at, Payload: []byte{1}})
		}
		m.grid.fit(frames, m)
		if !m.grid.on || m.grid.num != want[0] || m.grid.den != want[1] {
			t.Errorf("declared %v: %+v", declared, m.grid)
		}
	}
}

// TestJumpIsNoDuration (P6, C-408): a hole in the time stamps makes no long sample of sound, and the file is as long as its content.
func TestSoundHoleIsSilence_P6(t *testing.T) {
	m := record(t)
	m.frames = slices.DeleteFunc(m.frames, func(f av.Frame) bool {
		return f.Kind == av.Audio && f.DTS > 2*time.Second && f.DTS < 3500*time.Millisecond
	})
	for form, name := range m.both(t) {
		got := times(t, name, "a")
		for i := 1; i < len(got); i++ {
			if d := got[i] - got[i-1]; math.Abs(d-1024./48000) > 0.0005 {
				t.Errorf("%s: %.4f s between two frames of sound at %.3f", form, d, got[i])
			}
		}
		if p := probe(t, name); math.Abs(p.duration-6) > 0.1 {
			t.Errorf("%s: it lasts %v", form, p.duration)
		}
		run(t, "ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", name, "-f", "null", "-") // silence is decoded
	}
}

// TestHoleWithoutSilence keeps its time where there is no silent frame for the codec.
func TestHoleWithoutSilence(t *testing.T) {
	m := record(t)
	x, err := NewMuxer(Head{Tracks: m.tracks})
	if err != nil {
		t.Fatal(err)
	}
	x.tracks[1].silence = nil
	var out []byte
	for _, p := range m.pieces() {
		frames := slices.DeleteFunc(p.frames, func(f av.Frame) bool {
			return f.Kind == av.Audio && f.DTS > 2*time.Second && f.DTS < 3500*time.Millisecond
		})
		if out, err = x.AppendFragment(out, frames, p.end); err != nil {
			t.Fatal(err)
		}
	}
	f := &memory{b: out}
	if err := Finish(f, int64(len(out))); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "a.mp4")
	if err := os.WriteFile(name, f.b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := times(t, name, "a"); math.Abs(got[len(got)-1]-6) > 0.05 {
		t.Errorf("the sound ends at %v", got[len(got)-1])
	}
}

// TestFills: which holes need a new file.
func TestFills(t *testing.T) {
	m := record(t)
	aac, mp3 := &m.tracks[1].Track, &av.Track{Kind: av.Audio, Codec: av.MP3, SampleRate: 44100, Channels: 2}
	for _, c := range []struct {
		track *av.Track
		hole  time.Duration
		want  bool
	}{
		{aac, maxDrift + 1, true}, {aac, maxSilence, true}, {aac, maxSilence + 1, false}, {mp3, maxDrift, true}, {mp3, maxDrift + 1, false},
	} {
		if got := Fills(c.track, c.hole); got != c.want {
			t.Errorf("%v of %v: %v", c.track.Codec, c.hole, got)
		}
	}
}

// TestCoding: what tells files apart that cannot become one, and what does not.
func TestCoding(t *testing.T) {
	m := record(t)
	coding := func(tracks []Track) string {
		x, err := NewMuxer(Head{Tracks: tracks})
		if err != nil {
			t.Fatal(err)
		}
		s, err := x.Coding()
		if err != nil || len(s) != 16 {
			t.Fatal(s, err)
		}
		return s
	}
	plain := coding(m.tracks)
	named := slices.Clone(m.tracks)
	named[1].Name = "Commentary"
	if coding(named) != plain {
		t.Error("a name makes another coding")
	}
	other := slices.Clone(m.tracks)
	other[0].Config = slices.Clone(other[0].Config)
	other[0].Config[len(other[0].Config)-1] ^= 1
	if coding(other) == plain {
		t.Error("another configuration has the same coding")
	}
	if coding(m.tracks[:1]) == plain {
		t.Error("fewer tracks have the same coding")
	}
	for form, name := range m.both(t) {
		b := read(t, name)
		x, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if s, err := Coding(x.Init); err != nil || s != plain {
			t.Errorf("%s: %s instead of %s; %v", form, s, plain, err)
		}
	}
	for _, b := range [][]byte{nil, []byte("\x00\x00\x00\x08ftyp"), []byte("\x00\x00\x00\x10moov\x00\x00\x00\x09trak")} {
		if s, err := Coding(b); !errors.Is(err, ErrForeign) {
			t.Errorf("%q: %q, %v", b, s, err)
		}
	}
}

// TestNames gives each track of sound its name.
func TestNames(t *testing.T) {
	m := record(t)
	second := m.tracks[1]
	second.ID, second.Name = 1, "Commentary"
	m.tracks[1].Name = "Game"
	m.tracks = append(m.tracks, second)
	for _, f := range slices.Clone(m.frames) {
		if f.Kind == av.Audio {
			f.Track = 1
			m.frames = append(m.frames, f)
		}
	}
	slices.SortStableFunc(m.frames, func(a, b av.Frame) int { return int(a.DTS - b.DTS) })
	for form, name := range m.both(t) {
		p := probe(t, name)
		if len(p.streams) != 3 || p.streams[1].Tags["handler_name"] != "Game" || p.streams[2].Tags["handler_name"] != "Commentary" {
			t.Errorf("%s: %+v", form, p.streams)
		}
	}
}

// TestMuxerBounds: a Muxer refuses what it cannot carry, and writes nothing for nothing.
func TestMuxerBounds(t *testing.T) {
	m := record(t)
	x, err := NewMuxer(Head{Tracks: m.tracks, Path: strings.Repeat("a", 65535), Start: start, At: m.frames[0].DTS + time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // nothing that can be written has come by a minute
		if b, err := x.AppendFragment(nil, []av.Frame{{Kind: m.frames[0].Kind, Codec: m.frames[0].Codec, DTS: time.Minute, PTS: time.Minute}}, NoEnd); len(b) > 0 || err != nil {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	}
	b, err := x.AppendFragment(nil, m.frames[:1], NoEnd)
	if err != nil {
		t.Fatal(err)
	}
	f := &memory{b: b}
	if err := Finish(f, int64(len(b))); err != nil {
		t.Fatal(err)
	}
	if x, err := ReadIndex(f, int64(len(f.b))); err != nil || x.Start.Sub(start.Add(-time.Minute)).Abs() > 100*time.Millisecond {
		t.Errorf("it begins at %v, %v", x.Start, err)
	}
	name := filepath.Join(t.TempDir(), "a.mp4")
	if err := os.WriteFile(name, f.b, 0o600); err != nil {
		t.Fatal(err)
	}
	if p := probe(t, name); len(p.streams) != 1 || p.duration <= 0 || p.duration > 1 {
		t.Errorf("a file of one frame: %+v", p)
	}
}

// FuzzFinish: no file makes Finish or ReadIndex fail in another way than by an error.
func FuzzFinish(f *testing.F) {
	m := record(f)
	name := filepath.Join(f.TempDir(), "a.mp4")
	m.frames = m.frames[:40]
	m.write(f, name)
	b := read(f, name)
	f.Add(b)
	whole := &memory{b: slices.Clone(b)}
	if err := Finish(whole, int64(len(b))); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.b)
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = ReadIndex(bytes.NewReader(b), int64(len(b)))
		_ = Finish(&memory{b: slices.Clone(b)}, int64(len(b)))
	})
}

// BenchmarkFinishHour finishes an hour of 30 pictures and 47 frames of sound a second.
func BenchmarkFinishHour(b *testing.B) {
	m := record(b)
	x, err := NewMuxer(Head{Path: "live/cam", Start: start, Tracks: m.tracks})
	if err != nil {
		b.Fatal(err)
	}
	var file []byte
	const small = 16
	audio := codec.FrameDuration(av.AAC, m.tracks[1].Config, m.frames[len(m.frames)-1].Payload)
	pictures, sound := 0, 0
	for s := range 3600 {
		var frames []av.Frame
		end := time.Duration(s+1) * time.Second
		for ; time.Duration(pictures)*time.Second/30 < end; pictures++ {
			at := time.Duration(pictures) * time.Second / 30
			cts := time.Duration(pictures%3) * time.Second / 30
			f := av.Frame{Kind: av.Video, Codec: av.H264, DTS: at, PTS: at + cts, Payload: append([]byte{0, 0, 0, small, 0x41}, make([]byte, small-1)...)}
			if pictures%60 == 0 {
				f.Flags = av.Key
			}
			frames = append(frames, f)
		}
		for ; time.Duration(sound)*audio < end; sound++ {
			at := time.Duration(sound) * audio
			frames = append(frames, av.Frame{Kind: av.Audio, Codec: av.AAC, DTS: at, PTS: at, Payload: []byte{0x21, 0, 0x49, 0x90}})
		}
		if file, err = x.AppendFragment(file, frames, end); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		f := &memory{b: slices.Clone(file)}
		if err := Finish(f, int64(len(file))); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(f.b)-len(file)), "moov-bytes")
	}
	if d := b.Elapsed() / time.Duration(b.N); d > 300*time.Millisecond { // the limit of bench/RESULTS.md
		b.Errorf("it takes %v", d)
	}
}
