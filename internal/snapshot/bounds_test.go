//go:build unix

package snapshot

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestStillBound: a still has 16 MiB at most.
func TestStillBound(t *testing.T) {
	for n, want := range map[int]string{16 << 20: "", 16<<20 + 1: "it is larger than 16777216 bytes"} {
		out, err := decode(t.Context(), stand(t, fmt.Sprintf("exec head -c %d /dev/zero", n)), nil)
		if want == "" && (err != nil || len(out) != n) || want != "" && (!errors.Is(err, errDecoder) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d bytes: %d, %v, want %q", n, len(out), err, want)
		}
	}
}

// TestDecoderBounds: ffmpeg is told that a picture has 7680×4320 pixels at most, and a still a width of 1920.
func TestDecoderBounds(t *testing.T) {
	out, err := decode(t.Context(), stand(t, `echo "$@"`), nil)
	if err != nil || !strings.Contains(string(out), "-max_pixels 33177600 ") || !strings.Contains(string(out), "-vf scale='min(1920,iw)':-2 ") {
		t.Errorf("%s, %v", out, err)
	}
}
