package mp4

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/codec"
	"weir/format/flv"
)

// run runs a program and returns what it printed.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, complaints.String())
	}
	return out.String()
}

// media is what an encoder sends: 6 s of H.264 with B-frames and of AAC.
type media struct {
	file   string // FLV
	tracks []Track
	frames []av.Frame // media alone, in their order

	reserve int // see Head.Reserve
}

var source = sync.OnceValues(func() ([]byte, error) { return encode("-bf", "2", "-preset", "veryfast") })

// encode returns what ffmpeg's encoders send, as FLV; options are those of the pictures' one.
func encode(options ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "weir-mp4-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "in.flv")
	args := append([]string{
		"-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=30:duration=6",
		"-f", "lavfi", "-i", "sine=sample_rate=48000:duration=6", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "60",
	}, options...)
	out, err := exec.Command("ffmpeg", append(args, "-c:a", "aac", "-ac", "2", name)...).CombinedOutput()
	if err != nil {
		return nil, errors.Join(err, errors.New(string(out)))
	}
	return os.ReadFile(name)
}

// record returns what ffmpeg's encoders send.
func record(t testing.TB) *media {
	t.Helper()
	b, err := source()
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, b)
}

// parse returns the media of a file in FLV.
func parse(t testing.TB, b []byte) *media {
	t.Helper()
	m := &media{file: filepath.Join(t.TempDir(), "in.flv")}
	if err := os.WriteFile(m.file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r := flv.NewFrameReader(bytes.NewReader(b))
	for {
		f, err := r.ReadFrame()
		if errors.Is(err, io.EOF) {
			return m
		}
		if err != nil {
			t.Fatal(err)
		}
		switch f.Type {
		case av.Config:
			d, err := codec.Describe(f.Codec, f.Kind, f.Payload)
			if err != nil {
				t.Fatal(err)
			}
			m.tracks = append(m.tracks, Track{Track: d})
		case av.Media:
			m.frames = append(m.frames, *f)
		default:
		}
	}
}

var start = time.Date(2026, 11, 27, 10, 0, 0, 123456789, time.UTC)

// write makes a file of the frames, with a fragment for each second and key frame, and returns its muxer.
func (m *media) write(t testing.TB, name string) *Muxer {
	t.Helper()
	x, err := NewMuxer(Head{Path: "live/cam", Epoch: 77, Start: start, Note: []byte("note"), Tracks: m.tracks, Reserve: m.reserve})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range m.pieces() {
		b, err := x.AppendFragment(nil, p.frames, p.end)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// piece is the frames of a fragment.
type piece struct {
	frames []av.Frame
	end    time.Duration
}

// pieces cuts the frames at key frames, and at the next picture after a second.
func (m *media) pieces() (list []piece) {
	var p piece
	var at time.Duration
	for i := range m.frames {
		f := &m.frames[i]
		if f.Kind == av.Video && len(p.frames) > 0 && (f.IsKey() || f.DTS-at >= time.Second) {
			p.end = f.DTS
			list = append(list, p)
			p = piece{}
		}
		if len(p.frames) == 0 {
			at = f.DTS
		}
		p.frames = append(p.frames, *f)
	}
	p.end = NoEnd
	return append(list, p)
}

// probed is what ffprobe says of a file.
type probed struct {
	duration float64
	streams  []probedStream
}

type probedStream struct {
	Type      string `json:"codec_type"`
	Frames    string `json:"nb_read_packets"`
	Rate      string `json:"r_frame_rate"`
	Average   string `json:"avg_frame_rate"`
	Start     string `json:"start_time"`
	TimeBase  string `json:"time_base"`
	Duration  string `json:"duration"`
	Tags      map[string]string
	firstShow float64
}

// probe asks ffprobe; complaints fail the test.
func probe(t testing.TB, name string) probed {
	t.Helper()
	out := run(t, "ffprobe", "-v", "error", "-count_packets", "-show_streams", "-show_format", "-of", "json", name)
	var p struct {
		Streams []probedStream
		Format  struct{ Duration string }
	}
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	r := probed{streams: p.Streams}
	r.duration, _ = strconv.ParseFloat(p.Format.Duration, 64)
	return r
}

// probeStarts is probe with when each stream begins to be shown.
func probeStarts(t testing.TB, name string) probed {
	t.Helper()
	r := probe(t, name)
	for i := range r.streams {
		r.streams[i].firstShow = firstShown(t, name, strconv.Itoa(i))
	}
	return r
}

// firstShown is the least time of presentation of a stream's packets that are shown.
func firstShown(t testing.TB, name, stream string) float64 {
	t.Helper()
	least := 1e9
	for line := range strings.Lines(run(t, "ffprobe", "-v", "error", "-select_streams", stream, "-read_intervals", "%+8", "-show_entries", "packet=pts_time,flags", "-of", "csv=p=0", name)) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if v, err := strconv.ParseFloat(fields[0], 64); err == nil && v < least && (len(fields) < 2 || !strings.Contains(fields[1], "D")) {
			least = v
		}
	}
	return least
}

// hashes returns the hash of each packet of a stream, or of each decoded frame.
func hashes(t testing.TB, file, stream string, decoded bool) (list []string) {
	t.Helper()
	args := []string{"-nostdin", "-v", "error"}
	if filepath.Ext(file) == ".mp4" {
		args = append(args, "-ignore_editlist", "1")
	}
	args = append(args, "-i", file, "-map", stream)
	if !decoded {
		args = append(args, "-c", "copy")
	} else {
		args = append(args, "-fps_mode", "passthrough")
	}
	for line := range strings.Lines(run(t, "ffmpeg", append(args, "-f", "framehash", "-hash", "md5", "-")...)) {
		if fields := strings.Split(line, ","); len(fields) >= 6 && line[0] != '#' {
			list = append(list, strings.TrimSpace(fields[5]))
		}
	}
	return list
}

// read returns a file.
func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
