package test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/format/flv"
)

// A media is a file that publishers send. It is made once, by Debian 12's ffmpeg, and
// kept under the hash of how it is made.
type media struct {
	name  string
	dur   time.Duration
	parts [][]string // ffmpeg's arguments; several are put one after the other
	// wrapped says that ffmpeg cannot write it as FLV: it writes MP4, and we wrap it.
	wrapped     bool
	undecodable bool // ffmpeg 7.1 does not know its audio codec in FLV
}

// The sources: a picture and a sound of which no two frames are alike.
func picture(size string, rate int, d time.Duration) []string {
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%s:rate=%d:duration=%g", size, rate, d.Seconds())}
}

func sound(rate int, d time.Duration) []string {
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("anoisesrc=seed=7:amplitude=0.2:sample_rate=%d:duration=%g", rate, d.Seconds())}
}

func x264(more ...string) []string {
	return append([]string{"-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "30", "-sc_threshold", "0"}, more...)
}

var aac = []string{"-c:a", "aac", "-b:a", "96k", "-ac", "2"}

func args(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

const sec = time.Second

// mediaTable is everything that is sent.
func mediaTable() map[string]*media {
	one := func(lists ...[]string) [][]string { return [][]string{args(lists...)} }
	small, d := "320x180", 6*sec
	table := map[string]*media{}
	for _, m := range []*media{
		{name: "h264-aac48", parts: one(picture(small, 30, d), sound(48000, d), x264("-bf", "0"), aac)},
		{name: "h264-bframes-aac44", parts: one(picture(small, 25, d), sound(44100, d), x264("-bf", "3", "-b_strategy", "0"), aac)},
		{name: "audio-only", parts: one(sound(44100, d), aac)},
		{name: "video-only", parts: one(picture(small, 30, d), x264("-bf", "2"))},
		{name: "h264-mp3", parts: one(picture(small, 30, d), sound(44100, d), x264("-bf", "0"),
			[]string{"-c:a", "libmp3lame", "-b:a", "128k", "-ac", "2", "-reservoir", "0"})},
		{name: "variable-rate", parts: one(picture(small, 60, d), sound(48000, d),
			[]string{"-vf", "select='lt(mod(n,90),30)+not(mod(n,7))'", "-vsync", "vfr"}, x264("-bf", "2"), aac)},
		// One thread makes the same bytes on each machine. See the check in runRows for their number.
		{name: "4k", dur: 4 * sec, parts: one(picture("3840x2160", 30, 4*sec), sound(48000, 4*sec),
			[]string{"-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-pix_fmt", "yuv420p", "-g", "30", "-b:v", "11M"}, aac)},
		{name: "resize", parts: [][]string{
			args(picture(small, 30, 3*sec), sound(48000, 3*sec), x264("-bf", "0"), aac),
			args(picture("640x360", 30, 3*sec), sound(48000, 3*sec), x264("-bf", "0"), aac),
		}},

		{name: "hevc-aac", wrapped: true, parts: one(picture(small, 30, d), sound(48000, d),
			[]string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=30:bframes=2:log-level=error", "-pix_fmt", "yuv420p", "-tag:v", "hvc1"}, aac)},
		{name: "av1-opus", wrapped: true, undecodable: true, parts: one(picture(small, 30, d), sound(48000, d),
			[]string{"-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "30", "-b:v", "300k", "-pix_fmt", "yuv420p", "-c:a", "libopus", "-b:a", "96k", "-ac", "2"})},
		{name: "vp9-aac", wrapped: true, parts: one(picture(small, 30, d), sound(48000, d),
			[]string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "30", "-b:v", "300k", "-pix_fmt", "yuv420p"}, aac)},
		{name: "flac", wrapped: true, undecodable: true, parts: one(picture(small, 30, d), sound(48000, d), x264("-bf", "0"),
			[]string{"-c:a", "flac", "-ac", "2", "-strict", "-2"})},
		{name: "ac3", wrapped: true, undecodable: true, parts: one(picture(small, 30, d), sound(48000, d), x264("-bf", "0"),
			[]string{"-c:a", "ac3", "-b:a", "192k", "-ac", "2"})},
	} {
		if m.dur == 0 {
			m.dur = d
		}
		table[m.name] = m
	}
	return table
}

// A mediaFile is a media that has been made.
type mediaFile struct {
	*media
	flv string // what is sent
	mp4 string // what it was wrapped from; "" if it was not
	// frames is what is in it.
	frames tracks
}

// mediaFiles makes media on demand, each once.
type mediaFiles struct {
	mu    sync.Mutex // guards below
	files map[string]func() (*mediaFile, error)
}

func newMediaFiles() *mediaFiles {
	files := map[string]func() (*mediaFile, error){}
	for name, m := range mediaTable() {
		files[name] = sync.OnceValues(m.make)
	}
	return &mediaFiles{files: files}
}

// get returns a media by its name and fails the test if it cannot be made.
func (f *mediaFiles) get(t *testing.T, name string) *mediaFile {
	t.Helper()
	f.mu.Lock()
	get := f.files[name]
	f.mu.Unlock()
	if get == nil {
		t.Fatalf("there is no media %q", name)
	}
	m, err := get()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// recipe changes when what this file makes of ffmpeg's output does.
const recipe = "1"

// make makes the file unless it is there.
func (m *media) make() (*mediaFile, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "media")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(fmt.Append(nil, recipe, m.parts))
	base := filepath.Join(dir, fmt.Sprintf("%s-%x", m.name, sum[:6]))
	f := &mediaFile{media: m, flv: base + ".flv"}
	if m.wrapped {
		f.mp4 = base + ".mp4"
	}
	if _, err := os.Stat(f.flv); errors.Is(err, os.ErrNotExist) {
		if err := m.encode(f); err != nil {
			return nil, fmt.Errorf("making media %s: %w", m.name, err)
		}
	}
	if f.frames, err = readTracks(f.flv); err != nil {
		return nil, err
	}
	return f, nil
}

// encode makes the file. What has the final name is complete.
func (m *media) encode(f *mediaFile) error {
	dir, err := os.MkdirTemp(filepath.Dir(f.flv), "making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	whole := filepath.Join(dir, "whole.flv")
	if m.wrapped {
		mp4 := filepath.Join(dir, "whole.mp4")
		if err := ffmpeg(m.parts[0], mp4); err != nil {
			return err
		}
		if err := wrap(mp4, whole); err != nil {
			return err
		}
		if err := os.Rename(mp4, f.mp4); err != nil {
			return err
		}
		return os.Rename(whole, f.flv)
	}
	var parts []string
	for i, p := range m.parts {
		part := filepath.Join(dir, fmt.Sprintf("%d.flv", i))
		if err := ffmpeg(p, part); err != nil {
			return err
		}
		parts = append(parts, part)
	}
	if err := join(parts, whole); err != nil {
		return err
	}
	return os.Rename(whole, f.flv)
}

// ffmpeg runs Debian 12's ffmpeg to make a file.
func ffmpeg(how []string, out string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	p, err := start(ctx, command{args: args(
		[]string{"ffmpeg", "-nostdin", "-v", "error", "-y"}, how,
		[]string{"-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", out})})
	if err != nil {
		return err
	}
	return p.wait()
}

// join writes files one after the other into one: each begins where the one before ended.
func join(parts []string, out string) error {
	if len(parts) == 1 {
		return os.Rename(parts[0], out)
	}
	var b bytes.Buffer
	w := flv.NewWriter(&b, flv.Form{Enhanced: flv.AsReceived}, true, true)
	var offset time.Duration
	for _, p := range parts {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		r := flv.NewFrameReader(f)
		var end time.Duration
		for {
			fr, err := r.ReadFrame()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if fr.Type == av.End {
				continue
			}
			fr.DTS += offset
			fr.PTS += offset
			end = max(end, fr.DTS)
			if err := w.WriteFrame(fr); err != nil {
				return err
			}
		}
		offset = end + 40*time.Millisecond
	}
	return os.WriteFile(out, b.Bytes(), 0o644)
}

// fileName makes a name of a test usable in a path or URL.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == ' ' || r == '#' {
			return '_'
		}
		return r
	}, s)
}
