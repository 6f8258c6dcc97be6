package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"
	"time"

	"weir/internal/hook/deliver"
	"weir/internal/server"
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

// TestO24_OneID: a session has one id in hook, API, log, and the exemplars of metrics.
func TestO24_OneID(t *testing.T) {
	ids := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e struct{ Session struct{ ID string } }
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		ids <- e.Session.ID
	}))
	defer receiver.Close()
	hook := deliver.DefaultConfig()
	hook.URL, hook.Events = receiver.URL, []string{"play.start"}
	r := start(t, func(c *server.Config) { c.Hooks = []deliver.Config{hook} })
	publishSome(r.mustPublish("live/a"), 0, 15)
	next(t, r.mustPlay("live/a"), rtmp.TypeVideo)
	id := ""
	select {
	case id = <-ids:
	case <-time.After(patience):
		t.Fatal("the hook is not told")
	}
	if id == "" {
		t.Fatal("the hook is told no id")
	}
	status, body := get(t, r.adminURL("/api/v1/sessions/"+id))
	var inAPI struct{ ID, Role, Stream string }
	if err := json.Unmarshal([]byte(body), &inAPI); err != nil || status != http.StatusOK || inAPI.ID != id || inAPI.Role != "play" || inAPI.Stream != "live/a" {
		t.Errorf("the API: %d %s", status, body)
	}
	inLog := regexp.MustCompile(`msg="viewer came" .*session=(\S+)`).FindStringSubmatch(r.log.String())
	if len(inLog) != 2 || inLog[1] != id {
		t.Errorf("the log has %q, the hook %s", inLog, id)
	}
	for _, metric := range []string{"weir_first_frame_seconds", "weir_auth_seconds"} {
		r.until(metric+" has the id as an exemplar", func() bool { return slices.Contains(r.exemplars(metric), id) })
	}
}

// exemplars returns the ids of sessions that a metric has as exemplars.
func (r *running) exemplars(metric string) (ids []string) {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.adminURL("/metrics"), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^`+metric+`_bucket\{.*# \{session="([^"]+)"\}`).FindAllStringSubmatch(string(b), -1) {
		ids = append(ids, m[1])
	}
	return ids
}
