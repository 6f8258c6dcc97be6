package server_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/server"
	"weir/rtmp"
)

// question is what a decision hook is asked.
type question struct {
	Action, Role string
	Session      struct{ ID, Protocol, Remote, Encoder string }
	Stream       struct {
		Path, Name string
		Query      map[string][]string
	}
	Credential struct{ Kind, User, Secret string }
}

// decisionHook is a service that answers questions, and remembers them.
type decisionHook struct {
	*httptest.Server
	mu    sync.Mutex
	asked []question
}

// newHook starts a service that ends with the test.
func newHook(t *testing.T, answer func(q question) (status int, body string)) *decisionHook {
	h := &decisionHook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q question
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		h.asked = append(h.asked, q)
		h.mu.Unlock()
		status, body := answer(q)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(h.Close)
	return h
}

// questions returns what was asked with an action.
func (h *decisionHook) questions(action string) (list []question) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, q := range h.asked {
		if q.Action == action {
			list = append(list, q)
		}
	}
	return list
}

// hooked configures the service for all streams.
func hooked(h *decisionHook, change func(*server.Config)) func(*server.Config) {
	return func(c *server.Config) {
		s := server.DefaultStream()
		s.Publish.Auth, s.Play.Auth = []string{"hook"}, []string{"hook"}
		c.Auth.Hook.URL = h.URL
		c.Streams = []server.StreamConfig{s}
		if change != nil {
			change(c)
		}
	}
}

// TestDecisionHook: a service lets peers in and refuses them, before any success is told, and what it says
// reaches the peer.
func TestDecisionHook(t *testing.T) {
	h := newHook(t, func(q question) (int, string) {
		switch {
		case len(q.Stream.Query["token"]) == 1 && q.Stream.Query["token"][0] == secret, q.Credential.User == "bob" && q.Credential.Secret == secret:
			return 200, `{"user":"u42"}`
		case q.Credential.Kind == "none" && q.Role == "play":
			return 401, `{"reason":"Who are you?"}`
		}
		return 200, `{"allow":false,"reason":"The bill is not paid."}`
	})
	r := start(t, hooked(h, nil))
	var st *rtmp.StatusError
	if _, err := r.publish(t.Context(), "live/a?token=wrong"); !errors.As(err, &st) || st.Code != rtmp.CodePublishDenied || !strings.Contains(st.Description, "The bill is not paid.") {
		t.Error("a publisher with a wrong token:", err)
	}
	publishSome(r.mustPublish("live/a?token="+secret), 0, 15)
	if _, _, err := r.play(t.Context(), "live/a"); !errors.As(err, &st) || st.Code != rtmp.CodePlayFailed || !strings.Contains(st.Description, "Who are you?") {
		t.Error("a player without a token:", err)
	}
	next(t, r.mustPlay("live/a?token="+secret), rtmp.TypeVideo)
	res, body := r.get("live/a.flv")
	if res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Basic realm=") || strings.TrimSpace(string(body)) != "Who are you?" {
		t.Errorf("HTTP without a token: %s %v %s", res.Status, res.Header, body)
	}
	req := r.newGet("live/a.flv")
	req.SetBasicAuth("bob", secret)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Error("HTTP with a password:", res, err)
	}
	_ = res.Body.Close()
	for _, s := range r.sessions.List() {
		if s.Terms().User != "u42" || s.Terms().By != "hook" {
			t.Errorf("session %s %s: %+v", s.Protocol, s.Role(), s.Terms())
		}
	}
	first := h.questions("publish")[0]
	if first.Session.ID == "" || first.Session.Protocol != "rtmp" || !strings.HasPrefix(first.Session.Remote, "127.0.0.1:") || first.Stream.Path != "live/a" || !strings.HasPrefix(first.Session.Encoder, "FMLE/") {
		t.Errorf("%+v", first)
	}
	if _, metrics := get(t, r.adminURL("/metrics")); !strings.Contains(metrics, `weir_hook_seconds_count{hook="decision",result="allow"} 3`) || !strings.Contains(metrics, `weir_hook_seconds_count{hook="decision",result="deny"} 3`) {
		t.Error("the metrics do not count the decisions")
	}
}

