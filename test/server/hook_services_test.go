package server_test

import (
	"bufio"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/amf"
	"weir/format/m3u8"
	"weir/internal/hook/deliver"
	"weir/internal/server"
	"weir/rtmp"
)

// upgrade is the header of a request for a WebSocket.
var upgrade = []string{
	"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
}

// TestSentElsewhere: a decision that sends peers to another server is told in the words of each protocol.
func TestSentElsewhere(t *testing.T) {
	const to = "rtmp://other.example/live/a"
	h := newHook(t, func(question) (int, string) { return 200, `{"redirect":"` + to + `"}` })
	r := start(t, hooked(h, nil))
	_, published := r.publish(t.Context(), "live/a")
	_, _, played := r.play(t.Context(), "live/a")
	for what, err := range map[string]error{"publish": published, "play": played} {
		st, ok := errors.AsType[*rtmp.StatusError](err)
		if !ok || st.Level != rtmp.LevelError || st.Code != rtmp.CodeConnectRejected || st.Description != "The stream is on another server." {
			t.Errorf("%s: %v", what, err)
			continue
		}
		i := slices.IndexFunc(st.Properties, func(p amf.Property) bool { return p.Key == "ex" })
		if i < 0 {
			t.Errorf("%s: %v", what, st.Properties)
			continue
		}
		ex, _ := amf.Properties(st.Properties[i].Value)
		there, _ := ex.GetString("redirect")
		if code, _ := ex.GetNumber("code"); there != to || code != 302 {
			t.Errorf("%s: %v", what, ex)
		}
	}
	for path, header := range map[string][]string{
		"live/a.flv": nil, "live/a.ts": nil, "live/a/index.m3u8": nil, "live/a.flv?ws": upgrade, "live/a.ts?ws": upgrade,
	} {
		res, body := r.get(path, header...)
		if res.StatusCode != http.StatusTemporaryRedirect || res.Header.Get("Location") != to || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s %v %s", path, res.Status, res.Header, body)
		}
	}
}

// answering starts one of the services that were written for other servers, and returns its address.
func answering(t *testing.T, script string) string {
	t.Helper()
	program := map[string]string{".py": "python3", ".js": "node"}[filepath.Ext(script)]
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is missing: scripts/install test installs Python, and Node comes from elsewhere", program)
	}
	cmd := exec.CommandContext(t.Context(), program, filepath.Join("..", "..", "internal", "hook", "decide", "testdata", script))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port) + "/auth"
}

