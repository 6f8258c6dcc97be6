package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weir/rtmp"
)

// A day is an operator's, with what the server has emitted in it.
type day struct {
	t        *testing.T
	dir      string
	file     string
	weir     string
	s        *server
	receiver receiver
	invites  *service
	traces   *receiver
	quiet    *process          // a publisher of whom nothing is heard any more
	emitted  bytes.Buffer      // API answers, playlists, metrics, and what publishers were told
	read     map[string]string // everything that the server shows, by URL
	logs     []string
	secrets  []string // that were made while the test ran

	mu     sync.Mutex // guards below
	stream []string   // what the API said of events, all day
}

const (
	secretName = "n4me-0f-alice-7b1e" // the key that alice publishes under, as the name of her stream
	guestName  = "n4me-0f-a-guest-c3" // what a guest publishes under, which the decision hook knows
	password   = "passw0rd-of-d4ve-11"
	oldSecret  = "k3y-that-ran-out-9c"
	apiToken   = "t0ken-of-the-operator-5d"
	linkSecret = "signing-secret-0123456789abcdef0"
	hookSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
	pushKey    = "stre4m-key-at-4nother-service" // where the guest's stream is also sent, as the decision hook says
)

// TestOperatorsDay is one day with a server: what is configured, who comes, who is sent away, what is changed while
// 200 watch, what crashes, and in the end nothing is lost and no secret was told.
func TestOperatorsDay(t *testing.T) {
	t.Parallel()
	d := &day{t: t, dir: t.TempDir(), weir: mustBuild(t)}
	d.file = filepath.Join(d.dir, "weir.yml")
	d.receiver.open(t)
	t.Cleanup(func() { d.receiver.close() })
	d.traces = receive(t, &receiver{})
	d.invites = answering(t, func(q question) string {
		if q.Stream.Name == guestName && q.Stream.Query["token"] == nil {
			return `{"path":"guests/carol","user":"carol","push":[{"name":"elsewhere","url":"rtmp://127.0.0.1:1/app","key":"` + pushKey + `"}]}`
		}
		return `{"allow":false,"reason":"You are not invited."}`
	})

	// A mistake is refused with its line and the nearest key.
	d.write("limit: {streams: 5}\n")
	if code, said := d.run("serve", "-c", d.file); code != 2 || !regexp.MustCompile(`weir\.yml:2\d:1`).MatchString(said) || !strings.Contains(said, "limits") {
		t.Fatalf("a wrong configuration: status %d: %s", code, said)
	}
	d.write("")
	d.s = runServer(t, "serve", "-c", d.file)
	t.Cleanup(func() { d.s.kill() })
	d.watch()

	d.keys()
	d.invited()
	d.changesUnderLoad()
	d.told()
	d.expiry()
	d.blackHole()
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
	for _, stream := range []string{"live/nobody", "live/x?key=wrong", "live/x?key=" + oldSecret, "live/" + oldSecret, "live/x?user=dave&pass=" + password + "x"} {
		d.refused(stream)
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
	d.until("it is heard", func() bool { // one who goes before its media comes is not
		return slices.ContainsFunc(d.receiver.events(d.t), func(e hookEvent) bool { return e.Type == "publish.start" && e.path() == "live/bob" })
	})
	if code, said := d.run("key", "revoke", made[1], "-c", d.file); code != 0 {
		d.t.Fatalf("key revoke: %s", said)
	}
	if err := bob.wait(); err == nil {
		d.t.Error("bob's encoder ended as if nothing had happened")
	}
	d.until("bob is gone", func() bool { id, _ := d.publisher("live/bob"); return id == "" })
	d.refused("live/bob?key=" + secret)
	d.look(map[string]string{"live/alice": ""})
	d.mistaken()
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

// mistaken: players who ask for what alice publishes under. While they wait, and afterwards, nobody is told what that was.
func (d *day) mistaken() {
	var wg sync.WaitGroup
	for _, suffix := range []string{".flv", ".ts", "/index.m3u8"} {
		wg.Go(func() {
			q, _ := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "http://"+d.s.http+"/live/"+secretName+suffix, nil)
			a, err := http.DefaultClient.Do(q)
			if err != nil {
				d.t.Error(err)
				return
			}
			_ = a.Body.Close()
			if a.StatusCode != http.StatusNotFound {
				d.t.Errorf("%s: %s", suffix, a.Status)
			}
		})
	}
	d.until("they wait", func() bool { return len(d.sessions("waiting")) == 3 })
	d.look(nil)
	wg.Wait()
	q, _ := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "http://"+d.s.http+"/live/"+secretName+"/stream.json", nil)
	d.do(q, http.StatusOK)
}

