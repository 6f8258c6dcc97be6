package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"weir/internal/admin"
	"weir/internal/admit"
	"weir/internal/server"
	"weir/rtmp"
)

// logBuffer is a log that tests read.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// TestKeys asks for keys by every protocol, and looks for them in the log.
func TestKeys(t *testing.T) {
	var log logBuffer
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Match = "live/*"
		s.Publish.Keys, s.Play.Keys = []admit.Key{{Key: "hunter2"}}, []admit.Key{{Key: "hunter3"}}
		c.Streams = []server.StreamConfig{s}
	}, func(o *server.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})

	var st *rtmp.StatusError
	if _, err := r.publish(t.Context(), "live/a"); !errors.As(err, &st) || st.Code != rtmp.CodePublishDenied {
		t.Error("publishing without a key:", err)
	}
	if _, err := r.publish(t.Context(), "live/a?key=hunter3"); !errors.As(err, &st) || st.Code != rtmp.CodePublishDenied {
		t.Error("publishing with the players' key:", err)
	}
	publishSome(r.mustPublish("live/a?key=hunter2"), 0, 15)
	if _, _, err := r.play(t.Context(), "live/a"); !errors.As(err, &st) || st.Code != rtmp.CodePlayFailed {
		t.Error("playing without a key:", err)
	}
	next(t, r.mustPlay("live/a?key=hunter3"), rtmp.TypeVideo)
	if status, _ := get(t, r.httpURL("live/a.flv?key=hunter2")); status != http.StatusForbidden {
		t.Error("HTTP with the publishers' key:", status)
	}
	res, err := http.Get(r.httpURL("live/a.flv?key=hunter3"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Error("HTTP with the right key:", res.Status)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "hunter") {
		t.Error("a key in the log:\n", log.String())
	}
}

func TestAdmissionByTheProgram(t *testing.T) {
	r := start(t, nil, func(o *server.Options) {
		o.Admit = refuseAll
	})
	var st *rtmp.StatusError
	if _, err := r.publish(t.Context(), "live/a"); !errors.As(err, &st) || st.Code != rtmp.CodePublishDenied || !strings.Contains(st.Description, "not today") {
		t.Error(err)
	}
	if status, body := get(t, r.httpURL("live/a.flv")); status != http.StatusForbidden || !strings.Contains(body, "not today") {
		t.Error(status, body)
	}
}

func TestReservedAndInvalidNames(t *testing.T) {
	r := start(t, nil)
	for _, path := range []string{"live/cam.flv", "live/cam.ts", "live/cam.m3u8", "live/whip", "live/index.m3u8", "live/snapshot.jpg", "live/..%2fx"} {
		var st *rtmp.StatusError
		if _, err := r.publish(t.Context(), path); !errors.As(err, &st) || st.Code != rtmp.CodePublishBadName {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestC217_HTTPMethods(t *testing.T) {
	r := start(t, nil)
	publishSome(r.mustPublish("live/a"), 0, 15)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"HEAD", "live/a.flv", 200},
		{"OPTIONS", "live/a.flv", 204},
		{"POST", "live/a.flv", 405},
		{"HEAD", "live/a.ts", 200},
		{"OPTIONS", "live/a.ts", 204},
		{"POST", "live/a.ts", 405},
		{"OPTIONS", "live/a/index.m3u8", 204},
		{"GET", "live/a.mp4", 404},
		{"GET", "live/../a.flv", 404},
	} {
		req, err := http.NewRequest(c.method, r.httpURL(c.path), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != c.status || res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s /%s: %s %v", c.method, c.path, res.Status, res.Header)
		}
		if got := res.Header.Get("Access-Control-Allow-Methods"); c.method == "OPTIONS" && got != "GET, HEAD, OPTIONS" {
			t.Errorf("%s may be asked by %q", c.path, got)
		}
	}
}

// TestAPIAndMetricsAgreeWithWhatHappened looks at the admin listener while one publishes and one plays.
func TestAPIAndMetricsAgreeWithWhatHappened(t *testing.T) {
	r := start(t, nil)
	publishSome(r.mustPublish("live/a"), 0, 15)
	for play, last := r.mustPlay("live/a"), uint32(0); last != 14; { // until all has arrived
		if m := next(t, play, rtmp.TypeVideo); m.Payload[1] == 1 {
			last, _ = numberOf(m.Payload)
		}
	}
	var streams struct {
		Streams []admin.Stream `json:"streams"`
	}
	_, body := get(t, r.adminURL("/api/v1/streams"))
	if err := json.Unmarshal([]byte(body), &streams); err != nil {
		t.Fatal(err)
	}
	if s := streams.Streams; len(s) != 1 || s[0].Path != "live/a" || !s[0].Live || s[0].Players != 1 || s[0].Frames.Video != 15 ||
		len(s[0].Tracks) != 2 || s[0].Tracks[0].Codec != "H.264" || s[0].Publisher.Protocol != "rtmp" {
		t.Errorf("%+v", s)
	}
	var sessions struct {
		Sessions []map[string]any `json:"sessions"`
	}
	_, body = get(t, r.adminURL("/api/v1/sessions"))
	if err := json.Unmarshal([]byte(body), &sessions); err != nil || len(sessions.Sessions) != 2 {
		t.Error(err, body)
	}
	var detail admin.StreamDetail
	_, body = get(t, r.adminURL("/api/v1/streams/live%2Fa"))
	if err := json.Unmarshal([]byte(body), &detail); err != nil || len(detail.Sessions) != 2 || detail.LastFrameAge == nil {
		t.Error(err, body)
	}
	for _, s := range detail.Sessions {
		var one admin.SessionDetail
		_, body = get(t, r.adminURL("/api/v1/sessions/"+s.ID))
		if err := json.Unmarshal([]byte(body), &one); err != nil || one.Frames == 0 && one.Role == "publish" || runtime.GOOS == "linux" && (one.Network == nil || one.Network.RTT <= 0) {
			t.Error(err, body)
		}
	}
	_, body = get(t, r.adminURL("/metrics"))
	for _, want := range []string{
		"weir_streams 1", `weir_sessions{protocol="rtmp",role="play"} 1`, `weir_sessions{protocol="rtmp",role="publish"} 1`,
		`weir_frames_received_total{kind="video"} 15`, "weir_first_frame_seconds_count 1", "weir_player_skips_total 0", "go_goroutines",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the metrics do not say %s", want)
		}
	}
	for _, path := range []string{"/health/live", "/health/ready", "/debug/pprof/"} {
		if status, _ := get(t, r.adminURL(path)); status != 200 {
			t.Error(path, status)
		}
	}
	if status, body := get(t, r.adminURL("/api/v1/nothing")); status != 404 || !strings.Contains(body, "not_found") {
		t.Error(status, body)
	}
}

func TestC233_AdminToken(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Admin.Token = "s3cret" })
	for token, want := range map[string]int{"": 401, "wrong": 401, "s3cret": 200} {
		req, err := http.NewRequest(http.MethodGet, r.adminURL("/api/v1/streams"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("token %q: %s", token, res.Status)
		}
	}
	if status, _ := get(t, r.adminURL("/health/ready")); status != 200 {
		t.Error("health asks for the token:", status)
	}
}
