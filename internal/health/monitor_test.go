package health

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/amf"
	"weir/av"
	"weir/internal/stream"
)

// said returns findings as lines, those for information marked.
func said(found []Finding) (lines []string) {
	for _, f := range found {
		mark := ""
		if f.Info {
			mark = "i "
		}
		lines = append(lines, mark+f.Kind+": "+f.Sentence)
	}
	return lines
}

// later makes frames of a kind arrive later.
func later(kind av.Kind, by func(at time.Duration) time.Duration) func(*av.Frame, time.Duration) (time.Duration, bool) {
	return func(f *av.Frame, at time.Duration) (time.Duration, bool) {
		if f.Kind == kind {
			return at + by(at), true
		}
		return at, true
	}
}

// without leaves out the frames of some kinds in a time.
func without(from, to time.Duration, kinds ...av.Kind) func(*av.Frame, time.Duration) (time.Duration, bool) {
	return func(f *av.Frame, at time.Duration) (time.Duration, bool) {
		return at, at < from || at >= to || !slices.Contains(kinds, f.Kind)
	}
}

// at changes the first n frames of a kind, that are no key frames of video, from a time on.
func at(from time.Duration, kind av.Kind, n int, change func(*av.Frame)) func(*av.Frame, time.Duration) (time.Duration, bool) {
	return func(f *av.Frame, at time.Duration) (time.Duration, bool) {
		if f.Kind == kind && at >= from && n > 0 && (kind == av.Audio || !f.IsKey()) {
			n--
			change(f)
		}
		return at, true
	}
}

func rates(key string, v float64) amf.Object {
	return amf.Object{{Key: "videocodecid", Value: 7.0}, {Key: "audiocodecid", Value: 10.0}, {Key: key, Value: v}}
}

// TestSoundInPieces: sound that comes many frames at a time, as in TS, does not seem to drift, however its pieces lie to the looks.
func TestSoundInPieces(t *testing.T) {
	for _, piece := range []time.Duration{165 * ms, 196 * ms, 204 * ms, 339 * ms, 503 * ms} {
		watching(t, func(t *testing.T, hub *stream.Hub, _ *Monitor, told func() []Change) {
			p, err := hub.Publish("live/a", stream.Info{})
			if err != nil {
				t.Fatal(err)
			}
			s := source{change: later(av.Audio, func(at time.Duration) time.Duration { return piece - at%piece })}
			s.send(t, p)
			for _, c := range told() {
				t.Errorf("of pieces of %v it is said: %s: %s", piece, c.Finding.Kind, c.Finding.Sentence)
			}
		})
	}
}

