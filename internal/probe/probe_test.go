package probe

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"weir/av"
	"weir/format/flv"
	"weir/internal/fetch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	sample = "../demo/sample.flv"
	ms     = time.Millisecond
)

// look reports on a file.
func look(t *testing.T, name string) *Report {
	t.Helper()
	s, err := fetch.Open(t.Context(), name, fetch.Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := Run(t.Context(), s, 0)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSample(t *testing.T) {
	r := look(t, sample)
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"video 0: H.264 Main@3.0, 640x360, 30 frames/s", "GOP 60 frames (2 s), B-frames",
		"audio 0: AAC LC, 48000 Hz, 2 channels", "no faults found",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, b.String())
		}
	}
}

// made is a source of frames.
type made struct {
	frames    []*av.Frame
	live      bool // one comes each 20 ms, and then nothing until it is closed
	closed    chan struct{}
	condition fetch.Condition
}

func (s *made) ReadFrame() (*av.Frame, error) {
	if s.live {
		select {
		case <-time.After(20 * ms):
		case <-s.closed:
			return nil, os.ErrClosed
		}
	}
	if len(s.frames) == 0 && s.live {
		<-s.closed
		return nil, os.ErrClosed
	}
	if len(s.frames) == 0 {
		return nil, io.EOF
	}
	f := s.frames[0]
	s.frames = s.frames[1:]
	return f, nil
}

func (s *made) Live() bool                 { return s.live }
func (s *made) Condition() fetch.Condition { return s.condition }

func (s *made) Close() error {
	if s.live {
		close(s.closed)
	}
	return nil
}

// The frames that sources are made of.
var (
	videoHeader = &av.Frame{
		Kind: av.Video, Type: av.Config, Codec: av.H264,
		Payload: []byte{1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0a, 1, 0, 2, 0x68, 0xce},
	}
	audioHeader = &av.Frame{Kind: av.Audio, Type: av.Config, Codec: av.AAC, Payload: []byte{0x11, 0x90}} // 48 kHz
	idr         = []byte{0, 0, 0, 3, 0x65, 0x88, 0x80}
	slice       = []byte{0, 0, 0, 3, 0x41, 0x9a, 0x80}
)

// aacFrame is the duration of a frame of sound.
const aacFrame = time.Second * 1024 / 48000

func video(at time.Duration, key bool) *av.Frame {
	f := &av.Frame{Kind: av.Video, Codec: av.H264, DTS: at, PTS: at, Payload: slice}
	if key {
		f.Flags, f.Payload = av.Key, idr
	}
	return f
}

func audio(at time.Duration) *av.Frame {
	return &av.Frame{Kind: av.Audio, Codec: av.AAC, Flags: av.Key, DTS: at, PTS: at, Payload: []byte{0x21}}
}

// pictures are n frames at these distances, one in so many a key frame.
func pictures(n int, step time.Duration, every int) (list []*av.Frame) {
	for i := range n {
		list = append(list, video(time.Duration(i)*step, i%every == 0))
	}
	return list
}

// sounds are n frames at these distances.
func sounds(n int, step time.Duration) (list []*av.Frame) {
	for i := range n {
		list = append(list, audio(time.Duration(i)*step))
	}
	return list
}

// stream is the headers and the frames of two tracks in the order of their times.
func stream(tracks ...[]*av.Frame) []*av.Frame {
	all := slices.Concat(tracks...)
	slices.SortStableFunc(all, func(a, b *av.Frame) int { return int(a.DTS - b.DTS) })
	return append([]*av.Frame{videoHeader, audioHeader}, all...)
}

// shifted returns frames at other times.
func shifted(list []*av.Frame, by time.Duration) (out []*av.Frame) {
	for _, f := range list {
		g := *f
		g.DTS, g.PTS = g.DTS+by, g.PTS+by
		out = append(out, &g)
	}
	return out
}

// with returns frame i of a list as change makes it, among the others.
func with(list []*av.Frame, i int, change func(*av.Frame)) []*av.Frame {
	list = slices.Clone(list)
	f := *list[i]
	change(&f)
	list[i] = &f
	return list
}

// metadata promises tracks.
func metadata(tracks ...av.Track) *av.Frame {
	return &av.Frame{Kind: av.Data, Type: av.Script, Payload: flv.BuildMetadata(tracks, nil)}
}

