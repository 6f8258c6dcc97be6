package test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"weir/format/m3u8"
	"weir/rtmp"
)

// told is the configuration of a hook that is told of events.
func told(r *receiver, events string) string {
	return fmt.Sprintf("hooks:\n  - {name: told, url: \"http://%s/\", events: [%s]}\n", r.addr, events)
}

// wantNowhere fails the test if a secret, or a form of it, is in one of the texts.
func wantNowhere(t *testing.T, secret string, texts map[string]string) {
	t.Helper()
	for where, text := range texts {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("%s has the secret %s…: %s", where, secret[:4], text[max(0, i-200):min(len(text), i+len(form)+60)])
			}
		}
	}
}

// TestO02_RenamedSecret: of a stream whose name is its publisher's key, and which is renamed, the key is nowhere: not in what
// the API, metrics, pages and playlists have, nor in the log or an event.
func TestO02_RenamedSecret(t *testing.T) {
	t.Parallel()
	const key = "s3cret-n4me-of-alice"
	ask := answering(t, func(q question) string {
		switch {
		case q.Role == "publish" && q.Stream.Name == key:
			return `{"path":"live/alice","user":"u42"}`
		case q.Role == "play":
			return `{}`
		}
		return `{"allow":false,"reason":"Who are you?"}`
	})
	r := receive(t, &receiver{})
	s := serve(t, fmt.Sprintf("auth: {hook: {url: %q}}\nstreams:\n  - match: live/*\n    publish: {auth: [hook], grace: 300ms}\n    play: {auth: [hook]}\n", ask.url)+
		told(r, ""), "log.level=debug")
	mustSpeak(t, s.rtmpURL("live/"+key))
	if _, err := speak(t.Context(), s.rtmpURL("live/"+key+"x"), rtmp.DialOptions{}); err == nil || strings.Contains(err.Error(), key) {
		t.Errorf("another key: %v", err)
	}
	if err := s.waitLive(t.Context(), "live/alice", time.Second); err != nil {
		t.Fatal(err)
	}
	texts := readEverything(t, s, "", map[string]string{"live/alice": ""})
	list := r.until(t, "a start and a refusal", func(list []hookEvent) bool {
		return slices.Contains(types(list), "publish.start") && slices.Contains(types(list), "publish.rejected denied")
	})
	for _, e := range list {
		if e.Type == "publish.start" && (e.path() != "live/alice" || e.Session.User != "u42") {
			t.Errorf("%s of %q by %q", e.Type, e.path(), e.Session.User)
		}
	}
	texts["the log"] = s.whole()
	for i, b := range r.bodies {
		texts[fmt.Sprint("event ", i)] = string(b)
	}
	wantNowhere(t, key, texts)
	for i, q := range ask.questions() {
		if q.Role == "play" && (q.Stream.Name == key || q.Stream.Path != "live/alice") {
			t.Errorf("question %d has %+v", i, q.Stream)
		}
	}
}

// deaf is a connection whose network goes away: nothing arrives any more, in neither direction, and nobody is told.
type deaf struct {
	net.Conn
	gone, closed chan struct{}
	close        sync.Once
}