// TestO02_RenamedSecret: a publisher whose name is its key publishes under another name, and its key is nowhere.
func TestO02_RenamedSecret(t *testing.T) {
	h := newHook(t, func(q question) (int, string) {
		if q.Stream.Name == secret {
			return 200, `{"path":"live/alice"}`
		}
		if q.Role == "play" {
			return 204, ""
		}
		return 403, ""
	})
	r := start(t, hooked(h, nil))
	r.liveHLS("live/" + secret)
	var st *rtmp.StatusError
	if _, err := r.publish(t.Context(), "live/"+secret+"x"); !errors.As(err, &st) || st.Code != rtmp.CodePublishDenied {
		t.Error("another name:", err)
	}
	next(t, r.mustPlay("live/alice"), rtmp.TypeVideo)
	for _, url := range []string{
		r.adminURL("/api/v1/streams"), r.adminURL("/api/v1/sessions"), r.adminURL("/metrics"), r.httpURL("live/alice/stream.json"),
		r.httpURL("live/alice/index.m3u8"),
	} {
		if status, body := get(t, url); status != http.StatusOK || strings.Contains(body, secret) {
			t.Errorf("%s: %d %s", url, status, body)
		}
	}
	// start looks for the key in the log.
}

// TestO09_HLSAsksOnce: the service is asked once about a viewer of HLS, not for each playlist and segment.
func TestO09_HLSAsksOnce(t *testing.T) {
	h := newHook(t, func(question) (int, string) { return 200, "" })
	r := start(t, hooked(h, nil))
	r.liveHLS("live/a")
	before := len(h.questions("play"))
	c := r.openHLS("live/a")
	for range 20 {
		c.play()
	}
	if n := len(h.questions("play")) - before; n != 1 {
		t.Errorf("asked %d times", n)
	}
	// The id in the question is that of the session. Another viewer that looks the same is not asked about, and is another one.
	r.openHLS("live/a").play()
	asked, sessions := h.questions("play")[before].Session.ID, r.hlsSessions()
	r.until("both have a session", func() bool { sessions = r.hlsSessions(); return len(sessions) == 2 })
	if asked == "" || sessions[0] == sessions[1] || asked != sessions[0] && asked != sessions[1] {
		t.Errorf("asked about %q, sessions %q", asked, sessions)
	}
}

// TestDecisionHookAgain: a service that is asked again ends a session.
func TestDecisionHookAgain(t *testing.T) {
	h := newHook(t, func(q question) (int, string) {
		if q.Action == "recheck" {
			return 403, `{"reason":"Enough."}`
		}
		return 200, `{"recheck":1}`
	})
	r := start(t, hooked(h, func(c *server.Config) { c.Streams[0].Publish.Grace = 0 }))
	publishSome(r.mustPublish("live/a"), 0, 15)
	r.until("the publisher is ended", func() bool { return strings.Contains(r.log.String(), "reason=revoked") })
	again := h.questions("recheck")
	if len(again) != 1 || again[0].Role != "publish" || again[0].Session.ID != h.questions("publish")[0].Session.ID {
		t.Errorf("%+v", again)
	}
}

// TestDecisionHookDown: what holds without the service is the operator's choice, and a change of it is made while the
// server runs.
func TestDecisionHookDown(t *testing.T) {
	h := newHook(t, func(question) (int, string) { return 500, "" })
	conf := hooked(h, nil)
	r := start(t, conf)
	var st *rtmp.StatusError
	if _, err := r.publish(t.Context(), "live/a"); !errors.As(err, &st) || !strings.Contains(st.Description, "try again later") {
		t.Error(err)
	}
	next := server.Default()
	conf(&next)
	next.Auth.Hook.OnError = "allow"
	change, err := r.Prepare(next)
	if err != nil {
		t.Fatal(err)
	}
	change.Apply()
	began := time.Now()
	r.mustPublish("live/a")
	if d := time.Since(began); d > 5*time.Second {
		t.Error(d)
	}
}

// TestDecisionHookAlways: a key that fits makes the question unnecessary, unless it is always asked: then both must allow.
func TestDecisionHookAlways(t *testing.T) {
	for when, want := range map[string]int{"no_key": 0, "always": 1} {
		h := newHook(t, func(question) (int, string) { return 403, "" })
		r := start(t, hooked(h, func(c *server.Config) {
			c.Auth.Hook.When = when
			c.Streams[0].Publish.Auth = []string{"keys", "hook"}
			c.Streams[0].Publish.Keys = []admit.Key{{Key: secret}}
		}))
		p, err := r.publish(t.Context(), "live/a?key="+secret)
		if err == nil {
			p.client.Close()
		}
		if n := len(h.questions("publish")); n != want || (err == nil) != (want == 0) {
			t.Errorf("%s: asked %d times, %v", when, n, err)
		}
	}
}
