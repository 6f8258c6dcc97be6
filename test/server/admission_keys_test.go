package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/server"
	"weir/internal/session"
	"weir/rtmp"
)

// ends waits until a publisher's connection is refused further, and returns with what.
func (p *publisher) ends(t *testing.T) error {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < 10*time.Second; {
		if err := p.video(0, videoFrame(true, 1, 100)); err != nil {
			return err
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Fatal("the publisher goes on")
	return nil
}

// TestSecretName: a key that stands in the place of the stream's name is seen by its publisher alone.
func TestSecretName(t *testing.T) {
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Match, s.Publish.Keys = "live/*", []admit.Key{{ID: "alice", Key: secret, Path: "live/alice", Label: "Alice"}}
		c.Streams = []server.StreamConfig{s}
	})
	var st *rtmp.StatusError
	if _, err := r.publish(t.Context(), "live/alice"); !errors.As(err, &st) || st.Code != rtmp.CodePublishDenied {
		t.Error("the public name needs the key:", err)
	}
	if _, err := r.publish(t.Context(), "live/"+secret+"x"); !errors.As(err, &st) || st.Code != rtmp.CodePublishDenied {
		t.Error("a wrong key:", err)
	}
	publishSome(r.mustPublish("live/"+secret), 0, 15)
	next(t, r.mustPlay("live/alice"), rtmp.TypeVideo)
	if r.hub.Get("live/"+secret) != nil {
		t.Error("there is a stream with the key's name")
	}
	for _, path := range []string{"/api/v1/streams", "/api/v1/sessions", "/metrics"} {
		_, body := get(t, r.adminURL(path))
		if strings.Contains(body, secret) {
			t.Errorf("%s shows the key:\n%s", path, body)
		}
		if path == "/api/v1/streams" && !strings.Contains(body, "live/alice") {
			t.Errorf("%s:\n%s", path, body)
		}
	}
	// The harness looks for the key in the log.
}

// TestPlayersOfASecretName: who plays the key under which somebody publishes waits in vain, as for any name that nobody
// publishes, and nobody is told what it asked for.
func TestPlayersOfASecretName(t *testing.T) {
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Match, s.Publish.Keys, s.Play.Wait = "live/*", []admit.Key{{ID: "alice", Key: secret, Path: "live/alice"}}, 2*time.Second
		c.Streams = []server.StreamConfig{s}
	})
	publishSome(r.mustPublish("live/"+secret), 0, 15)
	if a := r.answer("live/" + secret + "/stream.json"); !strings.Contains(a, "offline") {
		t.Errorf("its description: %s", a)
	}
	const waiting = 3
	answers := map[string]chan string{}
	for _, name := range []string{secret, "nobody"} {
		told := make(chan string, waiting)
		answers[name] = told
		player := r.mustPlay("live/" + name)
		go func() { // each sends one answer, which is received below
			_, err := player.ReadMessage()
			told <- "rtmp: " + err.Error()
		}()
		for _, suffix := range []string{".flv", "/index.m3u8"} {
			go func() { told <- suffix + ": " + r.answer("live/"+name+suffix) }()
		}
	}
	for begin := time.Now(); len(r.inRole(session.Waiting)) < 2*waiting; <-time.After(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("they do not wait: %v", r.inRole(session.Waiting))
		}
	}
	for _, path := range []string{"/api/v1/streams", "/api/v1/sessions", "/metrics"} {
		_, body := get(t, r.adminURL(path))
		if strings.Contains(body, secret) || path != "/metrics" && !strings.Contains(body, `"live/***"`) {
			t.Errorf("%s:\n%s", path, body)
		}
	}
	told := map[string][]string{}
	for name, c := range answers {
		for range waiting {
			told[name] = append(told[name], strings.ReplaceAll(<-c, name, "NAME"))
		}
		slices.Sort(told[name])
	}
	if !slices.Equal(told[secret], told["nobody"]) {
		t.Errorf("the answers tell that it is a key: %q", told)
	}
	if log := r.log.String(); strings.Count(log, "stream=live/*** reason=not_found") != waiting {
		t.Error("the log does not say how they ended")
	}
	if _, err := r.publish(t.Context(), "live/***"); err == nil {
		t.Error("somebody publishes under the name that they wait for")
	}
	// The harness looks for the key in the log.
}

// answer returns what a viewer is answered: the status, where it is led, and the body.
func (r *running) answer(path string) string {
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.httpURL(path), nil)
	if err != nil {
		return err.Error()
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return fmt.Sprint(res.Status, " ", res.Header.Get("Location"), " ", string(body), err)
}

