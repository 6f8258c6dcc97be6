package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"weir/rtmp"
)

// silent is an address that takes connections and never answers.
func silent(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return ln.Addr().String()
}

// TestO14_HangingHook: a receiver and a decision hook that never answer delay nobody else: events reach the other receiver at
// once, publishers who are not asked about are let in at once, and who is asked about is refused when the time is over.
func TestO14_HangingHook(t *testing.T) {
	t.Parallel()
	r := receive(t, &receiver{})
	s := serve(t, fmt.Sprintf(`auth: {hook: {url: "http://%s/", timeout: 500ms}}
streams:
  - match: asked/*
    publish: {auth: [hook]}
hooks:
  - {name: hangs, url: "http://%[1]s/"}
  - {name: told, url: "http://%[2]s/", events: [publish.*]}
  - {run: [sleep, "1000"], events: [publish.start]}
`, silent(t), r.addr))
	refused := make(chan time.Duration, 1)
	go func() {
		begun := time.Now()
		if v, err := speak(t.Context(), s.rtmpURL("asked/a"), rtmp.DialOptions{}); err == nil {
			v.lose()
			refused <- 0
			return
		}
		refused <- time.Since(begun)
	}()
	var slowest time.Duration
	for i := range 50 {
		begun := time.Now()
		v, err := speak(t.Context(), s.rtmpURL(fmt.Sprint("live/", i%5)), rtmp.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(begun))
		_ = v.stop()
	}
	list := r.until(t, "all events", func([]hookEvent) bool { return r.count(t, "publish.stop") == 50 })
	for _, e := range list {
		if late := r.came[e.ID].Sub(e.Time); late > time.Second {
			t.Errorf("%s of %s came after %v", e.Type, e.path(), late)
		}
	}
	if slowest > time.Second {
		t.Errorf("a publisher waited for %v", slowest)
	}
	if took := <-refused; took < 400*time.Millisecond || took > 3*time.Second {
		t.Errorf("the publisher who was asked about waited for %v", took)
	}
}

