package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A receiver takes the events of a hook, while it is up.
type receiver struct {
	addr string
	srv  *http.Server

	mu     sync.Mutex // guards below
	bodies [][]byte
}

// hookEvent is what the test looks at in an event.
type hookEvent struct {
	ID      string
	Seq     int
	Type    string
	Stream  *struct{ Path string }
	Session *struct {
		ID    string
		KeyID string `json:"key_id"`
	}
	Data map[string]any
}

// open makes the receiver listen, at its address if it has one.
func (r *receiver) open(t *testing.T) {
	t.Helper()
	addr := r.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	r.srv = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func(srv *http.Server) { _ = srv.Serve(ln) }(r.srv) // ends with close
}

// close makes it refuse connections.
func (r *receiver) close() { _ = r.srv.Close() }

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(io.LimitReader(q.Body, 1<<20))
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, body)
	w.WriteHeader(http.StatusNoContent)
}

// events returns what has come, each event once, in the order of its first coming.
func (r *receiver) events(t *testing.T) []hookEvent {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []hookEvent
	seen := map[string]bool{}
	for _, b := range r.bodies {
		var e hookEvent
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatalf("%v in %s", err, b)
		}
		if !seen[e.ID] {
			list = append(list, e)
		}
		seen[e.ID] = true
	}
	return list
}

// A day is an operator's, with what the server has emitted in it.
type day struct {
	t        *testing.T
	dir      string
	file     string
	weir     string
	s        *server
	receiver receiver
	emitted  bytes.Buffer // API answers, playlists, metrics
	logs     []string
	secrets  []string // that were made while the test ran
}

const (
	secretName = "n4me-0f-alice-7b1e" // the key that alice publishes under, as the name of her stream
	oldSecret  = "k3y-that-ran-out-9c"
	apiToken   = "t0ken-of-the-operator-5d"
	linkSecret = "signing-secret-0123456789abcdef0"
	hookSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
)

// write writes the configuration, with a line of its own.
func (d *day) write(extra string) {
	d.t.Helper()
	text := fmt.Sprintf(`log: {format: json, level: debug}
state: %[1]s/state
drain: 5s
rtmp: {listen: "127.0.0.1:0"}
http: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", token: %[2]s}
auth:
  signed: {keys: [{id: a, secret: %[3]s}]}
hooks:
  - {name: billing, url: "http://%[4]s/", directory: %[1]s/hooks, secret: "%[5]s"}
streams:
  - match: live/*
    publish:
      grace: 300ms
      keys:
        - {id: alice, key: %[6]s, label: Alice, path: live/alice}
        - {id: old, key: %[7]s, expires: 2020-01-01}
  - match: members/*
    publish: {grace: 300ms}
    play: {auth: [signed]}
%[8]s`, d.dir, apiToken, linkSecret, d.receiver.addr, hookSecret, secretName, oldSecret, extra)
	if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// run runs weir and returns its exit status and what it printed.
func (d *day) run(args ...string) (int, string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.weir, args...)
	cmd.Env = environ()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		d.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// ask asks the API, wants a status and keeps the answer.
func (d *day) ask(method, path, body string, status int) []byte {
	d.t.Helper()
	q, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+d.s.admin+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+apiToken)
	if method == http.MethodPatch {
		q.Header.Set("Content-Type", "application/merge-patch+json")
	}
	return d.do(q, status)
}

func (d *day) do(q *http.Request, status int) []byte {
	d.t.Helper()
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		d.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if a.StatusCode != status {
		d.t.Fatalf("%s %s: %s, want %d: %s", q.Method, q.URL.Path, a.Status, status, text)
	}
	fmt.Fprintln(&d.emitted, a.Header)
	d.emitted.Write(text)
	return text
}

