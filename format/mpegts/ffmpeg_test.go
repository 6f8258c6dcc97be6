package mpegts

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/av"
	"weir/format/flv"
)

// run runs a tool and returns what it printed. It fails the test if the tool is not
// there, fails, or complains.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, complaints.String())
	}
	if complaints.Len() > 0 {
		t.Errorf("%s %s: %s", name, strings.Join(args, " "), complaints.String())
	}
	return out.String()
}

// ffmpeg runs ffmpeg.
func ffmpeg(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "ffmpeg", append([]string{"-nostdin", "-v", "warning", "-y"}, args...)...)
}

// hash is a line of ffmpeg's framehash: a frame or packet of a stream.
type hash struct {
	Stream, PTS int64
	Sum         string
}

// hashes returns the frames of a file as ffmpeg reads it, times from the first frame on.
// With "copy" as codec they are packets, else they are decoded.
func hashes(t *testing.T, file string, args ...string) []hash {
	t.Helper()
	args = append([]string{"-i", file}, args...)
	out := ffmpeg(t, append(args, "-f", "framehash", "-hash", "md5", "-")...)
	var hs []hash
	for line := range strings.Lines(out) {
		fields := strings.Split(line, ",")
		if strings.HasPrefix(line, "#") || len(fields) < 6 {
			continue
		}
		stream, err := strconv.ParseInt(strings.TrimSpace(fields[0]), 10, 64)
		pts, err2 := strconv.ParseInt(strings.TrimSpace(fields[2]), 10, 64)
		if err != nil || err2 != nil {
			t.Fatalf("framehash %q", line)
		}
		hs = append(hs, hash{stream, pts, strings.TrimSpace(fields[5])})
	}
	if len(hs) == 0 {
		t.Fatalf("%s: no frames", file)
	}
	return hs
}

// sums returns the sums of one stream.
func sums(hs []hash, stream int64) []string {
	var s []string
	for _, h := range hs {
		if h.Stream == stream {
			s = append(s, h.Sum)
		}
	}
	return s
}

// relative makes times begin at the first.
func relative(hs []hash) []hash {
	first := hs[0].PTS
	for _, h := range hs {
		first = min(first, h.PTS)
	}
	for i := range hs {
		hs[i].PTS -= first
	}
	return hs
}

const (
	testVideo = "testsrc2=size=320x180:rate=25:duration=3"
	testSound = "sine=frequency=440:sample_rate=48000:duration=3"
)

// tracksOf returns the tracks that frames belong to, each as its configuration says.
func tracksOf(fs []av.Frame) []av.Track {
	var tracks []av.Track
next:
	for _, f := range fs {
		for i := range tracks {
			if t := &tracks[i]; t.Kind == f.Kind && t.ID == f.Track {
				if f.Type == av.Config {
					t.Config = f.Payload
				}
				continue next
			}
		}
		t := av.Track{Kind: f.Kind, ID: f.Track, Codec: f.Codec}
		if f.Type == av.Config {
			t.Config = f.Payload
		}
		tracks = append(tracks, t)
	}
	return tracks
}