// TestRules has a source for each rule, and what is said of it: all the faults, word by word.
func TestRules(t *testing.T) {
	const second = time.Second
	good := stream(pictures(250, 40*ms, 50), sounds(468, aacFrame))
	framesAt := func(every time.Duration, n int) []*av.Frame { // declared with 60 frames a second
		return append([]*av.Frame{metadata(av.Track{Kind: av.Video, Codec: av.H264, FrameRate: 60}), videoHeader}, pictures(n, every, 10)...)
	}
	joined := slices.Concat(stream(pictures(100, 40*ms, 50), sounds(187, aacFrame)), shifted(stream(pictures(100, 40*ms, 50), sounds(187, aacFrame)), 3600*second)[2:])
	again := slices.Concat(stream(pictures(100, 40*ms, 50), sounds(187, aacFrame)), stream(pictures(100, 40*ms, 50), sounds(187, aacFrame)))
	later := func(list []*av.Frame, n int) []*av.Frame { // what lags behind comes later: by place, not by time
		var out, held []*av.Frame
		i := 0
		for _, f := range list {
			if f.Kind == av.Audio {
				held = append(held, f)
			} else {
				out = append(out, f)
				if i++; i%n != 0 && len(held) > 0 {
					out, held = append(out, held[0]), held[1:]
				}
			}
		}
		return append(out, held...)
	}
	var drifting []*av.Frame // in the order of the true times
	for _, f := range good[2:] {
		if f.Kind == av.Video {
			f = with([]*av.Frame{f}, 0, func(f *av.Frame) { f.DTS, f.PTS = f.DTS*103/100, f.PTS*103/100 })[0]
		}
		drifting = append(drifting, f)
	}
	for name, c := range map[string]struct {
		frames    []*av.Frame
		condition fetch.Condition
		want      []string
	}{
		"nothing":       {frames: good},
		"a GOP of 4 s":  {frames: stream(pictures(250, 40*ms, 100), sounds(468, aacFrame))},
		"a GOP of 10 s": {frames: stream(pictures(500, 40*ms, 250), sounds(936, aacFrame)), want: []string{"long_gop: video track 0 (H.264): no key frame for 10s: HLS begins late"}},
		"one key frame": {frames: stream(pictures(150, 40*ms, 1000)), want: []string{"long_gop: video track 0 (H.264): no key frame for 5.96s: HLS begins late", "empty_track: audio track 0 (AAC) has a configuration but no frames"}},
		"all times 0":   {frames: stream(pictures(50, 0, 50), sounds(50, 0)), want: []string{"frozen_time: video track 0 (H.264): all 50 frames have the time 0s", "frozen_time: audio track 0 (AAC): all 50 frames have the time 0s"}},
		"all times the same": {frames: shifted(stream(pictures(50, 0, 50), sounds(468, aacFrame)), 5*second), want: []string{
			"frozen_time: video track 0 (H.264): all 50 frames have the time 5s", "uneven_ends: the picture ends 9.96s before the sound",
		}},
		"no header":    {frames: []*av.Frame{video(0, true), video(40*ms, false)}, want: []string{"no_sequence_header: video track 0 (H.264) has no sequence header: nobody can decode it"}},
		"a bad header": {frames: append([]*av.Frame{{Kind: av.Audio, Type: av.Config, Codec: av.AAC, Payload: []byte{0xff}}}, sounds(50, aacFrame)...), want: []string{"bad_sequence_header: audio track 0 (AAC) has a sequence header that cannot be used: aac: reading the configuration: unexpected EOF"}},
		"a step back":  {frames: []*av.Frame{videoHeader, video(0, true), video(80*ms, false), video(40*ms, false)}, want: []string{"dts_backward: video track 0 (H.264): the decoding time goes back 1 time"}},
		"a gap": {frames: append(stream(pictures(100, 40*ms, 50), sounds(187, aacFrame)), shifted(stream(pictures(100, 40*ms, 50), sounds(187, aacFrame)), 8*second)[2:]...), want: []string{
			"gap: video track 0 (H.264): 1 gap of more than 1s, the longest 4.04s", "gap: audio track 0 (AAC): 1 gap of more than 1s, the longest 4.032s",
		}},
		"a jump":        {frames: joined, want: []string{"clock_jump: the clock jumps by 59m56.04s after 4s"}},
		"a clock again": {frames: again, want: []string{"clock_jump: the clock jumps by -3.96s after 4s"}},
		"a wrong key flag": {frames: with(good, slices.IndexFunc(good, (*av.Frame).IsKey), func(f *av.Frame) { f.Flags = 0 }), want: []string{
			"key_flag: video track 0 (H.264): the key-frame flag of 1 frame contradicts what the frame holds",
		}},
		"an offset":            {frames: stream(pictures(250, 40*ms, 50), shifted(sounds(468, aacFrame), 500*ms)), want: []string{"av_offset: audio and video begin 500ms apart"}},
		"a promise":            {frames: append([]*av.Frame{metadata(av.Track{Kind: av.Video, Codec: av.H264}, av.Track{Kind: av.Audio, Codec: av.AAC}), videoHeader}, pictures(50, 40*ms, 25)...), want: []string{"missing_track: the metadata promises audio, and none came"}},
		"no frames":            {frames: append([]*av.Frame{audioHeader, videoHeader}, pictures(50, 40*ms, 25)...), want: []string{"empty_track: audio track 0 (AAC) has a configuration but no frames"}},
		"60 declared, 55 come": {frames: framesAt(second/55, 100)},
		"60 declared, 20 come": {frames: framesAt(50*ms, 100), want: []string{"frame_rate: video track 0 (H.264): 20 frames a second come, and 60 are declared"}},
		"60 declared, 1 in 1.5 s": {frames: framesAt(1500*ms, 20), want: []string{
			"long_gop: video track 0 (H.264): no key frame for 15s: players wait for it, and HLS begins late", "frame_rate: video track 0 (H.264): 0.67 frames a second come, and 60 are declared",
		}},
		"sound too slow":              {frames: stream(pictures(250, 40*ms, 50), sounds(468, aacFrame*102/100)), want: []string{"drift: audio track 0 (AAC): 9.73s of sound in 9.92s of time stamps: it drifts 19.6ms a second from the picture"}},
		"sound too fast":              {frames: stream(pictures(250, 40*ms, 50), sounds(468, aacFrame*98/100)), want: []string{"drift: audio track 0 (AAC): 9.73s of sound in 9.53s of time stamps: it drifts 20.4ms a second from the picture"}},
		"a loss of sound is no drift": {frames: stream(pictures(250, 40*ms, 50), slices.Concat(sounds(200, aacFrame), sounds(468, aacFrame)[220:]))},
		"sound that falls behind":     {frames: later(good, 10), want: []string{"drift: the sound falls 5.09s behind the picture in 9.8s: it drifts 518.9ms a second"}},
		"a short track":               {frames: stream(pictures(250, 40*ms, 50), sounds(300, aacFrame)), want: []string{"uneven_ends: the sound ends 3.58s before the picture"}},
		"lengths that do not add up": {frames: with(good, 10, func(f *av.Frame) { f.Kind, f.Codec, f.Payload = av.Video, av.H264, []byte{0, 0, 0, 9, 0x41, 0x9a} }), want: []string{
			"corrupt_frames: video track 0 (H.264): 1 of 251 frames is damaged; the first one: the lengths of its NAL units do not add up",
		}},
		"zeros within a unit": {frames: with(good, 2, func(f *av.Frame) { f.Payload = []byte{0, 0, 0, 6, 0x65, 0x88, 0, 0, 0, 1} }), want: []string{
			"corrupt_frames: video track 0 (H.264): 1 of 250 frames is damaged; the first one: it holds bytes that no NAL unit may hold",
		}},
		"an empty frame": {frames: with(good, 4, func(f *av.Frame) { f.Payload = nil }), want: []string{"corrupt_frames: audio track 0 (AAC): 1 of 468 frames is damaged; the first one: it is empty"}},
		"sound that ends anyhow": {frames: with(with(good, 3, func(f *av.Frame) { f.Payload = []byte{0x21, 0x10, 0x0e} }), 4, func(f *av.Frame) { f.Payload = []byte{0x21, 0x10, 0x0c} }), want: []string{
			"corrupt_frames: audio track 0 (AAC): 1 of 468 frames is damaged; the first one: it does not end as a frame of AAC does",
		}},
		"a picture that drifts": {frames: slices.Concat([]*av.Frame{videoHeader, audioHeader}, drifting), want: []string{"drift: the sound falls 280ms behind the picture in 10.09s: it drifts 27.8ms a second"}},
		"start codes":           {frames: with(good, 2, func(f *av.Frame) { f.Payload = []byte{0, 0, 0, 1, 0x65, 0x88, 0x80} }), want: []string{"annex_b: video track 0 (H.264): 1 frame with start codes where lengths belong"}},
		"what the source says": {
			frames: good, condition: fetch.Condition{LeftOut: []string{"PCM audio", "timecode track"}, Damage: []string{"3 frames damaged"}, Truncated: true},
			want: []string{"unsupported_track: PCM audio cannot be carried, and is left out", "damage: 3 frames damaged", "truncated: the file ends within a frame"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Run(t.Context(), &made{frames: c.frames, condition: c.condition}, 0)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range r.Faults {
				if f.Advice == "" {
					t.Error("no advice for", f.Code)
				}
				got = append(got, f.Code+": "+f.Detail)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("it finds\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// TestFiguresLeaveOutJumpsAndGaps measures rates while frames come.
func TestFiguresLeaveOutJumpsAndGaps(t *testing.T) {
	for name, by := range map[string]time.Duration{"nothing": 4 * time.Second, "a gap": 9 * time.Second, "a jump": time.Hour, "back": -time.Hour} {
		first := stream(pictures(100, 40*ms, 50))
		r, err := Run(t.Context(), &made{frames: append(first, shifted(first[2:], by)...)}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if x := r.Tracks[0]; x.FrameRate != 25 || x.Bitrate != int64(len(idr)*8*25) {
			t.Errorf("%s: %v frames a second, %d bit/s", name, x.FrameRate, x.Bitrate)
		}
	}
}

// TestLiveStream is looked at for 5 s, and longer for its second key frame.
func TestLiveStream(t *testing.T) {
	for name, c := range map[string]struct {
		every int
		want  time.Duration
	}{"a GOP of 2 s": {100, 5 * time.Second}, "a GOP of 10 s": {500, 10 * time.Second}, "no second key frame": {5000, 12 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			s := &made{frames: append([]*av.Frame{videoHeader}, pictures(5000, 20*ms, c.every)...), live: true, closed: make(chan struct{})}
			r, err := Run(t.Context(), s, 0)
			if err != nil {
				t.Fatal(name, err)
			}
			if took := time.Since(begin); took < c.want || took > c.want+100*ms {
				t.Errorf("%s: it took %v, not %v", name, took, c.want)
			}
			if long := len(r.Faults) == 1 && r.Faults[0].Code == "long_gop"; long != (c.every > 250) {
				t.Errorf("%s: it finds %v", name, r.Faults)
			}
		})
	}
}

// TestLiveStreamThatStops ends for what goes on without a frame.
func TestLiveStreamThatStops(t *testing.T) {
	for name, c := range map[string]struct {
		frames []*av.Frame
		fails  bool
	}{"at once": {nil, true}, "headers alone": {[]*av.Frame{videoHeader}, true}, "after a second": {append([]*av.Frame{videoHeader}, pictures(50, 20*ms, 25)...), false}} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			s := &made{frames: c.frames, live: true, closed: make(chan struct{})}
			if _, err := Run(t.Context(), s, 0); (err != nil) != c.fails {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(begin); took != keySearch+grace {
				t.Errorf("%s: it took %v", name, took)
			}
		})
	}
}

// ffmpeg makes a file.
func ffmpeg(t *testing.T, file, args string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	full := append([]string{"-nostdin", "-v", "error"}, strings.Fields(args)...)
	if out, err := exec.CommandContext(ctx, "ffmpeg", append(full, file)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", args, err, out)
	}
}

// TestChroma has pictures of ffmpeg's that few can decode.
func TestChroma(t *testing.T) {
	const advice = ", which browsers, phones and televisions cannot decode"
	for args, want := range map[string]string{
		"-c:v libx264 -pix_fmt yuv420p":                               "",
		"-c:v libx264 -pix_fmt yuv444p":                               "chroma: video track 0 (H.264) has 4:4:4 chroma" + advice,
		"-c:v libx264 -pix_fmt yuv422p":                               "chroma: video track 0 (H.264) has 4:2:2 chroma" + advice,
		"-c:v libx264 -pix_fmt yuv420p10":                             "bit_depth: video track 0 (H.264) has 10 bits a sample" + advice + " in H.264",
		"-c:v libx265 -x265-params log-level=none -pix_fmt yuv444p":   "chroma: video track 0 (H.265) has 4:4:4 chroma" + advice,
		"-c:v libx265 -x265-params log-level=none -pix_fmt yuv420p10": "",
		"-c:v libvpx-vp9 -pix_fmt yuv444p":                            "chroma: video track 0 (VP9) has 4:4:4 chroma" + advice,
	} {
		file := filepath.Join(t.TempDir(), "x.mp4")
		ffmpeg(t, file, "-f lavfi -i testsrc2=size=64x48:rate=25:duration=1 "+args)
		got := ""
		for _, f := range look(t, file).Faults {
			got += f.Code + ": " + f.Detail
		}
		if got != want {
			t.Errorf("%s: it finds %q, not %q", args, got, want)
		}
	}
}

// TestSizeOfVP9 is in the key frame alone, which need not be the first frame.
func TestSizeOfVP9(t *testing.T) {
	frame := func(name string, typ av.Type, flags av.Flags, at time.Duration) *av.Frame {
		b, err := os.ReadFile("../../codec/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return &av.Frame{Kind: av.Video, Codec: av.VP9, Type: typ, Flags: flags, DTS: at, PTS: at, Payload: b}
	}
	r, err := Run(t.Context(), &made{frames: []*av.Frame{
		frame("vp9-0-1080.config", av.Config, 0, 0), frame("vp9-0-1080.inter", av.Media, 0, 0), frame("vp9-0-1080.key", av.Media, av.Key, 40*ms),
	}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if x := r.Tracks[0]; x.Width != 1920 || x.Height != 1080 || x.Profile == "" || x.Level == "" {
		t.Errorf("%dx%d, profile %q, level %q", x.Width, x.Height, x.Profile, x.Level)
	}
}

// TestTruncatedAndDamagedFiles cuts files of each format off, and overwrites some of their bytes.
func TestTruncatedAndDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	for name, args := range map[string]string{"x.ts": "", "x.mp4": "-movflags +faststart", "f.mp4": "-movflags +frag_keyframe+empty_moov"} {
		ffmpeg(t, filepath.Join(dir, name), "-i "+sample+" -c copy "+args)
	}
	flvFile, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.flv"), flvFile, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x.flv", "x.ts", "x.mp4", "f.mp4"} {
		whole, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		codes := func(b []byte) (list []string) {
			file := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, f := range look(t, file).Faults {
				list = append(list, f.Code)
			}
			return list
		}
		if got := codes(whole); len(got) > 0 {
			t.Errorf("%s: whole, it has %v", name, got)
		}
		if got := codes(whole[:len(whole)*2/3-1]); !slices.Contains(got, "truncated") {
			t.Errorf("%s: cut off, it has %v", name, got)
		}
		at := len(whole) / 2
		if got := codes(slices.Concat(whole[:at], bytes.Repeat([]byte{0}, 2000), whole[at+2000:])); !slices.Contains(got, "corrupt_frames") && !slices.Contains(got, "damage") {
			t.Errorf("%s: with zeros in the middle it has %v", name, got)
		}
	}
}

// TestLeadIsNoRate: the pictures with which a server lets a player begin at live, which come squeezed into a moment, count as pictures between
// two key frames, and their times do not count for rates.
func TestLeadIsNoRate(t *testing.T) {
	for _, every := range []int{100, 300} { // pictures of 20 ms
		synctest.Test(t, func(t *testing.T) {
			list := pictures(700, 20*ms, every)
			const squeezed = 60
			for i := range squeezed { // up to picture 60, which comes 1 ms behind
				list[i].DTS = list[squeezed].DTS - time.Duration(squeezed-i)*ms
				list[i].PTS = list[i].DTS
			}
			r, err := Run(t.Context(), &made{frames: append([]*av.Frame{videoHeader}, list...), live: true, closed: make(chan struct{})}, 0)
			if err != nil {
				t.Fatal(err)
			}
			x := r.Tracks[0]
			if want := int64(len(list[1].Payload)) * 8 * 50; x.FrameRate != 50 || x.Bitrate < want || x.Bitrate > want*11/10 {
				t.Errorf("%v frames a second, %d bit/s, not 50 and %d", x.FrameRate, x.Bitrate, want)
			}
			if seconds := float64(every) / 50; !slices.Equal(x.GOPFrames, []int{every, every}) || x.GOPSeconds != seconds {
				t.Errorf("key frames every %v frames and %v s, not %d and %v", x.GOPFrames, x.GOPSeconds, every, seconds)
			}
			if long := len(r.Faults) == 1 && r.Faults[0].Code == "long_gop"; long != (every == 300) {
				t.Errorf("it finds %v", r.Faults)
			}
		})
	}
}