// invited: a guest whom the decision hook lets in under another name, and one whom it does not; and a publisher falls silent,
// without a word, as one whose network is gone.
func (d *day) invited() {
	d.refused("guests/" + guestName + "?token=" + oldSecret)
	guest := mustSpeak(d.t, d.s.rtmpURL("guests/"+guestName))
	d.until("carol publishes", func() bool { id, _ := d.publisher("guests/carol"); return id != "" })
	d.until("it is heard that her stream is sent nowhere else", func() bool {
		return slices.ContainsFunc(d.receiver.events(d.t), func(e hookEvent) bool { return e.Type == "push.failed" && e.path() == "guests/carol" })
	})
	d.look(map[string]string{"guests/carol": ""})
	guest.lose()
	dave, err := speak(d.t.Context(), d.s.rtmpURL("live/dave?user=dave&pass="+password), rtmp.DialOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	dave.lose()
	d.quiet = d.publish("quiet/a")
	d.until("it is heard", func() bool {
		return slices.ContainsFunc(d.receiver.events(d.t), func(e hookEvent) bool { return e.Type == "publish.start" && e.path() == "quiet/a" })
	})
	if err := d.quiet.signal(stopped); err != nil {
		d.t.Fatal(err)
	}
}

// blackHole: the one who fell silent has had a stop, once, and for that reason (O03).
func (d *day) blackHole() {
	defer d.quiet.end(syscall.SIGKILL)
	stops := func() (list []hookEvent) {
		for _, e := range d.receiver.events(d.t) {
			if e.path() == "quiet/a" && strings.HasPrefix(e.Type, "publish.") {
				list = append(list, e)
			}
		}
		return list
	}
	d.until("the silent publisher is ended", func() bool { return len(stops()) == 2 })
	list := stops()
	wantTypes(d.t, list, "publish.start", "publish.stop idle")
	if took := list[1].Time.Sub(list[0].Time); took < 10*time.Second || took > 21*time.Second {
		d.t.Errorf("the silent publisher was ended after %v", took)
	}
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

// told: viewers and callers of the API who show what is none are told so.
func (d *day) told() {
	for name, status := range map[string]int{ // what viewers are told who show what is none
		"members/a.flv?exp=2000000000&kid=a&sig=" + linkSecret: http.StatusForbidden, "members/a.flv?key=" + oldSecret: http.StatusForbidden,
	} {
		q, _ := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "http://"+d.s.http+"/"+name, nil)
		d.do(q, status)
	}
	q, _ := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "http://"+d.s.admin+"/api/v1/version", nil)
	q.Header.Set("Authorization", "Bearer "+apiToken+"x")
	d.do(q, http.StatusUnauthorized)
	d.ask(http.MethodPatch, "/api/v1/config", `{"hooks":[{"name":"x","url":"http://`+d.receiver.addr+`/`+oldSecret+`","secret":"`+hookSecret+`x"}]}`, http.StatusUnprocessableEntity)
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
	d.look(map[string]string{"members/a": "?" + link})
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
	d.watch()
	again := d.publish("live/" + secretName)
	d.until("alice is back", func() bool { id, _ := d.publisher("live/alice"); return id != "" })
	again.end(syscall.SIGTERM)
	d.until("alice has gone", func() bool { id, _ := d.publisher("live/alice"); return id == "" })
	d.until("the receiver was tried in vain", func() bool { return d.attempts() >= 2 })
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
	list := d.receiver.events(d.t)
	if open, err := paired(list); err != nil || open != 0 {
		d.t.Errorf("%d publish or play: %v", open, err)
	}
	if err := complete(list); err != nil {
		d.t.Error(err)
	}
	published := map[string]int{}
	for _, e := range list {
		if e.Type == "publish.start" {
			published[e.path()]++
		}
	}
	want := map[string]int{"live/alice": 3, "live/bob": 1, "live/dave": 1, "guests/carol": 1, "quiet/a": 1, "load/a": 1, "members/a": 1, "free/b": 1}
	if !maps.Equal(published, want) {
		d.t.Errorf("publishers that were told of: %v, want %v", published, want)
	}
	d.receiver.mu.Lock()
	defer d.receiver.mu.Unlock()
	for id, n := range d.receiver.acked {
		if n != 1 {
			d.t.Errorf("event %s was acknowledged, and came %d times", id, n)
		}
	}
}

// attempts returns how often the server has tried in vain to tell of an event, at most.
func (d *day) attempts() (most int) {
	d.t.Helper()
	var a struct {
		Deliveries []struct {
			Attempts int
			Done     bool
		}
	}
	if err := json.Unmarshal(d.ask(http.MethodGet, "/api/v1/hooks/billing/deliveries", "", http.StatusOK), &a); err != nil {
		d.t.Fatal(err)
	}
	for _, x := range a.Deliveries {
		if !x.Done {
			most = max(most, x.Attempts)
		}
	}
	return most
}

// keepLog keeps what the server has logged, before the next one takes its place.
func (d *day) keepLog() { d.logs = append(d.logs, d.s.whole()) }

// wantNoSecrets looks for every secret in all that was emitted.
func (d *day) wantNoSecrets() {
	d.t.Helper()
	all := map[string]string{"API, playlists and metrics": d.emitted.String(), "log": strings.Join(d.logs, "\n")}
	maps.Copy(all, d.read)
	for i, b := range d.receiver.bodies {
		all[fmt.Sprintf("event %d", i)] = string(b)
	}
	for i, b := range d.traces.bodies {
		all[fmt.Sprintf("trace %d", i)] = string(b)
	}
	d.mu.Lock()
	all["events of the API"] = strings.Join(d.stream, "")
	d.mu.Unlock()
	if len(d.traces.bodies) == 0 || d.watched("publish.start") < 9 || len(d.read) < 40 {
		d.t.Errorf("%d traces, %d starts that the API told of, %d answers: that is not the whole day", len(d.traces.bodies), d.watched("publish.start"), len(d.read))
	}
	recorded := 0
	_ = filepath.WalkDir(filepath.Join(d.dir), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && path != d.file {
			b, _ := os.ReadFile(path)
			if strings.HasPrefix(path, filepath.Join(d.dir, "rec", "live", "alice")) || strings.HasPrefix(path, filepath.Join(d.dir, "rec", "guests", "carol")) {
				recorded++
			}
			all["file "+path] = path + "\n" + string(b)
		}
		return nil
	})
	if recorded < 3 {
		d.t.Errorf("%d recordings of renamed streams", recorded)
	}
	for _, secret := range append([]string{secretName, guestName, password, oldSecret, apiToken, linkSecret, hookSecret, pushKey}, d.secrets...) {
		wantNowhere(d.t, secret, all)
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