// TestRules has, for each rule, a stream that has the fault and one that nearly has it, and all that is said of them.
func TestRules(t *testing.T) {
	const (
		v = "video track 0 (H.264)"
		a = "audio track 0 (AAC)"
	)
	both := []av.Kind{av.Video, av.Audio}
	back := func(f *av.Frame) { f.DTS, f.PTS = f.DTS-50*ms, f.PTS-50*ms }
	scale := func(kind av.Kind, by float64) func(*av.Frame, time.Duration) (time.Duration, bool) {
		return func(f *av.Frame, at time.Duration) (time.Duration, bool) {
			if f.Kind == kind {
				f.DTS = time.Duration(float64(f.DTS) * by)
				f.PTS = f.DTS
			}
			return at, true
		}
	}
	from := func(at time.Duration, kind av.Kind, by time.Duration) func(*av.Frame, time.Duration) (time.Duration, bool) {
		return func(f *av.Frame, now time.Duration) (time.Duration, bool) {
			if now >= at && (kind == av.Data || f.Kind == kind) {
				f.DTS, f.PTS = f.DTS+by, f.PTS+by
			}
			return now, true
		}
	}
	slower := func(by float64) func(*av.Frame, time.Duration) (time.Duration, bool) {
		return func(_ *av.Frame, at time.Duration) (time.Duration, bool) {
			return time.Duration(float64(at) * by), true
		}
	}
	for name, c := range map[string]struct {
		source source
		want   []string
	}{
		"nothing":                  {},
		"silent for less than 2 s": {source: source{length: 21900 * ms, change: without(20*second, time.Minute, both...)}},
		"silent for 3 s": {source: source{length: 23100 * ms, change: without(20*second, time.Minute, both...)}, want: []string{
			"stalled: the publisher is connected and has sent nothing for 3s",
		}},

		"a key frame each 4 s": {source: source{key: 4 * second}},
		"4 s by 29.97":         {source: source{key: 4 * second, step: second * 1001 / 30000}},
		"a key frame each 5 s": {source: source{key: 5 * second}, want: []string{"long_gop: " + v + ": no key frame for 5s: HLS begins late"}},
		"a key frame each 10 s": {source: source{key: 10 * second}, want: []string{
			"long_gop: " + v + ": no key frame for 10s: HLS begins late",
		}},
		"a key frame each 11 s": {source: source{key: 11 * second}, want: []string{
			"long_gop: " + v + ": no key frame for 11s: players wait for it, and HLS begins late",
		}},

		"60 declared, 46 come": {source: source{step: second / 46, metadata: rates("framerate", 60)}},
		"60 declared, 40 come": {source: source{step: second / 40, metadata: rates("framerate", 60)}, want: []string{
			"frame_rate: " + v + ": 40 frames a second come, and 60 are declared",
		}},
		"1000 declared": {source: source{metadata: rates("framerate", 1000)}},

		"145 of 100 kbit/s": {source: source{size: 725, metadata: rates("videodatarate", 100)}},
		"160 of 100 kbit/s": {source: source{size: 800, metadata: rates("videodatarate", 100)}, want: []string{
			"bitrate: " + v + ": 160 kbit/s come, and 100 kbit/s are declared",
		}},
		"55 of 100 kbit/s": {source: source{size: 275, metadata: rates("videodatarate", 100)}},
		"40 of 100 kbit/s": {source: source{size: 200, metadata: rates("videodatarate", 100)}, want: []string{
			"i low_bitrate: " + v + ": 40 kbit/s come, and 100 kbit/s are declared",
		}},
		"a placeholder": {source: source{size: 800, metadata: rates("videodatarate", 1)}},

		"at 90 percent of speed": {source: source{change: slower(1 / 0.9)}},
		"at 80 percent of speed": {source: source{change: slower(1 / 0.8)}, want: []string{
			"behind: 18.4 s of the stream have come in 23.0 s: players run out of it",
		}},

		"a gap of 0.9 s": {source: source{change: without(20*second, 20900*ms, both...)}},
		"a gap of 1.5 s": {source: source{change: without(20*second, 21500*ms, both...)}, want: []string{
			"gap: " + v + ": 1 gap of more than 1s in the last minute, the longest 1.56s",
			"gap: " + a + ": 1 gap of more than 1s in the last minute, the longest 1.515s",
		}},
		"a minute after a gap":     {source: source{length: 95 * second, change: without(20*second, 21500*ms, both...)}},
		"a picture in two seconds": {source: source{step: 2 * second}},

		"sound away for 4 s": {source: source{length: 24500 * ms, change: without(20*second, time.Minute, av.Audio)}},
		"sound away for 6 s": {source: source{length: 26500 * ms, change: without(20*second, time.Minute, av.Audio)}, want: []string{
			"silent_track: " + a + " has stopped for 6s while the picture goes on",
		}},
		"picture away for 6 s": {source: source{length: 26500 * ms, change: without(20*second, time.Minute, av.Video)}, want: []string{
			"silent_track: " + v + " has stopped for 6s while the sound goes on",
		}},

		"no sound":     {source: source{noSound: true}, want: []string{"i no_sound: the stream has no sound"}},
		"no sound yet": {source: source{noSound: true, length: 4900 * ms, metadata: rates("x", 0)}},
		"no sound, though promised": {source: source{noSound: true, metadata: rates("x", 0)}, want: []string{
			"missing_track: the metadata promises audio, and none came",
		}},
		"no picture": {source: source{noVideo: true}},

		"no header": {source: source{videoConfig: []byte{}}, want: []string{
			"no_sequence_header: " + v + " has no sequence header: nobody can decode it",
		}},
		"no header yet":    {source: source{videoConfig: []byte{}, length: 2900 * ms}},
		"a bad header yet": {source: source{audioConfig: []byte{0xff}, length: 2900 * ms}},
		"a bad header": {source: source{audioConfig: []byte{0xff}}, want: []string{
			"bad_sequence_header: " + a + " has a sequence header that cannot be used: aac: reading the configuration: unexpected EOF",
		}},

		"a wrong key flag": {source: source{change: at(20*second, av.Video, 1, func(f *av.Frame) { f.Flags = av.Key })}, want: []string{
			"key_flag: " + v + ": the key-frame flag of 1 frame contradicts what the frame holds in the last minute",
		}},
		"a minute after a wrong key flag": {source: source{length: 95 * second, change: at(20*second, av.Video, 1, func(f *av.Frame) { f.Flags = av.Key })}},

		"two steps back": {source: source{change: at(20*second, av.Video, 2, back)}},
		"three steps back": {source: source{change: func(f *av.Frame, at time.Duration) (time.Duration, bool) {
			if f.Kind == av.Video && (at == 20040*ms || at == 21040*ms || at == 22040*ms) {
				back(f)
			}
			return at, true
		}}, want: []string{"dts_backward: " + v + ": the decoding time goes back 3 times in the last minute"}},

		"a clock that jumps": {source: source{change: from(20*second, av.Data, time.Hour)}, want: []string{
			"clock_jump: the clock jumps 1 time in the last minute",
		}},
		"a minute after a jump": {source: source{length: 95 * second, change: from(20*second, av.Data, time.Hour)}},

		"sound from an hour later": {source: source{change: from(0, av.Audio, time.Hour)}, want: []string{
			"track_shifted: 1 track began far from the others in the last minute, and was moved to them",
		}},

		"sound 0.9 s late": {source: source{change: later(av.Audio, func(time.Duration) time.Duration { return 900 * ms })}},
		"sound 1.5 s late": {source: source{change: later(av.Audio, func(time.Duration) time.Duration { return 1500 * ms })}, want: []string{
			"av_offset: the sound comes 1.47s later than the picture of the same time: players must keep more than that, or stop",
		}},
		"picture 1.5 s late": {source: source{change: later(av.Video, func(time.Duration) time.Duration { return 1500 * ms })}, want: []string{
			"av_offset: the picture comes 1.5s later than the sound of the same time: players must keep more than that, or stop",
		}},

		"sound 0.05 percent slow": {source: source{change: scale(av.Audio, 1.0005)}},
		"sound 2 percent slow": {source: source{change: scale(av.Audio, 1.02)}, want: []string{
			"drift: " + a + ": 39s of sound in 39.78s of time stamps: it drifts 19.6ms a second from the picture",
		}},
		"a film of 5 s again and again": {source: source{length: 100 * second, change: func(f *av.Frame, at time.Duration) (time.Duration, bool) {
			f.DTS += 30 * ms * (at / (5 * second)) // sound ends before the picture
			f.PTS = f.DTS
			return at, true
		}}},
		"sound that falls behind": {source: source{change: later(av.Audio, func(at time.Duration) time.Duration { return at / 50 })}, want: []string{
			"drift: the sound falls 760ms behind the picture in 39s: it drifts 19.6ms a second",
		}},
		"sound that hardly falls behind": {source: source{change: later(av.Audio, func(at time.Duration) time.Duration { return at / 500 })}},

		"B-frames": {source: source{change: func(f *av.Frame, at time.Duration) (time.Duration, bool) {
			if f.Kind == av.Video {
				f.PTS += 40 * ms
				if at/(40*ms)%2 == 1 {
					f.PTS += 80 * ms
				}
			}
			return at, true
		}}, want: []string{"i b_frames: " + v + " has B-frames, which WebRTC players cannot play"}},
		"pictures shown later": {source: source{change: func(f *av.Frame, at time.Duration) (time.Duration, bool) {
			if f.Kind == av.Video {
				f.PTS += 80 * ms
			}
			return at, true
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			watching(t, func(t *testing.T, hub *stream.Hub, m *Monitor, _ func() []Change) {
				p, err := hub.Publish("live/a", stream.Info{})
				if err != nil {
					t.Fatal(err)
				}
				c.source.send(t, p)
				synctest.Wait()
				found := m.Findings("live/a")
				if got := said(found); !slices.Equal(got, c.want) {
					t.Errorf("it is said\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
				}
				for _, f := range found {
					if f.Setting == "" || f.Since.IsZero() {
						t.Errorf("%+v", f)
					}
				}
				p.Close(nil)
			})
		})
	}
}

// TestAShortSilenceIsNotTold: one of 2 seconds is found and one of 5 is told, once, each with its end.
func TestAShortSilenceIsNotTold(t *testing.T) {
	for silence, want := range map[time.Duration][]string{
		4 * second: nil,
		8 * second: {"stalled over=false healthy=false", "stalled over=true healthy=true"},
	} {
		watching(t, func(t *testing.T, hub *stream.Hub, m *Monitor, told func() []Change) {
			p, err := hub.Publish("live/a", stream.Info{})
			if err != nil {
				t.Fatal(err)
			}
			before := source{length: 8 * second} // so little that its progress is not judged
			before.send(t, p)
			<-time.After(3 * second)
			if got := said(m.Findings("live/a")); len(got) != 1 || !strings.HasPrefix(got[0], "stalled: ") {
				t.Errorf("after 3 s of silence is said %q", got)
			}
			if n := len(told()); n != 0 {
				t.Errorf("after 3 s of silence %d changes are told", n)
			}
			<-time.After(silence - 3*second)
			after := source{length: 3 * second, change: func(f *av.Frame, at time.Duration) (time.Duration, bool) {
				f.DTS, f.PTS = f.DTS+8*second, f.PTS+8*second // a pause, and no gap
				return at, true
			}}
			after.send(t, p)
			var lines []string
			for _, c := range told() {
				lines = append(lines, fmt.Sprintf("%s over=%v healthy=%v", c.Finding.Kind, c.Over, c.Healthy))
			}
			if !slices.Equal(lines, want) {
				t.Errorf("a silence of %v: %q, want %q", silence, lines, want)
			}
			p.Close(nil)
		})
	}
}

// TestChanges: a fault is told once when it appears and once when it is over, information never, and nothing when the
// publisher goes.
func TestChanges(t *testing.T) {
	watching(t, func(t *testing.T, hub *stream.Hub, m *Monitor, told func() []Change) {
		p, err := hub.Publish("live/a", stream.Info{})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		stops := without(20*second, 29900*ms, av.Video, av.Audio)
		s := source{length: 110 * second, change: func(f *av.Frame, at time.Duration) (time.Duration, bool) {
			if f.Kind == av.Video && at/(40*ms)%2 == 1 {
				f.PTS += 80 * ms // B-frames
			}
			return stops(f, at)
		}}
		s.send(t, p)
		var lines []string
		for _, c := range told() {
			lines = append(lines, fmt.Sprintf("%s %s over=%v healthy=%v since=%v", c.Finding.Kind, c.Finding.Track, c.Over, c.Healthy, c.Finding.Since.Sub(begin).Round(second)))
		}
		want := []string{
			"stalled  over=false healthy=false since=22s",
			"gap video 0 over=false healthy=false since=30s",
			"gap audio 0 over=false healthy=false since=30s",
			"stalled  over=true healthy=false since=22s",
			"gap video 0 over=true healthy=false since=30s",
			"gap audio 0 over=true healthy=true since=30s",
		}
		if !slices.Equal(lines, want) {
			t.Errorf("told\n%s\nnot\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
		p.Close(stream.ErrUnpublished)
		<-time.After(2 * second)
		if n := len(told()); n != len(want) {
			t.Errorf("%d changes more once the publisher has gone", n-len(want))
		}
		if f := m.Findings("live/a"); len(f) != 0 || f == nil {
			t.Errorf("of a stream without a publisher is said %v", f)
		}
		if l := m.Statuses(); len(l) != 0 {
			t.Errorf("%+v", l)
		}
	})
}

// TestFaultGoesWithThePublisher: one that its successor does not have is over.
func TestFaultGoesWithThePublisher(t *testing.T) {
	watching(t, func(t *testing.T, hub *stream.Hub, m *Monitor, told func() []Change) {
		first, err := hub.Publish("live/a", stream.Info{})
		if err != nil {
			t.Fatal(err)
		}
		bad := source{length: 20 * second, key: 6 * second}
		bad.send(t, first)
		if got := said(m.Findings("live/a")); len(got) != 1 || !strings.HasPrefix(got[0], "long_gop: ") {
			t.Fatal(got)
		}
		second, err := hub.Publish("live/a", stream.Info{})
		if err != nil {
			t.Fatal(err)
		}
		good := source{length: 10 * time.Second}
		good.send(t, second)
		if got := said(m.Findings("live/a")); len(got) != 0 {
			t.Error(got)
		}
		if c := told(); len(c) != 2 || !c[1].Over || !c[1].Healthy || c[1].Path != "live/a" {
			t.Errorf("%+v", c)
		}
	})
}

// TestStatuses is what metrics show.
func TestStatuses(t *testing.T) {
	watching(t, func(t *testing.T, hub *stream.Hub, m *Monitor, _ func() []Change) {
		p, err := hub.Publish("live/a", stream.Info{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hub.Play("live/a"); err != nil {
			t.Fatal(err)
		}
		s := source{length: 20 * second, key: 6 * second, noSound: true}
		s.send(t, p)
		want := Status{Path: "live/a", Players: 1, Bitrate: 20000, FrameRate: 25, KeyInterval: 6 * second, Width: 0, Height: 0, Faults: 1}
		got := m.Statuses()
		if len(got) == 1 {
			got[0].Width, got[0].Height = 0, 0
			if got[0].Bitrate < 19000 || got[0].Bitrate > 21000 {
				t.Errorf("%d bit/s", got[0].Bitrate)
			}
			got[0].Bitrate = want.Bitrate
		}
		if len(got) != 1 || got[0] != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		kinds := map[string]int{}
		m.Kinds(func(kind string, n int) { kinds[kind] += n })
		if kinds[KindKeyFrames] != 1 || kinds[KindGap] != 0 || len(kinds) != len(faults) {
			t.Errorf("%v", kinds)
		}
	})
}
