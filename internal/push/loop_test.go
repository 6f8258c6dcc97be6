package push

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/rtmp"
)

// loopFrom is the number of the first picture of loops; those behind it count on.
const loopFrom = 100000

// loopFile writes an FLV file of n pictures with the stream's parameters, 25 a second with a key frame each second, and if asked so with
// its sound. change may change it.
func loopFile(t *testing.T, n int, sound bool, change func(b []byte) []byte) string {
	t.Helper()
	b := flv.AppendFileHeader(nil, true, sound)
	b = flv.AppendTag(b, flv.TagVideo, 0, nil, append([]byte{0x17, 0, 0, 0, 0}, avcConfig...))
	if sound {
		b = flv.AppendTag(b, flv.TagAudio, 0, nil, append([]byte{0xaf, 0}, ascConfig...))
	}
	heard := 0
	for i := range n {
		head, nal := []byte{0x27, 1, 0, 0, 0}, byte(0x41)
		if i%25 == 0 {
			head[0], nal = 0x17, 0x65
		}
		b = flv.AppendTag(b, flv.TagVideo, uint32(i*40), nil, append(head, picture(nal, loopFrom+i)...))
		for ; sound && heard*1024*1000/44100 < (i+1)*40; heard++ {
			b = flv.AppendTag(b, flv.TagAudio, uint32(heard*1024*1000/44100), nil, binary.BigEndian.AppendUint32([]byte{0xaf, 1, 0x21}, uint32(loopFrom+heard)))
		}
	}
	if change != nil {
		b = change(b)
	}
	name := filepath.Join(t.TempDir(), "slate.flv")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// heardNumber is that of a frame of sound, -1 of other messages.
func heardNumber(m *rtmp.Message) int {
	if m.Type != rtmp.TypeAudio || len(m.Payload) != 7 || m.Payload[1] != 1 {
		return -1
	}
	return int(binary.BigEndian.Uint32(m.Payload[3:]))
}

// TestSlateLoop: while the publisher is away the target is sent what is in the file again and again, in its order and from its key frame
// on; then it goes on with the publisher's key frame. Times have no hole and never fall, and sound goes on beside the pictures.
func TestSlateLoop(t *testing.T) {
	const round = 50
	name := loopFile(t, round, true, nil)
	for kind, sound := range map[string]bool{"with its sound": true, "with silence": false} {
		t.Run(kind, func(t *testing.T) {
			name := name
			if !sound {
				name = loopFile(t, round, false, nil)
			}
			synctest.Test(t, func(t *testing.T) {
				d := newDouble(t)
				w := newWorld(t, func(o *Options) { o.Dial = d.dial }, with(to("it", "rtmp://h.example/live", "cam"), func(c *Config) { c.Slate = name }))
				first := w.publish("live/cam", "p1")
				first.run(3 * time.Second)
				first.pub.Close(nil)
				time.Sleep(10 * time.Second)
				second := w.publish("live/cam", "p2")
				second.n = 1000
				early := &av.Frame{Kind: av.Audio, Codec: av.AAC, Flags: av.Key, DTS: 39960 * time.Millisecond, PTS: 39960 * time.Millisecond, Payload: []byte{0x21, 0, 0, 0, 0}}
				second.write(early) // sound comes a little before the first key frame
				second.run(3 * time.Second)
				if len(d.list()) != 1 || len(w.status().Notes) != 0 {
					t.Fatalf("%d sessions, %+v", len(d.list()), w.status().Notes)
				}
				var pictures, sounds []int
				at := map[rtmp.MessageType][]uint32{}
				for _, m := range d.list()[0].got() {
					if m.Type == rtmp.TypeData || m.Payload[1] == 0 {
						continue
					}
					at[m.Type] = append(at[m.Type], m.Timestamp)
					if n := number(&m); n >= 0 {
						pictures = append(pictures, n)
					}
					if n := heardNumber(&m); n >= loopFrom {
						sounds = append(sounds, n-loopFrom)
					}
				}
				for typ, most := range map[rtmp.MessageType]uint32{rtmp.TypeVideo: 90, rtmp.TypeAudio: 90} {
					for i, x := range at[typ] {
						if i > 0 && (x <= at[typ][i-1] || x > at[typ][i-1]+most) {
							t.Errorf("time of %v goes from %d to %d", typ, at[typ][i-1], x)
						}
					}
				}
				shown := 0
				for i, n := range pictures {
					want := shown
					switch {
					case n >= loopFrom:
						want = loopFrom + shown%round
						shown++
					case n >= 1000 && shown > 0 && pictures[i-1] >= loopFrom:
						want = 1000
					case i > 0:
						want = pictures[i-1] + 1
					}
					if n != want {
						t.Fatalf("picture %d is %d, not %d", i, n, want)
					}
				}
				if shown < 240 || shown > 255 {
					t.Errorf("%d pictures of the loop came in 10 s", shown)
				}
				if !sound {
					if len(sounds) > 0 {
						t.Errorf("there is sound of the loop")
					}
					return
				}
				if len(sounds) < 420 || len(sounds) > 440 { // 43 a second
					t.Errorf("%d frames of sound of the loop came in 10 s", len(sounds))
				}
				jumps := 0
				for i := 1; i < len(sounds); i++ {
					if sounds[i] != sounds[i-1]+1 {
						jumps++
						if sounds[i] > 1 || sounds[i-1] < 84 { // 86 are in a round
							t.Errorf("sound goes from %d to %d", sounds[i-1], sounds[i])
						}
					}
				}
				if jumps < 4 || jumps > 10 {
					t.Errorf("sound begins anew %d times in 5 rounds", jumps)
				}
			})
		})
	}
}

// TestSlateLoopDoesNotFit: a file whose codecs or parameters are not the stream's, or that is gone, is not sent; what is wrong is said in
// a sentence, once, and the last key frame is repeated.
func TestSlateLoopDoesNotFit(t *testing.T) {
	other := func(from, to string) func([]byte) []byte {
		return func(b []byte) []byte { return []byte(strings.Replace(string(b), from, to, 1)) }
	}
	gone := loopFile(t, 50, true, nil)
	for name, c := range map[string]struct{ file, says string }{
		"other parameters": {loopFile(t, 50, true, other(string(avcConfig[len(avcConfig)-2:]), "\x68\xcf")), "the parameters of its H.264 are not the stream's: make it with the same encoder and the same settings"},
		"other sound":      {loopFile(t, 50, true, other("\xaf\x00\x12\x10", "\xaf\x00\x11\x90")), "its sound has 48000 Hz and 2 channels, and the stream's has 44100 Hz and 2"},
		"gone":             {gone, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if name == "gone" {
					if err := os.Remove(gone); err != nil {
						t.Fatal(err)
					}
				}
				d := newDouble(t)
				w := newWorld(t, func(o *Options) { o.Dial = d.dial }, with(to("it", "rtmp://h.example/live", "cam"), func(to *Config) { to.Slate = c.file }))
				s := w.publish("live/cam", "p1")
				s.run(3 * time.Second)
				notes := w.status().Notes
				if len(notes) != 1 || !strings.Contains(notes[0].Sentence, c.says) || !strings.HasSuffix(notes[0].Sentence, "; the last key frame is repeated instead") || notes[0].Setting == "" {
					t.Errorf("%+v", notes)
				}
				if n := strings.Count(w.log.String(), "the slate is not used"); n != 1 || !strings.Contains(w.log.String(), c.says) {
					t.Errorf("it is said %d times: %s", n, w.log)
				}
				s.pub.Close(nil)
				time.Sleep(10 * time.Second)
				repeats := 0
				for _, m := range d.list()[0].got() {
					if n := number(&m); n >= loopFrom {
						t.Fatal("it is sent all the same")
					} else if n == 50 {
						repeats++
					}
				}
				if repeats < 9 {
					t.Errorf("the last key frame came %d times", repeats)
				}
			})
		})
	}
}