// call asks the API and returns status and body.
func call(t *testing.T, s *server, method, path, body string) (int, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.admin+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	a, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

// wantCall is call for a status that must be.
func wantCall(t *testing.T, s *server, status int, method, path, body string) string {
	t.Helper()
	got, text := call(t, s, method, path, body)
	if got != status {
		t.Errorf("%s %s: %d, want %d: %s", method, path, got, status, text)
	}
	return text
}

// TestO18_NamesWithSlashes: a stream whose name has slashes, blanks, a percent sign and letters beyond ASCII is described, listed
// and ended, written with slashes or with %2F, and gets a key.
func TestO18_NamesWithSlashes(t *testing.T) {
	t.Parallel()
	const name = "a/b/ü %c"
	s := serve(t, fmt.Sprintf("state: %q\nstreams:\n  - match: \"**\"\n    publish: {grace: 0s}\n", t.TempDir()))
	for _, written := range []string{"a/b/%C3%BC%20%25c", "a%2Fb%2F%C3%BC%20%25c", "a/b%2f%c3%bc%20%25c"} {
		v, err := speak(t.Context(), s.rtmpURL("a/b/%C3%BC%20%25c"), rtmp.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var st struct {
			Path     string
			Sessions []struct{ ID, Stream string }
		}
		if err := json.Unmarshal([]byte(wantCall(t, s, 200, "GET", "/api/v1/streams/"+written, "")), &st); err != nil || st.Path != name || len(st.Sessions) != 1 || st.Sessions[0].Stream != name {
			t.Errorf("%s: %+v, %v", written, st, err)
		}
		if got := wantCall(t, s, 200, "GET", "/api/v1/sessions?stream="+url.QueryEscape(name), ""); len(st.Sessions) == 1 && !strings.Contains(got, st.Sessions[0].ID) {
			t.Errorf("its sessions: %s", got)
		}
		wantCall(t, s, 204, "DELETE", "/api/v1/streams/"+written, "")
		for v.say() == nil { // until it is told
			time.Sleep(time.Millisecond)
		}
		v.lose()
		if got := wantCall(t, s, 404, "GET", "/api/v1/streams/"+written, ""); !strings.Contains(got, "stream_not_found") {
			t.Errorf("it is gone: %s", got)
		}
	}
	made := wantCall(t, s, 201, "POST", "/api/v1/keys", `{"role":"publish","match":"a/b/ü %c","id":"c1"}`)
	var k struct{ Secret string }
	if err := json.Unmarshal([]byte(made), &k); err != nil || k.Secret == "" {
		t.Fatal(made, err)
	}
	if _, err := speak(t.Context(), s.rtmpURL("a/b/%C3%BC%20%25c"), rtmp.DialOptions{}); err == nil {
		t.Error("the key is not asked for")
	}
	v, err := speak(t.Context(), s.rtmpURL("a/b/%C3%BC%20%25c?key="+k.Secret), rtmp.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v.lose()
	wantCall(t, s, 204, "DELETE", "/api/v1/keys/c1", "")
}

// TestO18_PathsOfPushesAndPulls: so are a place to which such a stream is sent, and one from which it is fetched, by every verb.
func TestO18_PathsOfPushesAndPulls(t *testing.T) {
	t.Parallel()
	const name = "a/b/ü %c"
	s := serve(t, fmt.Sprintf("state: %q\n", t.TempDir()))
	for _, written := range []string{"a/b/%C3%BC%20%25c", "a%2Fb%2F%C3%BC%20%25c", "a/b%2f%c3%bc%20%25c"} {
		push, pull := "/api/v1/pushes/p1/"+written, "/api/v1/pulls/"+written
		wantCall(t, s, 201, "POST", "/api/v1/pushes", `{"stream":"`+name+`","name":"p1","url":"rtmp://192.0.2.1/app","key":"k"}`)
		wantCall(t, s, 201, "POST", "/api/v1/pulls", `{"stream":"`+name+`","sources":["rtmp://192.0.2.1/app/x"],"on_demand":true}`)
		var got struct{ Stream, Name string }
		if err := json.Unmarshal([]byte(wantCall(t, s, 200, "GET", push, "")), &got); err != nil || got.Stream != name || got.Name != "p1" {
			t.Errorf("%s: %+v, %v", push, got, err)
		}
		if changed := wantCall(t, s, 200, "PATCH", push, `{"enabled":false}`); !strings.Contains(changed, `"enabled":false`) {
			t.Errorf("%s: %s", push, changed)
		}
		wantCall(t, s, 200, "POST", "/api/v1/pushes/p1/retry/"+written, "")
		if list := wantCall(t, s, 200, "GET", "/api/v1/pulls", ""); !strings.Contains(list, `"stream":"`+name+`"`) {
			t.Errorf("pulls: %s", list)
		}
		for one, code := range map[string]string{push: "push_not_found", pull: "pull_not_found"} {
			wantCall(t, s, 204, "DELETE", one, "")
			if gone := wantCall(t, s, 404, "DELETE", one, ""); !strings.Contains(gone, code) {
				t.Errorf("%s: %s", one, gone)
			}
		}
	}
}

// through dials as a load balancer does for a client, by a version of the PROXY protocol.
func through(version byte, client string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(client), 4711))
		_, err = proxyproto.HeaderProxyFromAddrs(version, from, net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.200:1"))).WriteTo(c)
		return c, err
	}
}

// TestO20_OneAddress: a client's address, told by the PROXY protocol or by a header of HTTP, is the same in what the decision hook
// is asked, in what hooks are told, in the API and in the log.
func TestO20_OneAddress(t *testing.T) {
	t.Parallel()
	ask := answering(t, func(question) string { return "" })
	r := receive(t, &receiver{})
	s := serve(t, fmt.Sprintf(`http: {listen: "127.0.0.1:0", trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]}
rtmp: {listen: "127.0.0.1:0", proxy_protocol: [127.0.0.0/8]}
auth: {hook: {url: %q}}
streams:
  - match: live/*
    publish: {auth: [hook]}
    play: {auth: [hook]}
`, ask.url)+told(r, "publish.*, play.*"), "log.level=debug")
	for i, version := range []byte{1, 2} {
		client := fmt.Sprint("192.0.2.1", i)
		v, err := speak(t.Context(), s.rtmpURL(fmt.Sprint("live/", i)), rtmp.DialOptions{Dial: through(version, client)})
		if err != nil {
			t.Fatalf("%v\n%s", err, s.said())
		}
		defer v.lose()
		v.everywhere(t, s, r, ask, "publish.start", client+":4711")
	}
	for i, header := range []string{"X-Forwarded-For: 198.51.100.9, ADDRESS, 10.0.0.2", `Forwarded: for=198.51.100.9, for="ADDRESS";proto=https`, "X-Real-IP: ADDRESS"} {
		client := fmt.Sprint("192.0.2.2", i)
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("live/0", "flv"), nil)
		if err != nil {
			t.Fatal(err)
		}
		name, value, _ := strings.Cut(header, ": ")
		q.Header.Set(name, strings.Replace(value, "ADDRESS", client, 1))
		a, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", header, a.Status)
		}
		new(voice).everywhere(t, s, r, ask, "play.start", client)
	}
	if log := s.whole(); strings.Contains(log, "198.51.100.9") {
		t.Error("the log has an address that a client made up")
	}
}