// publish has ffmpeg publish a moving picture until it is ended.
func (d *day) publish(stream string) *process {
	d.t.Helper()
	p, err := start(d.t.Context(), command{sys: debian12(), args: []string{
		"ffmpeg", "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25", "-f", "lavfi", "-i", "sine",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-c:a", "aac", "-t", "120",
		"-f", "flv", d.s.rtmpURL(stream),
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

// sessions returns the sessions of the API in a role.
func (d *day) sessions(role string) (list []struct {
	ID, Role, Stream string
	KeyID            string `json:"key_id"`
},
) {
	d.t.Helper()
	var a struct {
		Sessions []struct {
			ID, Role, Stream string
			KeyID            string `json:"key_id"`
		}
	}
	if err := json.Unmarshal(d.ask(http.MethodGet, "/api/v1/sessions?limit=1000&role="+role, "", http.StatusOK), &a); err != nil {
		d.t.Fatal(err)
	}
	return a.Sessions
}

// publisher returns the session that publishes a stream and its key's id; empty if nobody does.
func (d *day) publisher(stream string) (id, key string) {
	d.t.Helper()
	for _, s := range d.sessions("publish") {
		if s.Stream == stream {
			return s.ID, s.KeyID
		}
	}
	return "", ""
}

func (d *day) until(what string, ok func() bool) {
	d.t.Helper()
	if err := every(d.t.Context(), 30*time.Second, func() error {
		if !ok() {
			return fmt.Errorf("waited in vain: %s\n%s", what, d.s.said())
		}
		return nil
	}); err != nil {
		d.t.Fatal(err)
	}
}

// TestOperatorsDay is one day with a server: what is configured, who comes, who is sent away, what is changed while
// 200 watch, what crashes, and in the end nothing is lost and no secret was told.
func TestOperatorsDay(t *testing.T) {
	d := &day{t: t, dir: t.TempDir(), weir: mustBuild(t)}
	d.file = filepath.Join(d.dir, "weir.yml")
	d.receiver.open(t)
	t.Cleanup(func() { d.receiver.close() })

	// A mistake is refused with its line and the nearest key.
	d.write("limit: {streams: 5}\n")
	if code, said := d.run("serve", "-c", d.file); code != 2 || !regexp.MustCompile(`weir\.yml:2\d:1`).MatchString(said) || !strings.Contains(said, "limits") {
		t.Fatalf("a wrong configuration: status %d: %s", code, said)
	}
	d.write("")
	d.s = runServer(t, "serve", "-c", d.file)
	t.Cleanup(func() { d.s.kill() })

	d.keys()
	d.changesUnderLoad()
	d.expiry()
	d.crash()

	// It stops in order, once those who are there have gone or their time is over.
	late := d.publish("live/" + secretName)
	d.until("alice publishes", func() bool { id, _ := d.publisher("live/alice"); return id != "" })
	begun := time.Now()
	_ = d.s.cmd.Process.Signal(syscall.SIGTERM)
	<-d.s.ended
	if d.s.err != nil || time.Since(begun) < 4*time.Second {
		t.Errorf("it stopped after %v: %v", time.Since(begun), d.s.err)
	}
	_ = late.wait()
	d.keepLog()
	d.wantNoSecrets()
}

// keys: right, wrong, expired and revoked keys, and a key that is the stream's name.
func (d *day) keys() {
	for _, stream := range []string{"live/nobody", "live/x?key=wrong", "live/x?key=" + oldSecret, "live/" + oldSecret} {
		if err := d.publish(stream).wait(); err == nil {
			d.t.Errorf("published %s", stream)
		}
	}
	alice := d.publish("live/" + secretName)
	d.until("alice publishes", func() bool { _, key := d.publisher("live/alice"); return key == "alice" })
	code, key := d.run("key", "new", "live/bob", "--label", "Bob", "-c", d.file)
	lines := strings.Fields(key)
	if code != 0 || len(lines) == 0 {
		d.t.Fatalf("key new: status %d: %s", code, key)
	}
	code, list := d.run("key", "list", "-c", d.file)
	made := regexp.MustCompile(`(?m)^(\S+).*Bob`).FindStringSubmatch(list)
	if code != 0 || made == nil {
		d.t.Fatalf("key list: status %d: %s", code, list)
	}
	secret := ""
	for _, word := range lines {
		if len(word) >= 20 && word != made[1] {
			secret = word
		}
	}
	bob := d.publish("live/bob?key=" + secret)
	d.until("bob publishes", func() bool { id, k := d.publisher("live/bob"); return id != "" && k == made[1] })
	if code, said := d.run("key", "revoke", made[1], "-c", d.file); code != 0 {
		d.t.Fatalf("key revoke: %s", said)
	}
	if err := bob.wait(); err == nil {
		d.t.Error("bob's encoder ended as if nothing had happened")
	}
	d.until("bob is gone", func() bool { id, _ := d.publisher("live/bob"); return id == "" })
	if err := d.publish("live/bob?key=" + secret).wait(); err == nil {
		d.t.Error("bob publishes with a key that was revoked")
	}
	// The one who is sent away is alice, and she may come back.
	id, _ := d.publisher("live/alice")
	d.ask(http.MethodDelete, "/api/v1/sessions/"+id, "", http.StatusNoContent)
	_ = alice.wait()
	d.until("alice is gone", func() bool { id, _ := d.publisher("live/alice"); return id == "" })
	if strings.Contains(secret, "\n") || secret == "" {
		d.t.Fatalf("no secret in %q", key)
	}
	d.logs = append(d.logs, list)
	d.secrets = append(d.secrets, secret)
}

// changesUnderLoad: a reload and a change through the API while 200 watch, none of whom loses a frame.
func (d *day) changesUnderLoad() {
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	bench := exec.CommandContext(ctx, d.weir, "bench", "players", d.s.rtmpURL("load/a"), "--publish", d.s.rtmpURL("load/a"),
		"--players", "200", "--bitrate", "400000", "--warmup", "1s", "--duration", "6s", "--json")
	bench.Env = environ()
	var out bytes.Buffer
	bench.Stdout, bench.Stderr = &out, &out
	if err := bench.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.until("200 watch", func() bool { return len(d.sessions("play")) >= 200 })
	d.write("  - match: other/*\n    latency: low\n")
	if err := d.s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		d.t.Fatal(err)
	}
	d.until("the file was read again", func() bool { return strings.Contains(d.s.whole(), `"msg":"configuration changed"`) })
	d.ask(http.MethodPatch, "/api/v1/config", `{"limits":{"connections":12345}}`, http.StatusOK)
	d.write("nonsense: true\n") // a mistake changes nothing
	d.ask(http.MethodPost, "/api/v1/config/reload", "", http.StatusUnprocessableEntity)
	d.write("")
	d.ask(http.MethodPost, "/api/v1/config/reload", "", http.StatusOK)
	if got := string(d.ask(http.MethodGet, "/api/v1/config", "", http.StatusOK)); !strings.Contains(got, "12345") {
		d.t.Errorf("what was changed through the API is lost: %s", got)
	}
	d.ask(http.MethodGet, "/metrics", "", http.StatusOK)
	if err := bench.Wait(); err != nil {
		d.t.Fatalf("%v\n%s", err, &out)
	}
	var result struct {
		Players struct {
			Players, Started, Lost, Torn, Repeated int
			Failed                                 map[string]int
		}
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		d.t.Fatalf("%v in %s", err, &out)
	}
	if p := result.Players; p.Players != 200 || p.Started != 200 || p.Lost+p.Torn+p.Repeated+len(p.Failed) > 0 {
		d.t.Errorf("the players noticed: %s", &out)
	}
}

// expiry: a link that is valid for a while, and a player that ends with it.
func (d *day) expiry() {
	members := d.publish("members/a")
	defer members.end(syscall.SIGTERM)
	d.until("members/a is live", func() bool { id, _ := d.publisher("members/a"); return id != "" })
	until := time.Now().Add(8 * time.Second).UTC().Truncate(time.Second)
	code, link := d.run("sign", "members/a", "--for", "1h", "--until", until.Format(time.RFC3339), "-c", d.file)
	if code != 0 {
		d.t.Fatalf("sign: %s", link)
	}
	link = strings.TrimSpace(link)
	d.secrets = append(d.secrets, regexp.MustCompile(`sig=(\S+)`).FindStringSubmatch(link)[1])
	url := "http://" + d.s.http + "/members/a/index.m3u8"
	q, _ := http.NewRequestWithContext(d.t.Context(), http.MethodGet, url, nil)
	d.do(q, http.StatusForbidden)
	q, _ = http.NewRequestWithContext(d.t.Context(), http.MethodGet, url+"?"+link, nil)
	d.do(q, http.StatusOK)
	player, err := start(d.t.Context(), command{sys: debian12(), args: []string{
		"ffmpeg", "-nostdin", "-v", "error", "-i", d.s.rtmpURL("members/a?" + link), "-c", "copy", "-f", "null", "-",
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	d.until("it plays", func() bool { return len(d.sessions("play")) > 0 })
	_ = player.wait()
	if late := time.Since(until); late < -time.Second || late > 5*time.Second {
		d.t.Errorf("the player ended %v after its time", late)
	}
}

// crash: the receiver of events is down, the server is killed meanwhile and starts again. Once the receiver is back it has
// every event once, numbered without a gap, each start with its stop.
func (d *day) crash() {
	alice := d.publish("live/" + secretName)
	d.until("alice publishes", func() bool { id, _ := d.publisher("live/alice"); return id != "" })
	d.receiver.close()
	bob := d.publish("free/b")
	d.until("free/b is live", func() bool { id, _ := d.publisher("free/b"); return id != "" })
	d.until("its start is on disk", func() bool {
		b, _ := exec.Command("grep", "-rl", "free/b", filepath.Join(d.dir, "hooks")).Output()
		return len(b) > 0
	})
	time.Sleep(1200 * time.Millisecond) // what is on disk is flushed once a second
	d.s.kill()
	_ = alice.wait()
	_ = bob.wait()
	d.keepLog()
	d.s = runServer(d.t, "serve", "-c", d.file)
	again := d.publish("live/" + secretName)
	d.until("alice is back", func() bool { id, _ := d.publisher("live/alice"); return id != "" })
	again.end(syscall.SIGTERM)
	d.until("alice has gone", func() bool { id, _ := d.publisher("live/alice"); return id == "" })
	d.receiver.open(d.t)
	open := func() map[string]string {
		started := map[string]string{}
		for _, e := range d.receiver.events(d.t) {
			switch e.Type {
			case "publish.start":
				started[e.Session.ID] = e.Stream.Path
			case "publish.stop":
				delete(started, e.Session.ID)
			}
		}
		return started
	}
	d.until("each start has its stop", func() bool {
		return len(open()) == 0 && strings.Contains(fmt.Sprint(d.receiver.events(d.t)), "crash")
	})
	d.until("nothing waits to be told", func() bool {
		var a struct{ Hooks []struct{ Queue int } }
		return json.Unmarshal(d.ask(http.MethodGet, "/api/v1/hooks", "", http.StatusOK), &a) == nil && len(a.Hooks) == 1 && a.Hooks[0].Queue == 0
	})
	seq, starts, stops, published := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for _, e := range d.receiver.events(d.t) {
		path := ""
		if e.Stream != nil {
			path = e.Stream.Path
		}
		if seq[path]++; e.Seq != seq[path] {
			d.t.Errorf("%s of %q has the number %d, want %d", e.Type, path, e.Seq, seq[path])
		}
		switch e.Type {
		case "publish.start":
			starts[e.Session.ID]++
			published[path]++
		case "publish.stop":
			stops[e.Session.ID]++
			if stops[e.Session.ID] > starts[e.Session.ID] {
				d.t.Errorf("a stop of %s before its start", e.Session.ID)
			}
		}
	}
	for id, n := range starts {
		if n != 1 || stops[id] != 1 {
			d.t.Errorf("session %s has %d starts and %d stops", id, n, stops[id])
		}
	}
	if want := map[string]int{"live/alice": 3, "live/bob": 1, "load/a": 1, "members/a": 1, "free/b": 1}; !maps.Equal(published, want) {
		d.t.Errorf("publishers that were told of: %v, want %v", published, want)
	}
}

// keepLog keeps what the server has logged, before the next one takes its place.
func (d *day) keepLog() { d.logs = append(d.logs, d.s.whole()) }

// wantNoSecrets looks for every secret in all that was emitted.
func (d *day) wantNoSecrets() {
	d.t.Helper()
	all := map[string]string{"API, playlists and metrics": d.emitted.String(), "log": strings.Join(d.logs, "\n")}
	for i, b := range d.receiver.bodies {
		all[fmt.Sprintf("event %d", i)] = string(b)
	}
	_ = filepath.WalkDir(filepath.Join(d.dir), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && path != d.file {
			b, _ := os.ReadFile(path)
			all["file "+path] = path + "\n" + string(b)
		}
		return nil
	})
	for _, secret := range append([]string{secretName, oldSecret, apiToken, linkSecret, hookSecret}, d.secrets...) {
		for where, text := range all {
			if i := strings.Index(text, secret); i >= 0 {
				d.t.Errorf("%s has the secret %s…: %s", where, secret[:4], text[max(0, i-200):min(len(text), i+len(secret)+60)])
			}
		}
	}
}

// TestSecondSignal: a server that drains goes on until a second signal.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "weir.yml")
	if err := os.WriteFile(file, []byte(listeners+"drain: 1m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := runServer(t, "serve", "-c", file)
	defer s.kill()
	if err := send(t, s, "live/a"); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := every(t.Context(), 10*time.Second, func() error {
		if !strings.Contains(s.whole(), "draining") {
			return fmt.Errorf("it does not drain: %s", s.said())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
		t.Fatalf("it ended at the first signal: %v", s.err)
	case <-time.After(500 * time.Millisecond):
	}
	begun := time.Now()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.ended
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the second signal took %v", took)
	}
}