// TestCheckSlate: what is no slate is refused with a sentence, when the configuration is checked and by the API.
func TestCheckSlate(t *testing.T) {
	folder := t.TempDir()
	file := func(name string, size int64, text string) string {
		name = filepath.Join(folder, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if size > 0 {
			if err := os.Truncate(name, size); err != nil {
				t.Fatal(err)
			}
		}
		return name
	}
	if err := os.Mkdir(filepath.Join(folder, "folder.ts"), 0o700); err != nil {
		t.Fatal(err)
	}
	long := func(b []byte) []byte {
		return flv.AppendTag(b, flv.TagVideo, 600*1000, nil, append([]byte{0x27, 1, 0, 0, 0}, picture(0x41, 1)...))
	}
	change := func(b []byte) []byte {
		config := append([]byte{0x17, 0, 0, 0, 0}, avcConfig...)
		config[len(config)-1]++
		return flv.AppendTag(b, flv.TagVideo, 4000, nil, config)
	}
	for name, says := range map[string]string{
		loopFile(t, 50, true, nil):                     "",
		loopFile(t, 1, false, nil):                     "",
		filepath.Join(folder, "none.flv"):              "no such file",
		filepath.Join(folder, "folder.ts"):             "not a regular file",
		file("empty.flv", 0, ""):                       "the file is empty",
		file("text.mp4", 0, strings.Repeat("x", 5000)): "neither FLV, MP4, MPEG-TS nor an HLS playlist",
		file("large.ts", maxLoop+1, ""):                "it has more than 64 MiB",
		loopFile(t, 0, false, nil):                     "there is no key frame of video in it, and no sound",
		loopFile(t, 50, false, long):                   "it is longer than 10m0s",
		loopFile(t, 50, false, change):                 "the parameters of its H.264 change within it",
		loopFile(t, 50, false, func(b []byte) []byte { return []byte(strings.Replace(string(b), "\x17\x00", "\x17\x02", 1)) }): "the parameters of its H.264 are missing",
	} {
		err := CheckSlate(name)
		if (err == nil) != (says == "") || err != nil && (!strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), name)) {
			t.Errorf("%s: %v, want %q", filepath.Base(name), err, says)
		}
		c := with(to("x", "rtmp://h.example/live", "cam"), func(c *Config) { c.Slate = name })
		if err := c.Validate(); err != nil { // which files are read is decided elsewhere
			t.Errorf("%s: %v", name, err)
		}
		w := newWorld(t, nil)
		_, err = w.m.Add("live/cam", c)
		wrong, isWrong := errors.AsType[*InvalidError](err)
		if (err == nil) != (says == "") || err != nil && (!isWrong || !strings.Contains(wrong.Error(), says)) {
			t.Errorf("%s, by the API: %v", name, err)
		}
	}
	for _, slate := range []string{"x.avi", "on", "x", "https://h.example/x.ts", strings.Repeat("x", maxLoopName) + ".ts"} {
		c := with(to("x", "rtmp://h.example/live", "cam"), func(c *Config) { c.Slate = slate })
		if err := c.Validate(); err == nil || !strings.Contains(fmt.Sprint(err), "nor the name of a file that ends with .flv, .mp4, .ts") {
			t.Errorf("%.20s: %v", slate, err)
		}
	}
}

