package main

import (
	"cmp"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestProbeFiles describes the same stream in files of each format.
func TestProbeFiles(t *testing.T) {
	files := []string{sample}
	for _, name := range []string{"a.mp4", "a.ts"} {
		file := filepath.Join(t.TempDir(), name)
		if out, err := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-v", "error", "-i", sample, "-c", "copy", file).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v\n%s", err, out)
		}
		files = append(files, file)
	}
	type track struct {
		Codec      string `json:"codec"`
		Profile    string `json:"profile"`
		Width      int    `json:"width"`
		Height     int    `json:"height"`
		BFrames    bool   `json:"b_frames"`
		SampleRate int    `json:"sample_rate"`
		Channels   int    `json:"channels"`
	}
	var want []track
	for _, file := range files {
		status, out, errOut := command(t, "probe", "--json", file)
		if status != 0 {
			t.Errorf("%s: exit status %d: %s%s", filepath.Ext(file), status, out, errOut)
			continue
		}
		var report struct {
			Tracks []track `json:"tracks"`
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(report.Tracks, func(a, b track) int { return cmp.Compare(a.Width, b.Width) })
		if want == nil {
			want = report.Tracks
		}
		if len(want) != 2 || !slices.Equal(report.Tracks, want) {
			t.Errorf("%s: %+v, want %+v", filepath.Ext(file), report.Tracks, want)
		}
	}
}
