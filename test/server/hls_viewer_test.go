package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/server"
)

// hlsSessions lists the ids of the viewers of HLS.
func (r *running) hlsSessions() (ids []string) {
	for _, s := range r.sessions.List() {
		if s.Protocol == "hls" {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// TestHLSViewersOfOneAddress: requests without an id that come together are one viewer, with one
// session, which ends when it is sent away.
func TestHLSViewersOfOneAddress(t *testing.T) {
	r := start(t, hlsStream(nil))
	r.liveHLS("live/a")
	c := r.openHLS("live/a")
	media := strings.Split(c.media, "?")[0]
	c.play()
	first := len(r.hlsSessions())
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for range 64 {
		wg.Go(func() {
			<-begin
			res, err := http.DefaultTransport.RoundTrip(r.newGet(media))
			if err != nil {
				t.Error(err)
				return
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Error(res.Status)
			}
		})
	}
	close(begin)
	wg.Wait()
	c.play()
	if n := len(r.hlsSessions()); n != first+1 {
		t.Errorf("64 requests of one address are %d sessions, want 1", n-first)
	}
	for _, id := range r.hlsSessions() {
		r.sessions.Kick(id, nil)
	}
	r.until("the viewers are gone", func() bool { return len(r.hlsSessions()) == 0 })
}

func (r *running) newGet(path string) *http.Request {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.httpURL(path), nil)
	if err != nil {
		panic(err)
	}
	return req
}

// TestHLSKeyOfAnother: that somebody at the same address has shown the key lets in nobody else.
func TestHLSKeyOfAnother(t *testing.T) {
	r := start(t, hlsStream(func(s *server.StreamConfig) { s.Play.Keys = []admit.Key{{Key: "s3cret"}} }))
	r.liveHLS("live/a")
	res, b := r.get("live/a/index.m3u8?key=s3cret")
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", res.Status, b)
	}
	var media string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			media = "live/a/" + strings.Split(line, "?")[0]
		}
	}
	for _, c := range []struct {
		query string
		want  int
	}{
		{"?key=s3cret", 200},
		{"", 403},
		{"?v=wrong", 403},
		{"?v=aaaaaaaaaaaaaaaa", 403},
		{"?key=other", 403},
		{"?_HLS_skip=YES", 403},
		{"?key=s3cret&_HLS_skip=YES", 200},
	} {
		if res, _ := r.get(media + c.query); res.StatusCode != c.want {
			t.Errorf("%q: %s, want %d", c.query, res.Status, c.want)
		}
	}
	if n := len(r.hlsSessions()); n != 0 {
		t.Errorf("%d sessions of those who asked for playlists alone", n)
	}
}

// TestC221_BeforeTheFirstSegment: who asks before there is a segment waits for it, and gets no
// empty playlist.
func TestC221_BeforeTheFirstSegment(t *testing.T) {
	r := start(t, hlsStream(nil))
	tags, _, _ := readFLV(t, makeFLV(t, "160x90"))
	p := &stepper{publisher: r.mustPublish("live/a"), tags: tags}
	p.pictures(10) // less than one group of them
	r.until("the stream has begun", func() bool { return r.live("live/a") })
	type answer struct {
		status int
		body   string
	}
	answers := make(chan answer, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		res, b := r.get("live/a/index.m3u8")
		answers <- answer{res.StatusCode, string(b)}
	})
	r.until("the viewer waits", func() bool { return len(r.hlsSessions()) == 1 })
	select {
	case a := <-answers:
		t.Errorf("answered %d without a segment: %s", a.status, a.body)
	default:
	}
	for len(answers) == 0 {
		p.pictures(1)
		<-time.After(5 * time.Millisecond)
	}
	wg.Wait()
	if a := <-answers; a.status != http.StatusOK || !strings.Contains(a.body, "#EXT-X-STREAM-INF") {
		t.Errorf("%d: %s", a.status, a.body)
	}
	if c := r.openHLS("live/a"); len(c.playlist("").Segments) == 0 {
		t.Error("the media playlist is empty")
	}
}
