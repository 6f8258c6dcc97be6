package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestHLS asks a server whose playlist moves on with every request, in both ways of
// framing a body.
func TestHLS(t *testing.T) {
	var n, parts, others atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/live/index.m3u8", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmain.m3u8?v=1\n")
	})
	mux.HandleFunc("/live/main.m3u8", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "v=1" {
			t.Error(r.URL)
		}
		k := n.Add(1)
		fmt.Fprintf(w, "#EXTM3U\n#EXT-X-PART:DURATION=0.2,URI=\"part%d.m4s\"\n#EXTINF:2,\nseg%d.m4s\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"no.m4s\"\n", k, k)
		if k%2 == 0 {
			w.(http.Flusher).Flush() // in chunks
		}
	})
	mux.HandleFunc("/live/", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/live/part") {
			parts.Add(1)
		} else {
			others.Add(1)
		}
		_, _ = w.Write(make([]byte, 5000))
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	r, err := HLS(t.Context(), HLSConfig{URL: s.URL + "/live/index.m3u8", Connections: 3, Duration: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Failed) > 0 || r.Requests == 0 || r.PartBytes != 5000 || r.Part.Count == 0 || r.Playlist.Count == 0 || others.Load() > 0 {
		t.Errorf("%+v, %d others", r, others.Load())
	}
}

// TestHLS_Refused reports what the server said.
func TestHLS_Refused(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	for _, url := range []string{s.URL + "/a.m3u8", "rtmp://h/a", "http://127.0.0.1:1/a.m3u8"} {
		if _, err := HLS(t.Context(), HLSConfig{URL: url, Connections: 1, Duration: time.Second}); err == nil {
			t.Error(url)
		}
	}
}