// inRole returns the streams of the sessions in a role.
func (r *running) inRole(role session.Role) (streams []string) {
	for _, s := range r.sessions.List() {
		if s.Role() == role {
			streams = append(streams, s.Stream())
		}
	}
	return streams
}

// TestKeysWhileRunning: a key that is made while the server runs admits, and the session ends when it is revoked.
func TestKeysWhileRunning(t *testing.T) {
	state := t.TempDir()
	r := start(t, func(c *server.Config) { c.State = state })
	publishSome(r.mustPublish("live/open"), 0, 5)
	file := admit.KeyFileIn(state)
	key, made, err := file.Add(admit.StoredKey{Role: "publish", Match: "live/*", Label: "Alice"})
	if err != nil {
		t.Fatal(err)
	}
	kept, keptKey, err := file.Add(admit.StoredKey{Role: "publish", Match: "live/*"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.publish(t.Context(), "live/a?key="+key) // it is known at once
	for begin := time.Now(); err != nil && time.Since(begin) < 5*time.Second; {
		<-time.After(100 * time.Millisecond) // unless the file was looked at a moment ago
		p, err = r.publish(t.Context(), "live/a?key="+key)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.client.Close()
	publishSome(p, 0, 5)
	var st *rtmp.StatusError
	if _, err := r.publish(t.Context(), "live/b"); !errors.As(err, &st) || st.Code != rtmp.CodePublishDenied {
		t.Error("without the key, which is known by now:", err)
	}
	k := r.mustPublish("live/k?key=" + kept)
	publishSome(k, 0, 5)
	begin := time.Now()
	if _, err := file.Revoke(keptKey.ID, true); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Revoke(made.ID, false); err != nil {
		t.Fatal(err)
	}
	err = p.ends(t)
	t.Logf("ended %v after it was revoked: %v", time.Since(begin).Round(time.Millisecond), err)
	if took := time.Since(begin); took > 5*time.Second {
		t.Error("it took", took)
	}
	if err := k.video(1000, videoFrame(true, 100, 100)); err != nil {
		t.Error("a session that was to be kept:", err)
	}
	for _, again := range []string{"live/a?key=" + key, "live/k2?key=" + kept} {
		if _, err := r.publish(t.Context(), again); !errors.As(err, &st) || st.Code != rtmp.CodePublishDenied {
			t.Error("with a revoked key:", err)
		}
	}
	if log := r.log.String(); strings.Contains(log, key) || !strings.Contains(log, "reason=revoked") {
		t.Error("the log has the key, or not the reason")
	}
}

// TestKeysByTheAPI makes, lists and revokes a key through the API.
func TestKeysByTheAPI(t *testing.T) {
	r := start(t, func(c *server.Config) { c.State = t.TempDir() })
	call := func(method, path, body string, want int, into any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, r.adminURL("/api/v1/keys"+path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != want {
			t.Fatalf("%s %s: %s, %v\n%s", method, path, res.Status, err, b)
		}
		if into != nil {
			if err := json.Unmarshal(b, into); err != nil {
				t.Fatal(err)
			}
		}
	}
	var made struct {
		Key    struct{ ID string }
		Secret string
	}
	call(http.MethodPost, "", `{"id":"cam1","role":"publish","match":"live/*","path":"live/door","label":"Front door"}`, http.StatusCreated, &made)
	call(http.MethodPost, "", `{"id":"cam1","role":"publish","match":"live/*"}`, http.StatusUnprocessableEntity, nil)
	call(http.MethodPost, "", `{"role":"publish","match":"live//x"}`, http.StatusUnprocessableEntity, nil)
	p := r.mustPublish("live/" + made.Secret)
	publishSome(p, 0, 5)
	if r.hub.Get("live/door") == nil {
		t.Error("the key does not lead to live/door")
	}
	var list struct {
		Keys []struct {
			ID       string
			LastUsed time.Time `json:"last_used"`
			Revoked  time.Time
		}
	}
	call(http.MethodGet, "", "", http.StatusOK, &list)
	if len(list.Keys) != 1 || list.Keys[0].ID != "cam1" || time.Since(list.Keys[0].LastUsed) > time.Minute || !list.Keys[0].Revoked.IsZero() {
		t.Errorf("%+v", list)
	}
	call(http.MethodDelete, "/nobody", "", http.StatusNotFound, nil)
	begin := time.Now()
	call(http.MethodDelete, "/cam1", "", http.StatusNoContent, nil)
	_ = p.ends(t)
	t.Logf("ended %v after it was revoked", time.Since(begin).Round(time.Millisecond))
	if strings.Contains(r.log.String(), made.Secret) {
		t.Error("the log has the key")
	}
}

// TestKeyRunsOut: the session ends when its key does.
func TestKeyRunsOut(t *testing.T) {
	end := time.Now().Add(1500 * time.Millisecond)
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Publish.Keys = []admit.Key{{Key: secret, Expires: end}}
		c.Streams = []server.StreamConfig{s}
	})
	p := r.mustPublish("live/a?key=" + secret)
	publishSome(p, 0, 5)
	_ = p.ends(t)
	if late := time.Since(end); late < 0 || late > time.Second {
		t.Errorf("it ended %v after the key", late)
	}
	var st *rtmp.StatusError
	if _, err := r.publish(t.Context(), "live/a?key="+secret); !errors.As(err, &st) || st.Code != rtmp.CodePublishDenied {
		t.Error(err)
	}
	if !strings.Contains(r.log.String(), "reason=expired") {
		t.Error("the log does not say why")
	}
}

// TestSignedLinkEverywhere: one link, by RTMP, by HTTP and by HLS.
func TestSignedLinkEverywhere(t *testing.T) {
	key := admit.SigningKey{ID: "a", Secret: secret + "-0123456789"}
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Play.Auth = []string{admit.BySigned}
		c.Auth.Signed.Keys, c.Streams = []admit.SigningKey{key}, []server.StreamConfig{s}
	})
	p := r.mustPublish("live/a")
	publishSome(p, 0, 30)
	link := key.Sign(&admit.Signed{Role: session.Play, Path: "live/a", Expires: time.Now().Add(time.Minute)})
	next(t, r.mustPlay("live/a?"+link), rtmp.TypeVideo)
	for _, path := range []string{"live/a.flv", "live/a.ts", "live/a/snapshot.mp4"} {
		for query, want := range map[string]int{"": http.StatusForbidden, "?" + link: http.StatusOK, "?x=" + link: http.StatusForbidden} {
			ctx, cancel := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.httpURL(path+query), nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != want {
				t.Errorf("%s %s: %s", path, query, res.Status)
			}
			cancel()
			res.Body.Close()
		}
	}
	if log := r.log.String(); strings.Contains(log, link[strings.Index(link, "sig="):]) {
		t.Error("the log has the signature")
	}
}

