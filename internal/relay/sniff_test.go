package relay

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/av"
	"weir/format/mpegts"
	"weir/internal/fetch"
)

// TestFramingOfTransportStreams has the same packets as camcorders, receivers and captures store them.
func TestFramingOfTransportStreams(t *testing.T) {
	file := filepath.Join(t.TempDir(), "one.ts")
	encode(t, file, "-c:v libx264 -g 5 -bf 0 -preset veryfast -c:a aac -f mpegts -pat_period 0.1")
	plain, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	packed := func(before, behind int) (out []byte) {
		for p := range slices.Chunk(plain, mpegts.PacketSize) {
			out = slices.Concat(out, make([]byte, before), p, make([]byte, behind))
		}
		return out
	}
	for name, c := range map[string]struct {
		b    []byte
		lose int
	}{
		"188 bytes": {plain, 0}, "192 bytes": {packed(4, 0), 0}, "204 bytes": {packed(0, 16), 0},
		"from within a packet":     {plain[3*mpegts.PacketSize-77:], 10},
		"9 bytes missing early on": {slices.Concat(plain[:2*mpegts.PacketSize], plain[2*mpegts.PacketSize+9:]), 10},
	} {
		file := filepath.Join(t.TempDir(), "x.ts")
		if err := os.WriteFile(file, c.b, 0o600); err != nil {
			t.Fatal(err)
		}
		if n := len(of(frames(t, file), av.Video)); n > 25 || n < 25-c.lose {
			t.Errorf("%s: %d of 25 pictures", name, n)
		}
	}
}

// TestWebPagesAreNamedAsSuch asks for pages; of a watch page the URLs of its stream are named.
func TestWebPagesAreNamedAsSuch(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/rubbish/" {
			w.Header().Set("Content-Type", "text/plain")
		} else {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
		}
		_, _ = io.WriteString(w, "<!doctype html><title>x</title>")
	}))
	defer s.Close()
	const page = "this is a web page, not a stream"
	for path, want := range map[string]string{
		"/live/cam/":             page + "; if it is a watch page, its stream is " + s.URL + "/live/cam.flv and " + s.URL + "/live/cam/index.m3u8",
		"/live/cam/?key=hunter2": page + "; if it is a watch page, its stream is " + s.URL + "/live/cam.flv?key=*** and " + s.URL + "/live/cam/index.m3u8?key=***",
		"/":                      page,
		"/about.html":            page,
		"/rubbish/":              "neither FLV, MP4, MPEG-TS nor an HLS playlist",
	} {
		_, err := fetch.Open(t.Context(), s.URL+path, fetch.Access{})
		if want := strings.Replace(s.URL+path, "hunter2", "***", 1) + ": " + want; err == nil || err.Error() != want {
			t.Errorf("%s: %v, not %s", path, err, want)
		}
	}
}
