package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/format/flv"
	"weir/internal/freeport"
	"weir/internal/listen/listentest"
	"weir/internal/push"
	"weir/internal/server"
	"weir/rtmp"
)

// film is the embedded test stream: H.264 with B-frames and AAC.
const film = "../../internal/demo/sample.flv"

// publishFilm publishes the film to url in time, again and again, until the returned function is called. It returns the hashes of the
// bodies of its media, by type, in their order.
func publishFilm(t *testing.T, url string) (hashes map[rtmp.MessageType][]string, stop func()) {
	t.Helper()
	b, err := os.ReadFile(film)
	if err != nil {
		t.Fatal(err)
	}
	var tags []rtmp.Message
	r := flv.NewReader(strings.NewReader(string(b)))
	for {
		tag, err := r.ReadTag()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, rtmp.Message{Type: rtmp.MessageType(tag.Type), Timestamp: tag.Timestamp, Payload: slices.Clone(tag.Body)})
	}
	return publishMessages(t, url, tags)
}

// publishMessages publishes messages as publishFilm does the film.
func publishMessages(t *testing.T, url string, list []rtmp.Message) (hashes map[rtmp.MessageType][]string, stop func()) {
	t.Helper()
	hashes = map[rtmp.MessageType][]string{}
	for i := range list {
		if m := &list[i]; isMedia(m) {
			hashes[m.Type] = append(hashes[m.Type], hashOf(m))
		}
	}
	c, err := rtmp.Dial(t.Context(), url, rtmp.DialOptions{Caps: rtmp.AnyCodec()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() { _ = p.Close() }()
		begun := time.Now()
		for round := uint32(0); ; round += list[len(list)-1].Timestamp + 40 {
			for i := range list {
				m := list[i]
				m.Timestamp += round
				wait := time.NewTimer(time.Until(begun.Add(time.Duration(m.Timestamp) * time.Millisecond)))
				select {
				case <-wait.C:
				case <-ctx.Done():
					wait.Stop()
					return
				}
				if err := p.WriteMessage(&m); err != nil {
					return
				}
			}
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return hashes, stop
}

// isMedia reports whether a message is a frame of video or sound, and no configuration.
func isMedia(m *rtmp.Message) bool {
	if m.Type != rtmp.TypeVideo && m.Type != rtmp.TypeAudio || len(m.Payload) < 3 {
		return false
	}
	if first := m.Payload[0]; m.Type == rtmp.TypeVideo && first&0x80 != 0 || m.Type == rtmp.TypeAudio && first>>4 == 9 {
		return first&15 == 1 || first&15 == 3 // frames by Enhanced RTMP
	}
	return m.Payload[1] != 0
}

func hashOf(m *rtmp.Message) string {
	sum := sha256.Sum256(m.Payload)
	return hex.EncodeToString(sum[:8])
}

// sameFrames plays url and checks that n frames of each kind follow each other as they were published.
func sameFrames(t *testing.T, url string, want map[rtmp.MessageType][]string, n int) {
	t.Helper()
	var p *rtmp.PlayStream
	for begun := time.Now(); ; {
		c, err := rtmp.Dial(t.Context(), url, rtmp.DialOptions{Plays: true, Caps: rtmp.AnyCodec()})
		if err == nil {
			if p, err = c.Play(t.Context()); err == nil {
				defer c.Close()
				break
			}
			c.Close()
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatal(url, err)
		}
		<-time.After(50 * time.Millisecond)
	}
	at := map[rtmp.MessageType]int{rtmp.TypeVideo: -1, rtmp.TypeAudio: -1}
	got := map[rtmp.MessageType]int{}
	for got[rtmp.TypeVideo] < n || got[rtmp.TypeAudio] < n {
		m := next(t, p, rtmp.TypeVideo, rtmp.TypeAudio)
		if !isMedia(&m) {
			continue
		}
		h := hashOf(&m)
		if at[m.Type] < 0 {
			if at[m.Type] = slices.Index(want[m.Type], h); at[m.Type] < 0 {
				t.Fatalf("the first frame of %v is none of the film's", m.Type)
			}
		}
		if i := at[m.Type]; want[m.Type][i%len(want[m.Type])] != h {
			t.Fatalf("frame %d of %v is not the one that follows", got[m.Type], m.Type)
		}
		at[m.Type]++
		got[m.Type]++
	}
}

// pushTo is an entry of streams that sends all of live there.
func pushTo(targets ...push.Config) func(*server.Config) {
	return func(c *server.Config) {
		e := server.DefaultStream()
		e.Match, e.Push = "live/*", targets
		c.Streams = append(c.Streams, e)
	}
}

func target(name, url, key string) push.Config {
	c := push.DefaultConfig()
	c.Name, c.URL, c.Key = name, url, key
	return c
}

// TestPushToAnotherServer: what a second server is sent by RTMPS is what the publisher sent, frame by frame, also of codecs that RTMP has only with its
// enhancements; it is known by its fingerprint alone.
func TestPushToAnotherServer(t *testing.T) {
	enhanced := filepath.Join(t.TempDir(), "enhanced.mp4")
	ffmpegRun(t, "-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25:duration=3", "-f", "lavfi", "-i", "sine=sample_rate=48000:duration=3", "-pix_fmt", "yuv420p",
		"-c:v", "libx265", "-x265-params", "log-level=none", "-preset", "ultrafast", "-tag:v", "hvc1", "-g", "25", "-c:a", "libopus", "-b:a", "64k", enhanced)
	cert, key := listentest.Cert(t, t.TempDir(), 1)
	b, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	pin := sha256.Sum256(block.Bytes)
	there := start(t, func(c *server.Config) { c.RTMP.TLS.Listen, c.RTMP.TLS.Cert, c.RTMP.TLS.Key = "127.0.0.1:0", cert, key })
	to := target("there", "rtmps://"+there.Addr("rtmps").String()+"/in", "{name}?key="+secret)
	to.Pin, to.Caps = hex.EncodeToString(pin[:]), "on"
	here := start(t, pushTo(to))
	want, stop := publishFilm(t, here.url("live/cam"))
	sameFrames(t, there.url("in/cam"), want, 60)
	stop()
	list := mp4Messages(t, enhanced)
	for _, fourCC := range []string{"hvc1", "Opus"} {
		if !slices.ContainsFunc(list, func(m rtmp.Message) bool { return isMedia(&m) && string(m.Payload[1:5]) == fourCC }) {
			t.Fatal("there is no ", fourCC)
		}
	}
	want, _ = publishMessages(t, here.url("live/enhanced"), list)
	sameFrames(t, there.url("in/enhanced"), want, 60)

	// The end is told, so that the other server waits for no return from a broken connection.
	for begun := time.Now(); !strings.Contains(there.log.String(), "unpublished=true"); <-time.After(10 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("the other server was not told of the end")
		}
	}
}

// TestPushToNginx: what Debian's nginx-rtmp is sent comes out of it as the publisher sent it, also once it was killed and started again.
func TestPushToNginx(t *testing.T) {
	addr := freeport.Addr(t)
	kill := nginxRTMP(t, addr, t.TempDir())
	here := start(t, pushTo(target("nginx", "rtmp://"+addr+"/live/{name}", "")))
	want, _ := publishFilm(t, here.url("live/cam"))
	sameFrames(t, "rtmp://"+addr+"/live/cam", want, 60)
	kill()
	here.pushed("live/cam", "retrying")
	nginxRTMP(t, addr, t.TempDir())
	here.pushed("live/cam", "live")
	sameFrames(t, "rtmp://"+addr+"/live/cam", want, 60)
}

// TestC439_PushesInACircle: of two servers that send each other everything the first refuses its own stream, and
// both say so; the stream goes on.
func TestC439_PushesInACircle(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	circle := func(from, to *running) {
		t.Helper()
		c := server.Default()
		c.RTMP.Listen, c.HTTP.Listen, c.Admin.Listen = from.Addr("rtmp").String(), from.Addr("http").String(), from.Addr("admin").String()
		pushTo(target("on", "rtmp://localhost:"+port(to)+"/live", "{name}"))(&c)
		if _, err := from.Reload(c); err != nil {
			t.Fatal(err)
		}
	}
	circle(a, b)
	circle(b, a)
	p := a.mustPublish("live/x")
	publishSome(p, 0, 25)
	begun := time.Now()
	st := b.pushed("live/x", "refused")
	if !strings.Contains(st.Error, "go in a circle") {
		t.Errorf("%+v", st)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
	if !strings.Contains(a.log.String(), "reason=loop") {
		t.Error("the log does not say loop")
	}
	if st := a.pushed("live/x", "live"); st.Error != "" {
		t.Errorf("%+v", st)
	}
}

func port(r *running) string {
	_, p, _ := net.SplitHostPort(r.Addr("rtmp").String())
	return p
}

// pushState is what the API shows of a target.
type pushState struct {
	Name, URL, State, Reason, Error, Origin string
	Enabled                                 bool
}

// pushed waits until the API shows a target of a stream in a state.
func (r *running) pushed(stream, state string) pushState {
	r.t.Helper()
	var list []pushState
	for begun := time.Now(); time.Since(begun) < 10*time.Second; <-time.After(20 * time.Millisecond) {
		list = r.pushes(stream)
		for _, p := range list {
			if p.State == state {
				return p
			}
		}
	}
	r.t.Fatalf("no target of %s is %s: %+v", stream, state, list)
	return pushState{}
}

func (r *running) pushes(stream string) []pushState {
	r.t.Helper()
	res, err := http.Get(r.adminURL("/api/v1/pushes?stream=" + stream))
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if strings.Contains(string(b), secret) {
		r.t.Errorf("the API shows the key: %s", b)
	}
	var a struct{ Pushes []pushState }
	if err := json.Unmarshal(b, &a); err != nil {
		r.t.Fatal(err)
	}
	return a.Pushes
}

// ask sends a request to the API.
func (r *running) ask(method, path, body string) (status int, answer string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.adminURL(path), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// TestPushByTheAPI: a target that the API makes is live at once, can be turned off, changed and on again, is there after
// a restart, and shows its key nowhere.
func TestPushByTheAPI(t *testing.T) {
	there := start(t, nil)
	folder := t.TempDir()
	here := start(t, func(c *server.Config) {
		open, shut := server.DefaultStream(), server.DefaultStream()
		open.Match, open.Pull.Private = "live/*", true
		c.State, c.Streams = folder, []server.StreamConfig{open, shut}
	})
	p := here.mustPublish("live/cam")
	publishSome(p, 0, 25)
	status, answer := here.ask("POST", "/api/v1/pushes", `{"stream":"live/cam","name":"x","url":"rtmp://`+there.Addr("rtmp").String()+`/in","key":"cam?key=`+secret+`"}`)
	if status != 201 || strings.Contains(answer, secret) {
		t.Fatal(status, answer)
	}
	here.pushed("live/cam", "live")
	there.arrived("in/cam", 1)
	if status, answer = here.ask("PATCH", "/api/v1/pushes/x/live/cam", `{"enabled":false}`); status != 200 {
		t.Fatal(status, answer)
	}
	here.pushed("live/cam", "off")
	if status, answer = here.ask("PATCH", "/api/v1/pushes/x/live%2Fcam", `{"enabled":true,"key":"cam2"}`); status != 200 {
		t.Fatal(status, answer)
	}
	here.pushed("live/cam", "live")
	there.arrived("in/cam2", 1)
	if status, answer = here.ask("POST", "/api/v1/pushes/x/retry/live/cam", ""); status != 200 {
		t.Fatal(status, answer)
	}
	res, err := http.Get(here.adminURL("/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if !strings.Contains(string(b), `weir_push_targets{service="custom",state="live"} 1`) || !strings.Contains(string(b), `weir_push_sent_bytes_total{service="custom"}`) {
		t.Error("the metrics do not show the target")
	}
	if err := here.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, func(c *server.Config) { c.State = folder })
	if list := again.pushes(""); len(list) != 1 || list[0].Name != "x" || list[0].State != "waiting" || list[0].Origin != "api" {
		t.Errorf("%+v", list)
	}
	if status, answer = again.ask("DELETE", "/api/v1/pushes/x/live/cam", ""); status != 204 {
		t.Error(status, answer)
	}
	if list := again.pushes(""); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// TestC237_WhatAHookNames: a source and a target that the decision hook names may not be at an address of this machine: nothing is connected
// to, and the API says why; where the configuration allows it both are.
func TestC237_WhatAHookNames(t *testing.T) {
	there := start(t, nil)
	there.film("live/x", 0)
	h := newHook(t, func(q question) (int, string) {
		if q.Action == "play" {
			return 200, fmt.Sprintf(`{"pull": %q}`, there.url("live/x"))
		}
		return 200, fmt.Sprintf(`{"push": [{"name": "it", "url": %q, "key": %q}]}`, "rtmp://"+there.Addr("rtmp").String()+"/in", strings.ReplaceAll(q.Stream.Path, "/", "-"))
	})
	here := start(t, hooked(h, func(c *server.Config) {
		c.Streams = nil
		for i, match := range []string{"open/*", "shut/*"} {
			e := server.DefaultStream()
			e.Match, e.Pull.Private = match, i == 0
			e.Publish.Auth, e.Play.Auth = []string{"hook"}, []string{"hook"}
			c.Streams = append(c.Streams, e)
		}
	}))
	w := here.watch("open/fetched")
	eventually(t, "what may be fetched comes", func() bool { return w.pictures() >= 5 })
	if res, _ := here.get("shut/fetched.flv"); res.StatusCode != http.StatusNotFound {
		t.Errorf("what may not be fetched: %s", res.Status)
	}
	for _, app := range []string{"open", "shut"} {
		publishSome(here.mustPublish(app+"/sent"), 0, 25)
	}
	eventually(t, "the sources are judged", func() bool {
		p := here.pulls()
		return len(p) == 2 && p[0].By == "hook" && p[0].Status == "live" && p[1].Status == "failed" && p[1].Reason == "address"
	})
	here.pushed("open/sent", "live")
	if st := here.pushed("shut/sent", "refused"); st.Reason != "address" || !strings.Contains(st.Error, "pull.allow_private") {
		t.Errorf("%+v", st)
	}
	if there.hub.Get("in/open-sent") == nil || there.hub.Get("in/shut-sent") != nil {
		t.Error("what was sent there is not what may be")
	}
}