func (d *deaf) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	select {
	case <-d.gone:
		<-d.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (d *deaf) Write(b []byte) (int, error) {
	select {
	case <-d.gone:
		return len(b), nil
	default:
		return d.Conn.Write(b)
	}
}

func (d *deaf) Close() error {
	d.close.Do(func() { close(d.closed) })
	return d.Conn.Close()
}

// TestO03_BlackHole: a publisher whose network is gone, so that not even its end is heard, has its stop within twice the idle
// timeout, once and complete.
func TestO03_BlackHole(t *testing.T) {
	t.Parallel()
	const idle = 10 * time.Second // the shortest that there is
	r := receive(t, &receiver{})
	s := serve(t, "streams:\n  - match: live/*\n    publish: {grace: 0s}\n"+told(r, "publish.*, stream.*"), "rtmp.idle_timeout="+idle.String())
	d := &deaf{gone: make(chan struct{}), closed: make(chan struct{})}
	v, err := speak(t.Context(), s.rtmpURL("live/a"), rtmp.DialOptions{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		var err error
		d.Conn, err = new(net.Dialer).DialContext(ctx, network, addr)
		return d, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	close(d.gone)
	defer v.lose() // it keeps its connection until then
	var list []hookEvent
	if err := every(t.Context(), time.Minute, func() error {
		if list = r.events(t); !slices.Contains(types(list), "stream.offline") {
			return fmt.Errorf("the stream goes on: %v", types(list))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	wantTypes(t, list, "stream.online", "publish.start", "publish.stop idle", "stream.offline")
	first, last := list[1], list[2]
	if took := last.Time.Sub(first.Time); took < idle || took > 2*idle+5*time.Second { // what a loaded machine adds
		t.Errorf("its stop came after %v", took)
	}
	if last.Session.ID != first.Session.ID || last.Session.ID == "" || last.path() != "live/a" || last.Data["frames"] != 1.0 {
		t.Errorf("%+v, begun as %+v", last, first)
	}
	if open, err := paired(list); err != nil || open != 0 {
		t.Errorf("%d publish: %v", open, err)
	}
	if err := complete(list); err != nil {
		t.Error(err)
	}
}

// TestO04_QuickCycles: of a thousand publications that follow one another at once each has its start and its stop.
func TestO04_QuickCycles(t *testing.T) {
	t.Parallel()
	const streams, each = 8, 125
	r := receive(t, &receiver{})
	s := serve(t, told(r, "publish.start, publish.stop"))
	var all sync.WaitGroup
	for i := range streams {
		all.Go(func() {
			for range each {
				v, err := speak(t.Context(), s.rtmpURL(fmt.Sprint("live/", i)), rtmp.DialOptions{})
				if err == nil {
					err = v.stop()
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	list := r.until(t, "a thousand starts and stops", func(list []hookEvent) bool { return len(list) >= 2*streams*each })
	if open, err := paired(list); err != nil || open != 0 || len(list) != 2*streams*each {
		t.Errorf("%d events, %d starts without a stop: %v", len(list), open, err)
	}
	if err := complete(list); err != nil {
		t.Error(err)
	}
	for _, e := range list {
		if e.Type == "publish.stop" && (e.Data["reason"] != "unpublish" || e.Data["frames"] != 1.0) {
			t.Errorf("%s: %v", e.Type, e.Data)
		}
	}
}

// TestO05_RefusedSecondPublisher: who is refused because another one publishes begins nothing that hooks are told of.
func TestO05_RefusedSecondPublisher(t *testing.T) {
	t.Parallel()
	r := receive(t, &receiver{})
	s := serve(t, "streams:\n  - match: live/*\n    publish: {on_conflict: reject}\n"+told(r, "publish.*"))
	v := mustSpeak(t, s.rtmpURL("live/a"))
	for range 3 {
		if _, err := speak(t.Context(), s.rtmpURL("live/a"), rtmp.DialOptions{}); err == nil {
			t.Error("a second publisher was let in")
		}
	}
	r.until(t, "three refusals", func([]hookEvent) bool { return r.count(t, "publish.rejected") == 3 })
	v.lose()
	list := r.until(t, "the end", func([]hookEvent) bool { return r.count(t, "publish.stop") == 1 })
	list = slices.DeleteFunc(list, func(e hookEvent) bool { return e.Type == "publish.rejected" }) // nobody waits for those
	wantTypes(t, list, "publish.start", "publish.stop eof")
}

// TestO06_LastEventIsTheStart: a receiver that takes half a second over each event hears of a stream that is taken over in
// the order in which it happened: the last that it hears is the start.
func TestO06_LastEventIsTheStart(t *testing.T) {
	t.Parallel()
	r := receive(t, &receiver{answers: 500 * time.Millisecond})
	s := serve(t, told(r, "publish.start, publish.stop"))
	for range 3 {
		mustSpeak(t, s.rtmpURL("live/a"))
	}
	list := r.until(t, "three starts and two stops", func(list []hookEvent) bool { return len(list) == 5 })
	wantTypes(t, list, "publish.start", "publish.stop takeover", "publish.start", "publish.stop takeover", "publish.start")
	if open, err := paired(list); err != nil || open != 1 {
		t.Errorf("%d publish: %v", open, err)
	}
}

// TestO07_Lifecycles: publishers and players of every protocol come and go at random, in order and by broken connections, some
// are sent away and some streams are ended. Each start that was told of has its stop, once, and everything its names.
func TestO07_Lifecycles(t *testing.T) {
	t.Parallel()
	r := receive(t, &receiver{})
	s := serve(t, "streams:\n  - match: live/*\n    publish: {grace: 0s, grace_after_stop: 0s}\n    play: {wait: 1s}\n"+told(r, "publish.*, play.*, stream.*"))
	sample(t, s, "live/always") // HTTP waits for what a stream has, and HLS for more than a moment of it
	fetchURL(t, "http://"+s.http+"/live/always/index.m3u8", http.StatusOK)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i := range 6 {
		random := rand.New(rand.NewPCG(7, uint64(i)))
		all.Go(func() {
			for ctx.Err() == nil {
				path := fmt.Sprint("live/", random.IntN(3))
				if i < 3 {
					publishAwhile(ctx, s, path, random)
				} else {
					playAwhile(ctx, s, path, random)
				}
			}
		})
	}
	all.Wait()
	for _, name := range []string{"0", "1", "2", "always"} { // viewers of HLS end with their streams
		remove(t, s, "/streams/live/"+name)
	}
	list := r.until(t, "all have ended", func(list []hookEvent) bool {
		open, err := paired(list)
		if err != nil {
			t.Fatal(err)
		}
		return open == 0 && r.count(t, "stream.online") == r.count(t, "stream.offline") && complete(list) == nil
	})
	played := map[string]int{}
	for _, e := range list {
		if e.Type == "play.start" {
			played[e.Session.Protocol]++
		}
	}
	for _, protocol := range []string{"rtmp", "http-flv", "http-ts", "hls"} {
		if played[protocol] == 0 {
			t.Errorf("nobody played by %s: %v", protocol, played)
		}
	}
	t.Logf("%d publications; players: %v", r.count(t, "publish.start"), played)
}

// sample publishes a moving picture with sound until the test ends, without encoding anything.
func sample(t *testing.T, s *server, path string) {
	t.Helper()
	p, err := start(t.Context(), command{sys: debian12(), args: []string{mustBuild(t), "push", "--loop", filepath.Join(root, "internal/demo/sample.flv"), s.rtmpURL(path)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGTERM) })
	if err := s.waitLive(t.Context(), path, 2*time.Second); err != nil {
		t.Fatalf("%v: %s", err, p.said())
	}
}

// publishAwhile publishes for a moment, and ends one way or the other.
func publishAwhile(ctx context.Context, s *server, path string, random *rand.Rand) {
	v, err := speak(ctx, s.rtmpURL(path), rtmp.DialOptions{})
	if err != nil {
		return // another one has the stream, or the time is over
	}
	defer v.lose()
	for range random.IntN(12) {
		if v.say() != nil {
			return
		}
		time.Sleep(26 * time.Millisecond)
	}
	if random.IntN(2) == 0 {
		_ = v.stop()
	}
}

// playAwhile plays for a moment by one of the protocols.
func playAwhile(ctx context.Context, s *server, path string, random *rand.Rand) {
	kind := random.IntN(5)
	stay := time.Duration(50+random.IntN(200)) * time.Millisecond
	if kind > 0 {
		path = "live/always"
	}
	if kind > 3 {
		stay += time.Second // one request after the other
	}
	ctx, cancel := context.WithTimeout(ctx, stay)
	defer cancel()
	read := func(url string) string {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return ""
		}
		a, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(q)
		if err != nil {
			return ""
		}
		defer a.Body.Close()
		b, _ := io.ReadAll(a.Body)
		return string(b)
	}
	switch kind {
	case 0:
		c, err := rtmp.Dial(ctx, s.rtmpURL(path), rtmp.DialOptions{Plays: true})
		if err != nil {
			return
		}
		defer context.AfterFunc(ctx, func() { _ = c.Close() })()
		defer c.Close()
		p, err := c.Play(ctx)
		for err == nil {
			_, err = p.ReadMessage()
		}
	case 1:
		read(s.url(path, "flv"))
	case 2:
		read(s.url(path, "ts"))
	case 3:
		c, a, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(s.url(path, "flv"), "http"), nil)
		if a != nil && a.Body != nil {
			_ = a.Body.Close()
		}
		if err != nil {
			return
		}
		for err == nil {
			_, _, err = c.Read(ctx)
		}
		_ = c.CloseNow()
	default:
		base := "http://" + s.http + "/" + path + "/"
		list := variant(read(base + "index.m3u8"))
		if list == "" {
			return
		}
		for _, name := range names(read(base + list)) {
			read(base + name)
		}
	}
}

// remove has the API end something that may have ended already.
func remove(t *testing.T, s *server, path string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://"+s.admin+"/api/v1"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Body.Close()
	if a.StatusCode != http.StatusNoContent && a.StatusCode != http.StatusNotFound {
		t.Errorf("DELETE %s: %s", path, a.Status)
	}
}

// TestO08_StaleConnections: a receiver that closes connections as soon as nothing comes for a moment gets every event at
// once, and none of them twice.
func TestO08_StaleConnections(t *testing.T) {
	t.Parallel()
	r := receive(t, &receiver{idle: 20 * time.Millisecond})
	s := serve(t, told(r, "publish.start"))
	const cycles = 40
	random := rand.New(rand.NewPCG(1, 8))
	for i := range cycles {
		v, err := speak(t.Context(), s.rtmpURL("live/a"), rtmp.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_ = v.stop()
		r.until(t, "the start", func(list []hookEvent) bool { return len(list) == i+1 })
		time.Sleep(time.Duration(15+random.IntN(20)) * time.Millisecond) // about when the receiver closes
	}
	for _, e := range r.events(t) {
		if late := r.came[e.ID].Sub(e.Time); late > 900*time.Millisecond { // a second try comes after a second
			t.Errorf("event %d came after %v", e.Seq, late)
		}
		if n := r.acked[e.ID]; n != 1 {
			t.Errorf("event %d came %d times", e.Seq, n)
		}
	}
}

// TestO09_HLSAsksOnce: the service is asked once about a viewer of Low-Latency HLS, not for each playlist and part.
func TestO09_HLSAsksOnce(t *testing.T) {
	t.Parallel()
	ask := answering(t, func(question) string { return "" })
	s := serve(t, fmt.Sprintf("auth: {hook: {url: %q}}\nstreams:\n  - match: live/*\n    play: {auth: [hook]}\n", ask.url))
	sample(t, s, "live/a")
	base := "http://" + s.http + "/live/a/"
	list := base + variant(string(fetchURL(t, base+"index.m3u8", http.StatusOK)))
	for range 12 {
		m, err := m3u8.ParseMedia(fetchURL(t, list, http.StatusOK))
		if err != nil || len(m.PreloadHints) == 0 {
			t.Fatalf("%v: %+v", err, m)
		}
		fetchURL(t, base+m.PreloadHints[0].URI, http.StatusOK) // as soon as it is there
	}
	if asked := ask.questions(); len(asked) != 1 || asked[0].Role != "play" {
		t.Errorf("asked %d times: %+v", len(asked), asked)
	}
}
