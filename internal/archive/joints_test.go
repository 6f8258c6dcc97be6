package archive

import (
	"net/http"
	"testing"
	"time"

	"weir/internal/protocol/protocoltest"
	"weir/internal/record"
)

// TestJointsOfARecording: a range over the files of a recording has every picture that was published, each when it was shown: with B-frames a file
// begins with the decoding of its first picture, and the index tells when that is shown.
func TestJointsOfARecording(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	x := newRecorder(t, w.dir, w.Archive, func(c *record.Config) { c.Cut = 2 * time.Second })
	x.send(t, "live/a")
	x.close()
	l, err := w.List(t.Context(), Query{Stream: "live/a"})
	must(t, err)
	for _, s := range l.Spans {
		if s.Recording != "mp4" {
			continue
		}
		if len(s.Parts) != 4 {
			t.Fatalf("%d files", len(s.Parts))
		}
		a := w.get(http.MethodGet, film("live/a", s.From.Sub(epoch), s.To.Sub(epoch), "&recording=mp4&gaps=error"))
		if a.status != 200 {
			t.Fatal(a.status, string(a.body))
		}
		first, last, length, pictures := w.probe(a.body)
		if pictures != 200 || first > 0.081 || last < 7.9 || length < 7.9 || length > 8.15 {
			t.Errorf("%d pictures from %v to %v of %v", pictures, first, last, length)
		}
	}
}