// TestUserAndPassword: where all publishers have a user, encoders are asked for it, and players are not.
func TestUserAndPassword(t *testing.T) {
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Match, s.Publish.Keys = "live/*", []admit.Key{{ID: "joe", User: "joe", Key: secret}, {User: "eve", Key: secret + "-of-eve", Path: "live/eve"}}
		c.Streams = []server.StreamConfig{s}
	})
	host := r.Addr("rtmp").String()
	publish := func(user, path string) (*rtmp.Client, error) {
		c, err := rtmp.Dial(t.Context(), "rtmp://"+user+host+"/"+path, rtmp.DialOptions{})
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		_, err = c.Publish(t.Context())
		return c, err
	}
	for _, user := range []string{"", "joe:wrong@", "jim:" + secret + "@", "eve:" + secret + "@"} {
		if _, err := publish(user, "live/a"); !errors.Is(err, rtmp.ErrAuthFailed) {
			t.Errorf("as %q: %v", user, err)
		}
	}
	if _, err := publish("joe:"+secret+"@", "live/a"); err != nil {
		t.Fatal(err)
	}
	if _, err := publish("eve:"+secret+"-of-eve@", "live/x"); err != nil || r.hub.Get("live/eve") == nil || r.hub.Get("live/x") != nil {
		t.Error("a user whose key leads elsewhere:", err)
	}
	if _, err := publish("", "other/a"); err != nil {
		t.Error("an app without users:", err)
	}
	c, err := rtmp.Dial(t.Context(), r.url("live/a"), rtmp.DialOptions{Plays: true})
	if err != nil {
		t.Fatal("a player is asked for a user:", err)
	}
	defer c.Close()
	if _, err := c.Play(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestUserAndPasswordOfFFmpeg publishes as users of ffmpeg do, with user and password in the URL.
func TestUserAndPasswordOfFFmpeg(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Fatal("ffmpeg is missing: scripts/install test installs it")
	}
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Match, s.Publish.Keys = "live/*", []admit.Key{{User: "joe", Key: secret}}
		c.Streams = []server.StreamConfig{s}
	})
	push := func(user string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", "-f", "flv",
			"rtmp://"+user+r.Addr("rtmp").String()+"/live/f").CombinedOutput()
		return string(out), err
	}
	if out, err := push("joe:" + secret + "@"); err != nil || r.hub.Get("live/f") == nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, user := range []string{"joe:wrong@", ""} {
		if out, err := push(user); err == nil {
			t.Errorf("as %q: it publishes\n%s", user, out)
		}
	}
}