// TestLoopsAreShared: targets have a file in memory once, and again only when it has changed.
func TestLoopsAreShared(t *testing.T) {
	w := newWorld(t, nil)
	name := loopFile(t, 50, true, nil)
	one, err := w.m.loops.get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := w.m.loops.get(t.Context(), name); other != one || err != nil {
		t.Error("it is read twice", err)
	}
	if err := os.Chtimes(name, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if other, err := w.m.loops.get(t.Context(), name); other == one || err != nil {
		t.Error("a change is not seen", err)
	}
}

// TestRounds: a round is as long as its frames, and the last of them as long as the others; the sound that belongs to a time is the frame that
// is nearest to it.
func TestRounds(t *testing.T) {
	frames := func(times ...time.Duration) (list []av.Frame) {
		for _, at := range times {
			list = append(list, av.Frame{DTS: at * time.Millisecond})
		}
		return list
	}
	for _, c := range []struct {
		list []av.Frame
		want time.Duration
	}{
		{frames(0), 1000}, {frames(0, 0), 1000}, {frames(0, 40), 80}, {frames(0, 40, 80, 120), 160}, {frames(0, 100, 120), 180},
	} {
		if got := roundOf(c.list); got != c.want*time.Millisecond {
			t.Errorf("%v: %v, want %d ms", c.list, got, c.want)
		}
	}
	l := &loop{step: 20 * time.Millisecond}
	l.frames[av.Audio] = frames(0, 20, 40, 60)
	for at, want := range map[time.Duration]int{0: 0, 10: 0, 11: 1, 29: 1, 30: 1, 31: 2, 60: 3, 1000: 3} {
		if got := l.soundAt(at * time.Millisecond); got != want {
			t.Errorf("at %d ms: %d, want %d", at, got, want)
		}
	}
}
