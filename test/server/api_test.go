package server_test

import (
	"net/http"
	"testing"

	"weir/rtmp"
)

// del sends a DELETE to the API.
func (r *running) del(path string) int {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodDelete, r.adminURL("/api/v1"+path), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// TestEndStreamThroughTheAPI: its publisher and players are disconnected at once, although the stream has a grace.
func TestEndStreamThroughTheAPI(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	publishSome(p, 0, 15)
	play := r.mustPlay("live/a")
	next(t, play, rtmp.TypeVideo)
	if status := r.del("/streams/live/a"); status != http.StatusNoContent {
		t.Fatal(status)
	}
	for {
		if _, err := play.ReadMessage(); err != nil {
			if !isEnd(err) {
				t.Errorf("the player: %v", err)
			}
			break
		}
	}
	r.until("all have gone", func() bool { return r.sessions.Len() == 0 })
	if status, body := get(t, r.adminURL("/api/v1/streams/live/a")); status != http.StatusNotFound {
		t.Error(status, body)
	}
	if status := r.del("/streams/live/a"); status != http.StatusNotFound {
		t.Error(status)
	}
	publishSome(r.mustPublish("live/a"), 0, 3) // nobody is kept out
}

// TestO24_KickOneViewerOfHLS: the next playlist of a viewer that the API sends away is 403, also one that is held
// meanwhile; others go on.
func TestO24_KickOneViewerOfHLS(t *testing.T) {
	r := start(t, hlsStream(nil))
	r.liveHLS("live/a")
	a, b := r.openHLS("live/a"), r.openHLS("live/a")
	a.play()
	first := r.hlsSessions()
	b.play()
	if len(first) != 1 || len(r.hlsSessions()) != 2 {
		t.Fatal(first, r.hlsSessions())
	}
	if status := r.del("/sessions/" + first[0]); status != http.StatusNoContent {
		t.Fatal(status)
	}
	if status := r.del("/sessions/" + first[0]); status != http.StatusNotFound {
		t.Error(status)
	}
	if res, body := r.get(a.media); res.StatusCode != http.StatusForbidden {
		t.Errorf("the one that was sent away: %s %s", res.Status, body)
	}
	if res, body := r.get(b.media); res.StatusCode != http.StatusOK {
		t.Errorf("the other one: %s %s", res.Status, body)
	}
}
