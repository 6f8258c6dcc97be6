package relay

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"weir/av"
	"weir/internal/fetch"
)

// TestFiles reads the same media from files of each format.
func TestFiles(t *testing.T) {
	want := frames(t, sample)
	for _, name := range []string{"plain.mp4", "fragmented.mp4", "sample.ts"} {
		file := filepath.Join(t.TempDir(), name)
		args := []string{"-nostdin", "-v", "error", "-i", sample, "-c", "copy"}
		if name == "fragmented.mp4" {
			args = append(args, "-movflags", "+frag_keyframe+empty_moov")
		}
		if out, err := exec.Command("ffmpeg", append(args, file)...).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v\n%s", err, out)
		}
		got := frames(t, file)
		if len(got) != len(want) {
			t.Errorf("%s: %d frames, not %d", name, len(got), len(want))
		}
		for _, k := range []av.Kind{av.Video, av.Audio} {
			a, b := of(want, k), of(got, k)
			for i := range min(len(a), len(b)) {
				if name != "sample.ts" && !bytes.Equal(a[i].Payload, b[i].Payload) {
					t.Fatalf("%s: %v frame %d is another one", name, k, i)
				}
				if a[i].IsKey() != b[i].IsKey() || a[i].PTS-a[0].PTS-(b[i].PTS-b[0].PTS) > 2e6 {
					t.Fatalf("%s: %v frame %d: %v, %v", name, k, i, a[i].PTS, b[i].PTS)
				}
			}
		}
	}
	bad := filepath.Join(t.TempDir(), "text.mp4")
	if err := os.WriteFile(bad, []byte("this is no film"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch.Open(t.Context(), bad, fetch.Access{}); err == nil {
		t.Error("text is read as a film")
	}
}

// of returns the frames of a kind.
func of(list []*av.Frame, k av.Kind) (out []*av.Frame) {
	for _, f := range list {
		if f.Kind == k {
			out = append(out, f)
		}
	}
	return out
}
