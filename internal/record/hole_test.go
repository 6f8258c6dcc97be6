package record

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"weir/av"
	"weir/internal/event"
)

// encodeMP3 returns 6 s of H.264 with a key frame every second, and MP3, for which there is no silent frame.
func encodeMP3(t *testing.T) []av.Frame {
	t.Helper()
	return made(t, "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=6", "-f", "lavfi", "-i", "sine=sample_rate=44100:duration=6",
		"-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "25", "-bf", "2", "-preset", "veryfast", "-c:a", "libmp3lame", "-ac", "2")
}

// without leaves out the frames of a kind from one time to another.
func without(frames []av.Frame, kind av.Kind, from, to time.Duration) []av.Frame {
	return slices.DeleteFunc(slices.Clone(frames), func(f av.Frame) bool { return f.Kind == kind && f.Type == av.Media && f.DTS >= from && f.DTS < to })
}

// TestHolesInTheSound: a hole that cannot be filled with silence ends the file, at the key frame before which the sound ends if there is one in the hole, and
// no frame is lost. One that can be filled does not.
func TestHolesInTheSound(t *testing.T) {
	mp3, aac := encodeMP3(t), encode(t, 6, "320x180", 44100).frames
	soundOnly := slices.DeleteFunc(slices.Clone(mp3), func(f av.Frame) bool { return f.Kind != av.Audio })
	for _, c := range []struct {
		name   string
		frames []av.Frame
		format string
		files  int
		first  float64 // how long the first one is
		sound  float64 // when it begins in the second one
	}{
		{"a key frame in the hole", without(mp3, av.Audio, 2500*time.Millisecond, 3500*time.Millisecond), "mp4", 2, 3, 0.42},
		{"a key frame behind it", without(mp3, av.Audio, 2200*time.Millisecond, 2700*time.Millisecond), "mp4", 2, 3, 0},
		{"sound alone", without(soundOnly, av.Audio, 2*time.Second, 3500*time.Millisecond), "mp4", 2, 2, 0},
		{"no hole", mp3, "mp4", 1, 6, 0},
		{"the sound ends", without(mp3, av.Audio, 3*time.Second, time.Hour), "mp4", 1, 6, 0},
		{"silence", without(aac, av.Audio, 2500*time.Millisecond, 3500*time.Millisecond), "mp4", 1, 6, 0},
		{"times are written", without(mp3, av.Audio, 2500*time.Millisecond, 3500*time.Millisecond), "flv", 1, 6, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(e *Config) { e.Format = c.format })
			r.send(r.publish("live/cam"), c.frames, 0, 0)
			names := r.whole()
			if len(names) != c.files {
				t.Fatalf("%d files", len(names))
			}
			if got := length(t, names[0]); math.Abs(got-c.first) > 0.1 {
				t.Errorf("the first file has %v s instead of %v", got, c.first)
			}
			if len(names) > 1 {
				a := packets(t, names[1], "a")
				if math.Abs(a[0].pts-c.sound) > 0.06 {
					t.Errorf("in the second one the sound begins at %v instead of %v", a[0].pts, c.sound)
				}
			}
			sent, kept := 0, 0
			for _, f := range c.frames {
				if f.Type == av.Media {
					sent++
				}
			}
			for _, name := range names {
				kept += len(packets(t, name, "v")) + len(packets(t, name, "a"))
			}
			if kept < sent || c.name != "silence" && kept > sent {
				t.Errorf("%d frames of %d", kept, sent)
			}
		})
	}
}

// TestCut: the API ends a file at the next key frame, where the next one begins under the id that was answered; no frame is lost.
func TestCut(t *testing.T) {
	r := newRig(t, nil)
	sent := encode(t, 4, "320x180", 48000)
	if _, err := r.m.Cut("live/cam", "main"); !errors.Is(err, ErrNoStream) {
		t.Error(err)
	}
	p := r.publish("live/cam")
	middle := slices.IndexFunc(sent.frames, func(f av.Frame) bool { return f.DTS > 2500*time.Millisecond })
	r.send(p, sent.frames[:middle], 0, 0)
	begun := r.wait(event.RecordingStart, 1)
	first, err := r.m.Cut("live/cam", "main")
	if err != nil || first.ID != begun.Data["id"] || first.Next == "" || first.Next == first.ID || first.State != "recording" {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, err := r.m.Cut("live/cam", "main"); err != nil || again.ID != first.ID || again.Next != first.Next {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := r.m.Cut("live/cam", "none"); !errors.Is(err, ErrNoEntry) {
		t.Error(err)
	}
	r.send(p, sent.frames[middle:], 0, 0)
	next := r.wait(event.RecordingStart, 2)
	if next.Data["id"] != first.Next {
		t.Errorf("the next file is %v instead of %s", next.Data["id"], first.Next)
	}
	if _, err := r.m.Stop(context.Background(), "live/cam", "main"); err != nil {
		t.Error(err)
	}
	if _, err := r.m.Cut("live/cam", "main"); !errors.Is(err, ErrOff) {
		t.Error(err)
	}
	names := r.whole()
	if len(names) != 2 {
		t.Fatalf("%d files", len(names))
	}
	same(t, sent, "v", names...)
	same(t, sent, "a", names...)
	if v := packets(t, names[1], "v"); !v[0].key {
		t.Error("the second file begins without a key frame")
	}
}