// TestAnsweringServices asks services that were written for other servers through the whole server: publishers, players by
// RTMP and viewers of HLS are let in, refused and renamed as these say, and refused in time by one that is slow or dead.
func TestAnsweringServices(t *testing.T) {
	const renamed = "s3cret-of-alice"
	for _, c := range []struct {
		format, script, reason string
		status                 int // of HTTP, for who is refused
		renames, renamesPlay   bool
	}{
		{"weir", "weir_auth.py", "not on the list", 403, true, true},
		{"nginx-rtmp", "nginx_auth.py", "Not allowed.", 403, true, true},
		{"nginx-rtmp", "nginx_auth.js", "The login is missing or wrong.", 401, true, false},
		{"srs", "srs_server.py", "Not allowed.", 403, false, false},
		{"srs", "srs_server.js", "invalid token", 403, false, false},
		{"mediamtx", "mediamtx_auth.py", "Not allowed.", 403, false, false},
		{"ome", "ome_admission.js", "not on the list", 403, true, true},
	} {
		t.Run(c.script, func(t *testing.T) {
			t.Parallel()
			to := answering(t, c.script)
			configure := func(timeout time.Duration) func(*server.Config) {
				return func(conf *server.Config) {
					s := server.DefaultStream()
					s.Publish.Auth, s.Play.Auth = []string{"hook"}, []string{"hook"}
					conf.Streams = []server.StreamConfig{s}
					conf.Auth.Hook.URL, conf.Auth.Hook.Format, conf.Auth.Hook.Timeout = to, c.format, timeout
					if c.format == "ome" {
						conf.Auth.Hook.Secret = "1234"
					}
				}
			}
			r := start(t, configure(10*time.Second))
			refused := func(what string, err error, text string) {
				t.Helper()
				if st, ok := errors.AsType[*rtmp.StatusError](err); !ok || !strings.Contains(st.Description, text) {
					t.Errorf("%s: %v", what, err)
				}
			}
			r.liveHLS("live/a?token=good")
			next(t, r.mustPlay("live/a?token=good"), rtmp.TypeVideo)
			if res, b := r.get("live/a/index.m3u8?token=good"); res.StatusCode != http.StatusOK {
				t.Errorf("HLS: %s %s", res.Status, b)
			}
			_, err := r.publish(t.Context(), "live/b?token=bad")
			refused("publish", err, c.reason)
			_, _, err = r.play(t.Context(), "live/a?token=bad")
			refused("play", err, c.reason)
			if res, b := r.get("live/a/index.m3u8?token=bad"); res.StatusCode != c.status || strings.TrimSpace(string(b)) != c.reason {
				t.Errorf("HLS with a wrong token: %s %s", res.Status, b)
			}
			if c.renames {
				publishSome(r.mustPublish("live/"+renamed), 0, 15)
				r.arrived("live/alice", 1)
				if r.hub.Get("live/"+renamed) != nil {
					t.Error("the stream has its secret name")
				}
			}
			if c.renamesPlay {
				next(t, r.mustPlay("live/"+renamed), rtmp.TypeVideo)
				res, _ := r.get("live/" + renamed + "/index.m3u8")
				if to := res.Header.Get("Location"); res.StatusCode != http.StatusFound || !strings.HasPrefix(to, "./../../live/alice/index.m3u8?v=") {
					t.Errorf("HLS, renamed: %s to %q", res.Status, to)
				}
			}
			conf := server.Default()
			configure(300 * time.Millisecond)(&conf)
			conf.RTMP.Listen, conf.HTTP.Listen, conf.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
			change, err := r.Prepare(conf)
			if err != nil {
				t.Fatal(err)
			}
			change.Apply()
			for _, name := range []string{"slow", "dead", "dead"} { // it ends at the first of these, and is not there at the second
				begun := time.Now()
				_, err := r.publish(t.Context(), "live/"+name+"?token=good")
				refused(name, err, "try again later")
				if took := time.Since(begun); took > 5*time.Second {
					t.Errorf("%s took %v", name, took)
				}
			}
			if res, _ := r.get("live/dead/index.m3u8?token=good"); res.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("HLS without a service: %s", res.Status)
			}
			if _, metrics := get(t, r.adminURL("/metrics")); !strings.Contains(metrics, `weir_hook_failures_total{hook="decision"} 4`) {
				t.Error("the metrics do not count the failures")
			}
			if log := r.log.String(); strings.Contains(log, "token=") || strings.Contains(log, renamed) {
				t.Error("the log has a secret in it")
			}
		})
	}
}

// TestO12_RenewedToken: a viewer of HLS whose time is bounded goes on when it shows a newer token; who shows none does not.
func TestO12_RenewedToken(t *testing.T) {
	t.Parallel()
	h := newHook(t, func(q question) (int, string) {
		if q.Role != "play" {
			return 200, ""
		}
		end := time.Now().Add(1500 * time.Millisecond)
		if slices.Equal(q.Stream.Query["token"], []string{"second"}) {
			end = end.Add(time.Hour)
		}
		return 200, `{"user":"ann","until":"` + end.UTC().Format(time.RFC3339Nano) + `"}`
	})
	r := start(t, hooked(h, nil))
	r.liveHLS("live/a")
	open := func() *hlsClient {
		res, b := r.get("live/a/index.m3u8?token=first")
		m, err := m3u8.ParseMultivariant(b)
		if err != nil {
			t.Fatal(res.Status, err)
		}
		c := &hlsClient{running: r, dir: "live/a/", media: "live/a/" + m.Variants[0].URI}
		c.play()
		return c
	}
	before := len(h.questions("play"))
	stays, leaves := open(), open()
	r.until("both have a session", func() bool { return len(r.hlsSessions()) == 2 })
	for range 3 {
		stays.playlist("token=second")
	}
	if n := len(h.questions("play")) - before; n > 3 || n < 2 { // the first answer may hold for the second viewer
		t.Errorf("asked %d times", n)
	}
	r.until("one has ended", func() bool { return len(r.hlsSessions()) == 1 })
	stays.play()
	if res, _ := r.get(leaves.media); res.StatusCode != http.StatusForbidden {
		t.Errorf("the other one: %s", res.Status)
	}
	if strings.Contains(r.log.String(), "token=") {
		t.Error("the log has a token in it")
	}
}