// everywhere looks for the client's address; the voice speaks meanwhile.
func (v *voice) everywhere(t *testing.T, s *server, r *receiver, ask *service, typ, client string) {
	t.Helper()
	is := func(remote string) bool { return remote == client || strings.HasPrefix(remote, client+":") }
	id := ""
	r.until(t, typ+" from "+client, func(list []hookEvent) bool {
		if v.stream != nil {
			_ = v.say()
		}
		for _, e := range list {
			if e.Type == typ && is(e.Session.Remote) {
				id = e.Session.ID
			}
		}
		return id != ""
	})
	if got := wantCall(t, s, 200, "GET", "/api/v1/sessions/"+id, ""); !strings.Contains(got, `"remote":"`+client) {
		t.Errorf("the API has %s, want %s", got, client)
	}
	if !slices.ContainsFunc(ask.questions(), func(q question) bool { return is(q.Session.Remote) }) {
		t.Errorf("nothing was asked about %s: %+v", client, ask.questions())
	}
	if !regexp.MustCompile(`"session":"` + id + `"[^\n]*"remote":"` + regexp.QuoteMeta(client)).MatchString(s.whole()) {
		t.Errorf("the log has no %s for session %s", client, id)
	}
}

// TestO21_Watch: a configuration that is written in place, replaced, or swapped as Kubernetes does it with a folder is applied
// within two seconds.
func TestO21_Watch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.yml")
	conf := func(n int) []byte {
		return fmt.Appendf(nil, "%sreload: watch\nlimits: {streams: %d}\n", listeners, n)
	}
	write := func(name string, n int) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, conf(n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		tmp := filepath.Join(dir, "..tmp")
		if err := errors.Join(os.Symlink(to, tmp), os.Rename(tmp, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(dir, "..1", "weir.yml"), 1)
	link("..1", "..data")
	link("..data/weir.yml", "weir.yml")
	s := runServer(t, "serve", "-c", file)
	t.Cleanup(func() { s.stop(t) })
	for i, c := range []struct {
		what   string
		change func(n int)
	}{
		{"the folder behind a symbolic link is swapped", func(n int) {
			write(filepath.Join(dir, "..2", "weir.yml"), n)
			link("..2", "..data")
			_ = os.RemoveAll(filepath.Join(dir, "..1"))
		}},
		{"another file takes its place", func(n int) {
			write(filepath.Join(dir, "new"), n)
			if err := os.Rename(filepath.Join(dir, "new"), file); err != nil {
				t.Fatal(err)
			}
		}},
		{"it is written in place", func(n int) { write(file, n) }},
	} {
		n := i + 2
		c.change(n)
		begun := time.Now()
		if err := every(t.Context(), 10*time.Second, func() error {
			if got := wantCall(t, s, 200, "GET", "/api/v1/config", ""); !regexp.MustCompile(fmt.Sprintf(`"limits\.streams","value":%d\b`, n)).MatchString(got) {
				return fmt.Errorf("%s: not applied: %s\n%.2000s", c.what, s.said(), got)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("%s: applied after %v", c.what, took)
		}
	}
}

// TestO22_GuessesDelayNobodyElse: who gives wrong keys has to wait, with the right one too, and is told how long; others, with
// right keys at the same time, do not.
func TestO22_GuessesDelayNobodyElse(t *testing.T) {
	t.Parallel()
	s := serve(t, "http: {listen: \"127.0.0.1:0\", trusted_proxies: [127.0.0.0/8]}\nstreams:\n  - match: live/*\n    play: {keys: [r1ght]}\n")
	mustSpeak(t, s.rtmpURL("live/a"))
	get := func(from, key string) (status int, after string) {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.http+"/live/a/stream.json?key="+key, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("X-Forwarded-For", from)
		a, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = a.Body.Close()
		return a.StatusCode, a.Header.Get("Retry-After")
	}
	for i := range 100 {
		status, after := get("198.51.100.1", fmt.Sprint("guess", i))
		if i < 20 && status != http.StatusForbidden || i >= 20 && (status != http.StatusTooManyRequests || after == "") {
			t.Fatalf("guess %d: %d, Retry-After %q", i, status, after)
		}
		if status, _ := get("198.51.100.2", "r1ght"); status != http.StatusOK {
			t.Fatalf("the other one: %d", status)
		}
	}
	if status, after := get("198.51.100.1", "r1ght"); status != http.StatusTooManyRequests || after == "" {
		t.Errorf("the right key of the one who guessed: %d, Retry-After %q", status, after)
	}
}

// TestO24_OneID: a session has one id in what the decision hook is asked, in what hooks are told, in the API and in the log. With it
// one viewer of HLS is sent away, and stays away; the others go on.
func TestO24_OneID(t *testing.T) {
	t.Parallel()
	ask := answering(t, func(question) string { return "" })
	r := receive(t, &receiver{})
	s := serve(t, fmt.Sprintf("auth: {hook: {url: %q}}\nstreams:\n  - match: live/*\n    publish: {auth: [hook]}\n", ask.url)+told(r, "publish.*, play.*"), "log.level=debug")
	mustSpeak(t, s.rtmpURL("live/a"))
	list := r.until(t, "the start", func(list []hookEvent) bool { return len(list) == 1 })
	id := list[0].Session.ID
	if asked := ask.questions(); len(asked) != 1 || asked[0].Session.ID != id {
		t.Errorf("asked about %+v, told of %s", asked, id)
	}
	wantCall(t, s, 200, "GET", "/api/v1/sessions/"+id, "")
	if !strings.Contains(s.whole(), `"session":"`+id+`"`) {
		t.Error("it is not in the log")
	}
	base := "http://" + s.http + "/live/a/"
	watch := func(n int) (media, id string) {
		t.Helper()
		media = base + variant(string(fetchURL(t, base+"index.m3u8", 200)))
		for _, name := range names(string(fetchURL(t, media, 200))) {
			fetchURL(t, base+name, 200)
		}
		list := r.until(t, "a viewer", func([]hookEvent) bool { return r.count(t, "play.start") == n })
		return media, list[len(list)-1].Session.ID
	}
	one, first := watch(1)
	two, _ := watch(2)
	wantCall(t, s, 204, "DELETE", "/api/v1/sessions/"+first, "")
	wantCall(t, s, 404, "DELETE", "/api/v1/sessions/"+first, "")
	fetchURL(t, one, http.StatusForbidden)
	fetchURL(t, two, http.StatusOK)
	list = r.until(t, "its end", func([]hookEvent) bool { return r.count(t, "play.stop") == 1 })
	if e := list[len(list)-1]; e.Session.ID != first || e.Data["reason"] != "kicked" {
		t.Errorf("%+v %v", e.Session, e.Data)
	}
}