func readFLV(t *testing.T, name string) []av.Frame {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var fs []av.Frame
	for r := flv.NewFrameReader(file); ; {
		f, err := r.ReadFrame()
		if errors.Is(err, io.EOF) {
			return fs
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind != av.Data {
			c := *f
			c.Payload = bytes.Clone(f.Payload)
			fs = append(fs, c)
		}
	}
}

func save(t *testing.T, name string, b []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestFFmpegReadsFromFLV writes H.264 with B frames and AAC from FLV; ffmpeg decodes the
// same from both.
func TestFFmpegReadsFromFLV(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.flv")
	ffmpeg(t, "-f", "lavfi", "-i", testVideo, "-f", "lavfi", "-i", testSound, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "25",
		"-bf", "3", "-preset", "veryfast", "-c:a", "aac", "-ac", "2", "-shortest", in)
	fs := readFLV(t, in)
	for _, o := range []Options{{}, {Gather: MaxGather}} {
		out := save(t, "out.ts", write(t, newMuxer(t, o, tracksOf(fs)...), fs))
		for stream := range 2 {
			want := hashes(t, in, "-map", "0:"+strconv.Itoa(stream))
			got := hashes(t, out, "-map", "0:"+strconv.Itoa(stream))
			if d := cmp.Diff(sums(want, 0), sums(got, 0)); d != "" {
				t.Errorf("%+v, stream %d: %s", o, stream, d)
			}
		}
		// The packets of sound are the same, ADTS headers apart; and nothing moved.
		want := hashes(t, in, "-map", "0:a", "-c", "copy")
		got := hashes(t, out, "-map", "0:a", "-c", "copy", "-bsf:a", "aac_adtstoasc")
		if d := cmp.Diff(sums(want, 0), sums(got, 0)); d != "" {
			t.Errorf("%+v: packets of sound: %s", o, d)
		}
		probe := run(t, "ffprobe", "-v", "warning", "-show_entries", "stream=codec_name,width,height,sample_rate,channels", "-of", "csv=p=0", out)
		if want := "h264,320,180\naac,48000,2"; !strings.Contains(probe, want) {
			t.Errorf("ffprobe says %q, not %q", probe, want)
		}
	}
}

// TestFFmpegWroteAndReads reads what ffmpeg's own muxer wrote, writes it again, and has
// ffmpeg read both: streams, times and decoded frames are the same.
func TestFFmpegWroteAndReads(t *testing.T) {
	video := []string{"-f", "lavfi", "-i", testVideo}
	sound := []string{"-f", "lavfi", "-i", testSound}
	for _, c := range []struct {
		name   string
		args   []string
		codecs []av.Codec
	}{
		{"h264-bframes aac", append(append(video, sound...), "-c:v", "libx264", "-bf", "3", "-g", "25", "-pix_fmt", "yuv420p", "-preset", "veryfast", "-c:a", "aac"), []av.Codec{av.H264, av.AAC}},
		{"h265-bframes ac3", append(append(video, sound...), "-c:v", "libx265", "-g", "25", "-x265-params", "log-level=error:bframes=3", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "ac3"), []av.Codec{av.H265, av.AC3}},
		{"h264-intra-only-slices mp3", append(append(video, sound...), "-c:v", "libx264", "-slices", "4", "-bf", "0", "-g", "1", "-pix_fmt", "yuv420p", "-preset", "veryfast", "-c:a", "libmp3lame"), []av.Codec{av.H264, av.MP3}},
		{"eac3", append(sound, "-c:a", "eac3", "-ac", "6"), []av.Codec{av.EAC3}},
		{"opus", append(sound, "-c:a", "libopus", "-ac", "2"), []av.Codec{av.Opus}},
		{"opus-6", append(sound, "-c:a", "libopus", "-ac", "6", "-frame_duration", "60"), []av.Codec{av.Opus}},
		{"aac-16k", append(sound, "-c:a", "aac", "-ar", "16000", "-ac", "1"), []av.Codec{av.AAC}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := filepath.Join(t.TempDir(), "in.ts")
			ffmpeg(t, append(append([]string{"-v", "error"}, c.args...), in)...) // it warns of its own choices
			fs, counters := demux(read(t, in))
			if counters != (Counters{Packets: counters.Packets}) {
				t.Errorf("counters %+v", counters)
			}
			tracks := tracksOf(fs)
			if len(tracks) != len(c.codecs) {
				t.Fatalf("tracks %v", tracks)
			}
			for i, track := range tracks {
				if track.Codec != c.codecs[i] {
					t.Errorf("track %d is %v", i, track.Codec)
				}
			}
			out := save(t, "out.ts", write(t, newMuxer(t, Options{}, tracks...), fs))
			for i := range tracks {
				stream := "0:" + strconv.Itoa(i)
				want := relative(hashes(t, in, "-map", stream))
				got := relative(hashes(t, out, "-map", stream))
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("stream %d: %s", i, d)
				}
				if tracks[i].Kind == av.Audio {
					want := relative(hashes(t, in, "-map", stream, "-c", "copy"))
					got := relative(hashes(t, out, "-map", stream, "-c", "copy"))
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("packets of stream %d: %s", i, d)
					}
				}
			}
		})
	}
}