// TestO10_CDN: a CDN is one viewer of the stream whatever its address, its playlists have no ids, and nobody is asked
// about it.
func TestO10_CDN(t *testing.T) {
	t.Parallel()
	const shared = "0123456789abcdef"
	h := newHook(t, func(q question) (int, string) {
		if q.Role == "play" {
			return 403, ""
		}
		return 200, ""
	})
	r := start(t, hooked(h, func(c *server.Config) { c.Streams[0].HLS.CDNSecret = shared }))
	r.liveHLS("live/a")
	res, b := r.get("live/a/index.m3u8", "X-CDN-Secret", shared)
	m, err := m3u8.ParseMultivariant(b)
	if err != nil || res.Header.Get("Cache-Control") != "max-age=1" || strings.Contains(string(b), "?") {
		t.Fatalf("%s %v %v\n%s", res.Status, res.Header, err, b)
	}
	for range 3 {
		if res, b := r.get("live/a/"+m.Variants[0].URI, "X-CDN-Secret", shared); res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", res.Status, b)
		}
	}
	if n := len(r.hlsSessions()); n != 1 || len(h.questions("play")) != 0 {
		t.Errorf("%d sessions, asked %d times", n, len(h.questions("play")))
	}
	for _, secret := range []string{"", shared + "x"} {
		if res, _ := r.get("live/a/"+m.Variants[0].URI, "X-CDN-Secret", secret); res.StatusCode != http.StatusForbidden {
			t.Errorf("%q: %s", secret, res.Status)
		}
	}
}

// TestConnections: a service written for nginx-rtmp is asked when a peer connects, may refuse it or give it another app, and
// is told when it has gone, with what it showed.
func TestConnections(t *testing.T) {
	t.Parallel()
	told := make(chan url.Values, 10)
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := req.ParseForm(); err != nil {
			t.Error(err)
		}
		switch f := req.PostForm; {
		case req.URL.Path == "/told":
			told <- f
		case f.Get("call") == "connect" && f.Get("app") == "studio":
			w.Header().Set("Location", "live")
			w.WriteHeader(http.StatusFound)
		case f.Get("call") == "connect" && f.Get("app") == "closed":
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(h.Close)
	r := start(t, func(c *server.Config) {
		c.Auth.Hook.Format, c.Auth.Hook.ConnectURL = "nginx-rtmp", h.URL+"/ask"
		hook := deliver.DefaultConfig()
		hook.URL, hook.Format, hook.Query, hook.Calls = h.URL+"/told", "nginx-rtmp", true, []string{"publish_done", "done", "disconnect"}
		c.Hooks = []deliver.Config{hook}
	})
	_, err := r.publish(t.Context(), "closed/a")
	if st, ok := errors.AsType[*rtmp.StatusError](err); !ok || st.Code != rtmp.CodeConnectRejected {
		t.Error("a connection that is refused:", err)
	}
	p := r.mustPublish("studio/a?token=" + secret)
	publishSome(p, 0, 15)
	r.arrived("live/a", 1)
	_ = p.client.Close()
	got := map[string]url.Values{}
	for len(got) < 3 {
		select {
		case f := <-told:
			got[f.Get("call")] = f
		case <-time.After(patience):
			t.Fatal(got)
		}
	}
	for _, call := range []string{"publish_done", "done"} {
		if f := got[call]; f.Get("app") != "live" || f.Get("name") != "a" || f.Get("token") != secret || f.Get("tcurl") != r.url("studio") {
			t.Errorf("%s: %v", call, f)
		}
	}
	if f := got["disconnect"]; f.Get("app") != "live" || f.Get("clientid") != got["done"].Get("clientid") {
		t.Errorf("disconnect: %v", f)
	}
}

// TestInProcessIsAsked: what the program publishes itself is asked about where the configuration says so.
func TestInProcessIsAsked(t *testing.T) {
	t.Parallel()
	h := newHook(t, func(q question) (int, string) {
		if q.Stream.Name == "b" {
			return 403, ""
		}
		return 200, `{"path":"live/alice"}`
	})
	for _, asks := range []bool{false, true} {
		r := start(t, hooked(h, func(c *server.Config) { c.Auth.Hook.InProcess = asks }))
		p, err := r.InProcess().PublishLocal(t.Context(), "live/a")
		if err != nil {
			t.Fatal(err)
		}
		if renamed := r.hub.Get("live/alice") != nil; renamed != asks {
			t.Errorf("in_process %v: renamed %v", asks, renamed)
		}
		p.Close()
		if p, err = r.InProcess().PublishLocal(t.Context(), "live/b"); err == nil {
			p.Close()
		}
		if (err != nil) != asks {
			t.Errorf("in_process %v: %v", asks, err)
		}
	}
	if l := h.questions("publish"); len(l) != 2 || l[0].Session.Protocol != "in-process" || l[0].Session.ID == "" {
		t.Errorf("%+v", l)
	}
}
