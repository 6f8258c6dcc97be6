package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/format/fmp4"
	"weir/internal/server"
	"weir/rtmp"
)

// codecPairs are media that ffmpeg encodes, and over what they are played: where the
// container keeps payloads as they are, packets are compared, else ("decoded") pictures.
var codecPairs = []struct {
	name, video, audio string
	ts                 bool
}{
	{"H.264, AAC", "libx264 -bf 2 -preset veryfast", "aac", true},
	{"H.264, MP3", "libx264 -preset veryfast", "libmp3lame", true},
	{"H.265, AC-3", "libx265 -x265-params log-level=none -preset ultrafast -tag:v hvc1", "ac3", true},
	{"H.265, E-AC-3", "libx265 -x265-params log-level=none -preset ultrafast -tag:v hvc1", "eac3", true},
	{"AV1, Opus", "libsvtav1 -preset 12", "libopus", false},
	{"VP9, FLAC", "libvpx-vp9 -deadline realtime -cpu-used 8", "flac -strict -2", false},
}

// mp4Messages are the frames of an MP4 file as a publisher sends them.
func mp4Messages(t *testing.T, name string) (list []rtmp.Message) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := fmp4.NewReader(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		header, ok := flv.AppendHeader(nil, frame, flv.Form{})
		if !ok {
			t.Fatalf("%v is no message", frame.Codec)
		}
		m := rtmp.Message{Type: rtmp.TypeVideo, Timestamp: av.Milliseconds(frame.DTS), Payload: append(header, frame.Payload...)}
		if frame.Kind == av.Audio {
			m.Type = rtmp.TypeAudio
		}
		list = append(list, m)
	}
}

// hashes returns what ffmpeg finds in a file or at a URL: the hash of each packet of a
// stream, or of each decoded frame.
func hashes(t *testing.T, from, stream string, decoded bool) (sums []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := []string{"-nostdin", "-v", "error"}
	if strings.Contains(from, ".m3u8") {
		args = append(args, "-live_start_index", "0")
	} else if strings.HasSuffix(from, ".mp4") {
		args = append(args, "-ignore_editlist", "1")
	}
	args = append(args, "-i", from, "-map", stream)
	if !decoded {
		args = append(args, "-c", "copy")
	}
	cmd := exec.CommandContext(ctx, "ffmpeg", append(args, "-f", "framehash", "-hash", "md5", "-")...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil || said.Len() > 0 {
		t.Errorf("ffmpeg %s: %v %s", strings.Join(args, " "), err, said.String())
	}
	for line := range strings.Lines(out.String()) {
		if fields := strings.Split(line, ","); len(fields) >= 6 && line[0] != '#' {
			sums = append(sums, strings.TrimSpace(fields[5]))
		}
	}
	return sums
}

// TestCodecPairs publishes media of every codec that HLS can carry, and plays it by HLS in
// fragmented MP4, and by HLS and HTTP in MPEG-TS where that can carry it: ffmpeg finds
// what was encoded, from some key frame on to the end.
func TestCodecPairs(t *testing.T) {
	for _, c := range codecPairs {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := filepath.Join(t.TempDir(), "in.mp4")
			args := []string{
				"-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25:duration=8",
				"-f", "lavfi", "-i", "sine=sample_rate=48000:duration=8", "-pix_fmt", "yuv420p", "-g", "25", "-ac", "2",
			}
			args = append(append(args, "-c:v"), strings.Fields(c.video)...)
			args = append(append(args, "-c:a"), strings.Fields(c.audio)...)
			cmd := exec.CommandContext(t.Context(), "ffmpeg", append(args, in)...)
			cmd.Env = append(os.Environ(), "SVT_LOG=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			all := mp4Messages(t, in)
			containers := []string{"fmp4"}
			if c.ts {
				containers = append(containers, "ts")
			}
			for _, container := range containers {
				r := start(t, hlsStream(func(s *server.StreamConfig) { s.HLS.Container = container }))
				p := r.mustPublish("live/a")
				n := len(all) / 8
				publishTags(p, all[:n], 0)
				client := r.openHLSDuring("live/a", p, all[n:])
				p.must(p.Close())
				r.until("the playlist ends", func() bool { return client.playlist("").EndList })
				for _, stream := range []string{"0:v", "0:a"} {
					decoded := container == "ts" || strings.HasSuffix(c.name, "MP3") // which goes out in MPEG-TS
					if decoded && stream == "0:a" {
						continue // a decoder begins a stream of sound with what it has not heard before
					}
					want, got := hashes(t, in, stream, decoded), hashes(t, r.httpURL(client.media), stream, decoded)
					if len(got) < len(want)/4 || !endsWith(want, got) {
						t.Errorf("%s %s: %d of %d frames, or others", container, stream, len(got), len(want))
					}
				}
			}
		})
	}
}

// openHLSDuring is openHLS while messages are published: slowly until the viewer has its
// playlist, since what comes before it is packaged is not in it, then at once.
func (r *running) openHLSDuring(path string, p *publisher, messages []rtmp.Message) (c *hlsClient) {
	r.t.Helper()
	const step = 5 * time.Millisecond
	done := make(chan *hlsClient, 1)
	go func() {
		defer close(done)
		done <- r.openHLS(path)
	}()
	for i := range messages {
		if c == nil {
			select {
			case c = <-done:
			case <-time.After(step):
			}
		}
		publishTags(p, messages[i:i+1], 0)
	}
	if c == nil {
		if c = <-done; c == nil {
			r.t.FailNow() // openHLS has said why
		}
	}
	return c
}
