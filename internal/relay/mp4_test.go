package relay

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/av"
)

// encode has ffmpeg write a second of picture and sound, with the arguments for both.
func encode(t *testing.T, file, args string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	full := []string{
		"-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=128x96:rate=25:duration=1",
		"-f", "lavfi", "-i", "sine=sample_rate=48000:duration=1", "-pix_fmt", "yuv420p", "-ac", "2",
	}
	full = append(append(full, strings.Fields(args)...), file)
	if out, err := exec.CommandContext(ctx, "ffmpeg", full...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", args, err, out)
	}
}

// TestMP4OfEachCodec copies MP4 files into FLV, which has no tag headers to go by: what is read
// from there is the same, and so are its times to a millisecond.
func TestMP4OfEachCodec(t *testing.T) {
	for _, c := range []struct {
		args         string
		video, audio av.Codec
	}{
		{"-c:v libx264 -bf 2 -preset veryfast -c:a aac", av.H264, av.AAC},
		{"-c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1 -c:a libmp3lame", av.H265, av.MP3},
		{"-c:v libsvtav1 -preset 12 -c:a libopus", av.AV1, av.Opus},
		{"-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a flac -strict -2", av.VP9, av.FLAC},
		{"-c:v libx264 -preset veryfast -c:a ac3", av.H264, av.AC3},
		{"-c:v libx264 -preset veryfast -c:a eac3", av.H264, av.EAC3},
	} {
		t.Run(c.video.String()+" "+c.audio.String(), func(t *testing.T) {
			in, out := filepath.Join(t.TempDir(), "in.mp4"), filepath.Join(t.TempDir(), "out.flv")
			encode(t, in, c.args)
			if _, err := Copy(t.Context(), from(in), to(out), Options{Unpaced: true}); err != nil {
				t.Fatal(err)
			}
			want, got := frames(t, in), frames(t, out)
			for kind, codec := range map[av.Kind]av.Codec{av.Video: c.video, av.Audio: c.audio} {
				w, g := only(want, kind), only(got, kind)
				if len(w) == 0 || len(w) != len(g) {
					t.Fatalf("%d frames of %v became %d", len(w), codec, len(g))
				}
				for i := range w {
					if g[i].Codec != codec || !bytes.Equal(w[i].Payload, g[i].Payload) || w[i].IsKey() != g[i].IsKey() {
						t.Fatalf("%v: frame %d is another one: %v of %d bytes, not %d", codec, i, g[i].Codec, len(g[i].Payload), len(w[i].Payload))
					}
					if d := g[i].PTS - w[i].PTS; d.Abs() > time.Millisecond {
						t.Fatalf("%v: frame %d is shown at %v, not %v", codec, i, g[i].PTS, w[i].PTS)
					}
				}
			}
		})
	}
}

// TestPushMP4 sends MP4 files to a server, in a loop; what a player gets is a run of what the
// file holds.
func TestPushMP4(t *testing.T) {
	for name, args := range map[string]string{
		"H.264 and AAC":   "-c:v libx264 -bf 2 -g 25 -preset veryfast -c:a aac",
		"AV1 and Opus":    "-c:v libsvtav1 -preset 12 -g 25 -c:a libopus",
		"a fragment each": "-c:v libx264 -g 25 -preset veryfast -c:a aac -movflags +frag_every_frame+empty_moov+delay_moov",
	} {
		t.Run(name, func(t *testing.T) {
			rtmpURL, _, _ := serve(t)
			file := filepath.Join(t.TempDir(), "in.mp4")
			encode(t, file, args)
			ctx, stop := context.WithCancel(t.Context())
			pushed := make(chan error, 1)
			go func() {
				_, err := Copy(ctx, from(file), to(rtmpURL), Options{Loop: true, Speed: 2})
				pushed <- err
			}()
			out := filepath.Join(t.TempDir(), "out.flv")
			s, err := Copy(ctx, from(rtmpURL), to(out), Options{Frames: 150, Unpaced: true})
			if err != nil || s.Frames != 150 {
				t.Error(s, err)
			} else {
				compare(t, frames(t, out), frames(t, file))
			}
			stop()
			if err := <-pushed; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStart begins at the same key frame of a file in each format, whatever its clock begins with.
func TestStart(t *testing.T) {
	mp4 := filepath.Join(t.TempDir(), "in.mp4")
	ts := filepath.Join(t.TempDir(), "in.ts")
	for file, flags := range map[string]string{mp4: "", ts: " -muxdelay 5"} {
		encode(t, file, "-c:v libx264 -g 5 -bf 0 -preset veryfast -c:a aac"+flags)
		out := filepath.Join(t.TempDir(), "out.flv")
		if _, err := Copy(t.Context(), from(file), to(out), Options{Start: 500 * time.Millisecond, Unpaced: true}); err != nil {
			t.Fatal(err)
		}
		v := only(frames(t, out), av.Video)
		if len(v) == 0 || !v[0].IsKey() || len(v) < 6 || len(v) > 12 {
			t.Errorf("%s: %d frames", filepath.Ext(file), len(v))
		}
	}
}
