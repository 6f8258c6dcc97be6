//go:build linux || darwin

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/format/fmp4"
	"weir/format/mp4"
)

// fragments returns an MP4 recording as a crash leaves it.
func fragments(t *testing.T) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "in.mp4")
	if out, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=2", "-c:v", "libx264", "-g", "25", name).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := fmp4.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var frames []av.Frame
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, *f)
	}
	m, err := mp4.NewMuxer(mp4.Head{Path: "live/a", Start: time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC), Tracks: []mp4.Track{{Track: r.Tracks()[0].Track}}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.AppendFragment(nil, frames, mp4.NoEnd)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRecover: a file and a directory are repaired and told about; what is whole, foreign, empty or being written is told apart.
func TestRecover(t *testing.T) {
	dir := t.TempDir()
	whole := fragments(t)
	tags := flv.AppendFileHeader(nil, false, true)
	tags = flv.AppendTag(tags, flv.TagScript, 0, nil, flv.BuildFileMetadata(nil, 1, ""))
	tags = flv.AppendTag(tags, flv.TagVideo, 40, nil, []byte{0x17, 1, 0, 0, 0, 1})
	for name, b := range map[string][]byte{
		"one.mp4.part": append(slices.Clone(whole), "torn"...), "one.mp4": []byte("another"), "a/two.flv.part": append(slices.Clone(tags), 9, 0),
		"a/three.ts.part": append(bytes.Repeat([]byte{0x47}, 3*188), 1, 2, 3), "empty.ts.part": nil, "alone.mp4": whole,
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	busy, err := os.Create(filepath.Join(dir, "busy.mp4.part"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := syscall.Flock(int(busy.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	status, out, stderr := command(t, "recover", dir)
	if status != 0 || stderr != "" {
		t.Fatal(status, stderr)
	}
	for _, want := range []string{
		"one-2.mp4: whole, ", "a/two.flv: whole, ", "a/three.ts: whole, 564 bytes", "empty.ts.part: nothing had been recorded in it; removed", "busy.mp4.part: it is being written now",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "\n"); n != 5 {
		t.Errorf("%d lines:\n%s", n, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "one-2.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	if x, err := mp4.ReadIndex(bytes.NewReader(b), int64(len(b))); err != nil || x.Path != "live/a" || strings.Contains(string(b), "torn") {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "one.mp4")); err != nil || string(b) != "another" {
		t.Errorf("%q, %v", b, err)
	}
	// One file, whose name has no .part; then again, when there is nothing to do.
	for range 2 {
		if status, out, stderr := command(t, "recover", filepath.Join(dir, "alone.mp4")); status != 0 || !strings.Contains(out, "alone.mp4: whole, ") {
			t.Error(status, out, stderr)
		}
	}
	if out, err := exec.Command("ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", filepath.Join(dir, "alone.mp4")).Output(); err != nil || strings.TrimSpace(string(out)) != "50" {
		t.Errorf("%s, %v", out, err)
	}
	foreign := filepath.Join(dir, "foreign.mp4.part")
	if err := os.WriteFile(foreign, []byte("\x00\x00\x00\x10ftypmine....and more"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{foreign, dir} {
		if status, _, stderr := command(t, "recover", path); status == 0 || !strings.Contains(stderr, "it is no recording") {
			t.Errorf("%s: %d, %s", path, status, stderr)
		}
	}
	// What is no recording stays as it is, whatever it is called.
	for name, text := range map[string]string{
		"app.ts": "export const more = 1;\n" + strings.Repeat("// text\n", 100), "app.ts.part": "export", "192.ts": strings.Repeat("G"+strings.Repeat(" ", 191), 9), "x.zip.part": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		status, _, stderr := command(t, "recover", path)
		if b, err := os.ReadFile(path); status == 0 || !strings.Contains(stderr, "it is no recording") || err != nil || string(b) != text {
			t.Errorf("%s: %d, %s; %d bytes of %d are left, %v", name, status, stderr, len(b), len(text), err)
		}
	}
	if status, _, stderr := command(t, "recover", filepath.Join(dir, "none")); status == 0 || !strings.Contains(stderr, "no such file") {
		t.Error(status, stderr)
	}
}
