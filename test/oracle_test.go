package test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"weir/av"
)

// TestReaderAgreesWithFFprobe holds the reader by which everything here is judged against
// another: both must find the same payloads in the same order.
func TestReaderAgreesWithFFprobe(t *testing.T) {
	hash := regexp.MustCompile(`data_hash=SHA256:([0-9a-f]{64})`)
	files := newMediaFiles()
	for _, name := range []string{"h264-aac48", "h264-bframes-aac44", "h264-mp3", "audio-only", "video-only", "variable-rate"} {
		m := files.get(t, name)
		for kind, letter := range map[av.Kind]string{av.Video: "v", av.Audio: "a"} {
			ours, err := payloadHashes(m.flv, kind)
			if err != nil {
				t.Fatal(err)
			}
			var theirs []string
			said := output(t, debian12(), time.Minute,
				"ffprobe", "-v", "error", "-select_streams", letter, "-show_packets", "-show_data_hash", "sha256", m.flv)
			for _, h := range hash.FindAllStringSubmatch(said, -1) {
				theirs = append(theirs, h[1])
			}
			if !slices.Equal(ours, theirs) {
				t.Errorf("%s %v: we find %d frames, ffprobe %d, and they differ", name, kind, len(ours), len(theirs))
			}
		}
	}
}
