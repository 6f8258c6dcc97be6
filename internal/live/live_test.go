package live

import (
	"net/url"
	"testing"

	"weir/internal/mux"
)

// TestSelection: the tracks that a query asks for.
func TestSelection(t *testing.T) {
	for query, want := range map[string]mux.Selection{
		"":                     {},
		"key=x&tracks=":        {},
		"tracks=all":           {AllTracks: true},
		"tracks=ALL":           {},
		"tracks=1":             {},
		"onlyAudio":            {NoVideo: true},
		"onlyAudio=1":          {NoVideo: true},
		"onlyVideo":            {NoAudio: true},
		"onlyVideo&tracks=all": {NoAudio: true, AllTracks: true},
		"onlyAudio&onlyVideo":  {},
		"onlyaudio":            {},
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := selection(q); got != want {
			t.Errorf("%q: %+v, want %+v", query, got, want)
		}
	}
}
