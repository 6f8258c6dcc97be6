package fmp4

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/codec"
	"weir/format/flv"
)

// guess is what ffmpeg says of seven channels, whose layout AAC does not tell.
var guess = regexp.MustCompile(`(?m)^Guessed Channel Layout.*$`)

// ffmpeg runs ffmpeg and returns what it printed; complaints fail the test.
func ffmpeg(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-nostdin", "-v", "warning", "-y"}, args...)...)
	cmd.Env = append(os.Environ(), "SVT_LOG=1") // which else talks of itself
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	rest := strings.TrimSpace(guess.ReplaceAllString(complaints.String(), ""))
	if err != nil || rest != "" {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, complaints.String())
	}
	return out.String()
}

// ffprobe returns the names of a file's codecs; complaints fail the test.
func ffprobe(t *testing.T, name string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffprobe", "-v", "warning", "-show_entries", "stream=codec_name", "-of", "csv=p=0", name)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("ffprobe: %v\n%s", err, complaints.String())
	}
	return out.String()
}

// sums returns the hash of each packet of a stream in a file, or of each decoded frame.
func sums(t *testing.T, file, stream string, decoded bool) (list []string) {
	t.Helper()
	var args []string
	if strings.HasSuffix(file, ".mp4") {
		args = append(args, "-ignore_editlist", "1")
	}
	args = append(args, "-i", file, "-map", stream)
	if !decoded {
		args = append(args, "-c", "copy")
	}
	for line := range strings.Lines(ffmpeg(t, append(args, "-f", "framehash", "-hash", "md5", "-")...)) {
		if fields := strings.Split(line, ","); len(fields) >= 6 && line[0] != '#' {
			list = append(list, strings.TrimSpace(fields[5]))
		}
	}
	return list
}

// readFLV returns the frames of a file.
func readFLV(t *testing.T, name string) (frames []*av.Frame) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := flv.NewFrameReader(file)
	for {
		f, err := r.ReadFrame()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		c := *f
		frames = append(frames, &c)
	}
}

// write makes a file of frames, with the tracks that their configurations tell.
func write(t *testing.T, frames []*av.Frame) string {
	t.Helper()
	var tracks []Track
	for _, f := range frames {
		if f.Type != av.Config {
			continue
		}
		d, err := codec.Describe(f.Codec, f.Kind, f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		tracks = append(tracks, Track{Track: d, ID: uint32(len(tracks) + 1)})
	}
	return writeTracks(t, tracks, frames)
}

// writeTracks makes a file of frames, with a fragment for every few of them.
func writeTracks(t *testing.T, tracks []Track, frames []*av.Frame) string {
	t.Helper()
	index := map[av.Kind]int{}
	for i := range tracks {
		index[tracks[i].Kind] = i
	}
	b, err := AppendInit(nil, tracks)
	if err != nil {
		t.Fatal(err)
	}
	samples := make([][]*av.Frame, len(tracks))
	for _, f := range frames {
		if i, ok := index[f.Kind]; ok && f.Type == av.Media {
			samples[i] = append(samples[i], f)
		}
	}
	const perFragment = 10
	for n, sequence := 0, uint32(1); ; sequence++ {
		var runs []Run
		for i := range tracks {
			run := Run{ID: tracks[i].ID}
			scale := int64(tracks[i].timescale())
			for k := n; k < min(n+perFragment, len(samples[i])); k++ {
				f := samples[i][k]
				at, next := av.Ticks(f.DTS, scale), av.Ticks(f.DTS+20*time.Millisecond, scale)
				if k+1 < len(samples[i]) {
					next = av.Ticks(samples[i][k+1].DTS, scale)
				}
				if len(run.Samples) == 0 {
					run.DTS = at
				}
				payload, ok := SamplePayload(tracks[i].Track, f)
				if !ok || &payload[0] != &f.Payload[0] {
					t.Fatal("a payload was repaired")
				}
				run.Samples = append(run.Samples, Sample{
					Duration: uint32(next - at), CTS: int32(av.Ticks(f.PTS, scale) - at), Key: f.IsKey() || f.Kind == av.Audio, Payload: payload,
				})
			}
			if len(run.Samples) > 0 {
				runs = append(runs, run)
			}
		}
		if len(runs) == 0 {
			break
		}
		if b, err = AppendFragment(b, sequence, runs); err != nil {
			t.Fatal(err)
		}
		n += perFragment
	}
	name := filepath.Join(t.TempDir(), "out.mp4")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestFFmpegReads has ffmpeg read what was written: the packets and the pictures are those of the source.
func TestFFmpegReads(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.flv")
	ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3", "-f", "lavfi", "-i", "sine=sample_rate=48000:duration=3",
		"-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "25", "-bf", "2", "-preset", "veryfast", "-c:a", "aac", "-ac", "2", in)
	out := write(t, readFLV(t, in))
	for _, stream := range []string{"0:v", "0:a"} {
		for _, decoded := range []bool{false, true} {
			want, got := sums(t, in, stream, decoded), sums(t, out, stream, decoded)
			if len(want) == 0 || strings.Join(want, "\n") != strings.Join(got, "\n") {
				t.Errorf("%s, decoded %v: %d frames became %d, or others", stream, decoded, len(want), len(got))
			}
		}
	}
}
