package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/internal/pull"
	"weir/internal/server"
	"weir/internal/session"
	"weir/rtmp"
)

// pulls returns what the API says of the streams that are fetched.
func (r *running) pulls() []struct{ Stream, Status, Source, Reason, By string } {
	r.t.Helper()
	res, err := http.Get(r.adminURL("/api/v1/pulls"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	var a struct {
		Pulls []struct{ Stream, Status, Source, Reason, By string }
	}
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
		r.t.Fatal(err)
	}
	return a.Pulls
}

// edgeOf makes a configuration an edge's.
func edgeOf(origin string) func(*server.Config) {
	return func(c *server.Config) { c.Edge.Origin = origin }
}

// film publishes pictures at 25 a second with numbers, a key frame each second, from a number on until the test ends or stop is called.
func (r *running) film(path string, from uint32) (stop func()) {
	r.t.Helper()
	p := r.mustPublish(path)
	p.must(p.video(from*40, videoHeader))
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(40 * time.Millisecond)
		defer tick.Stop()
		for n := from; ; n++ {
			if p.video(n*40, videoFrame(n%25 == 0, n, 1000)) != nil {
				return
			}
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	})
	stop = sync.OnceFunc(func() {
		close(over)
		p.client.Close()
		wg.Wait()
	})
	r.t.Cleanup(stop)
	return stop
}

// watcher is a player that notes what it gets.
type watcher struct {
	mu    sync.Mutex // guards below
	got   []uint32
	at    []time.Time
	times []uint32
	err   error
}

// watch plays a stream by RTMP until it ends.
func (r *running) watch(path string) *watcher {
	r.t.Helper()
	w := &watcher{}
	c, p, err := r.play(r.t.Context(), path)
	if err != nil {
		r.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			m, err := p.ReadMessage()
			w.mu.Lock()
			if err != nil {
				w.err = err
				w.mu.Unlock()
				return
			}
			if m.Type == rtmp.TypeVideo && m.Payload[1] == 1 {
				n, _ := numberOf(m.Payload)
				w.got, w.at, w.times = append(w.got, n), append(w.at, time.Now()), append(w.times, m.Timestamp)
			}
			w.mu.Unlock()
		}
	})
	r.t.Cleanup(func() {
		c.Close()
		wg.Wait()
	})
	return w
}

// pictures is how many it got.
func (w *watcher) pictures() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.got)
}

// TestEdge: one line makes an edge. Each stream is fetched once for all its players, of whatever protocol; they stay while
// the origin is restarted, and go on with times that run on.
func TestEdge(t *testing.T) {
	for _, scheme := range []string{"rtmp", "http"} {
		t.Run(scheme, func(t *testing.T) {
			var at [2]string
			origin := start(t, nil)
			at[0], at[1] = origin.Addr("rtmp").String(), origin.Addr("http").String()
			origin.film("live/x", 0)
			url := "rtmp://" + at[0]
			if scheme == "http" {
				url = "http://" + at[1]
			}
			edge := start(t, edgeOf(url+"?key="+secret))
			watchers := make([]*watcher, 10)
			for i := range watchers {
				watchers[i] = edge.watch("live/x")
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, edge.httpURL("live/x.flv"), nil)
			res, err := http.DefaultClient.Do(req)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatal(res, err)
			}
			defer res.Body.Close()
			for _, w := range watchers {
				eventually(t, "the player gets pictures", func() bool { return w.pictures() >= 30 })
			}
			if n := slices.DeleteFunc(origin.sessions.List(), func(s *session.Session) bool { return s.Role() != session.Play }); len(n) != 1 {
				t.Errorf("the origin has %d players", len(n))
			}
			p := edge.pulls()
			if len(p) != 1 || p[0].Stream != "live/x" || p[0].Status != "live" || p[0].By != "edge" || strings.Contains(fmt.Sprint(p), secret) {
				t.Errorf("%+v", p)
			}
			if err := origin.stop(); err != nil {
				t.Fatal(err)
			}
			before := watchers[0].pictures()
			again := start(t, func(c *server.Config) { c.RTMP.Listen, c.HTTP.Listen = at[0], at[1] })
			again.film("live/x", 5000)
			for _, w := range watchers {
				eventually(t, "the player gets pictures again", func() bool { return w.pictures() >= before+30 })
				w.mu.Lock()
				if w.err != nil || !slices.IsSorted(w.times) {
					t.Errorf("%v; times in order: %v", w.err, slices.IsSorted(w.times))
				}
				i := slices.Index(w.got, w.got[len(w.got)-1]-uint32(len(w.got)-1-slices.IndexFunc(w.got, func(n uint32) bool { return n >= 5000 })))
				if first := w.got[max(i, 0)]; first%25 != 0 {
					t.Errorf("the second part begins with picture %d, which is no key frame, or has a hole", first)
				}
				w.mu.Unlock()
			}
			if _, err := io.CopyN(io.Discard, res.Body, 100); err != nil {
				t.Error("the HTTP player was sent away:", err)
			}
			cancel()
		})
	}
}

// TestEdgeDelay: each hop adds less than two pictures of delay to 99 of 100 pictures, which are all those of a second or two. What the machine does beside
// the test may delay some: what counts is that there are such seconds. A hop that kept pictures back would do so in all of them.
func TestEdgeDelay(t *testing.T) {
	origin := start(t, nil)
	origin.film("live/x", 0)
	first := start(t, edgeOf("rtmp://"+origin.Addr("rtmp").String()))
	second := start(t, edgeOf("rtmp://"+first.Addr("rtmp").String()))
	third := start(t, edgeOf("http://"+second.Addr("http").String()))
	watchers := []*watcher{origin.watch("live/x"), first.watch("live/x"), second.watch("live/x"), third.watch("live/x")}
	const window, hop = 50, 80 * time.Millisecond
	arrivals := func() (list []map[uint32]time.Time, newest uint32) {
		for i, w := range watchers {
			m := map[uint32]time.Time{}
			w.mu.Lock()
			for k, n := range w.got {
				m[n] = w.at[k]
			}
			w.mu.Unlock()
			var last uint32
			for n := range m {
				last = max(last, n)
			}
			if list = append(list, m); i == 0 || last < newest {
				newest = last
			}
		}
		return list, newest
	}
	begin := uint32(0)
	for _, w := range watchers {
		eventually(t, "pictures come", func() bool { return w.pictures() > 0 })
		w.mu.Lock()
		begin = max(begin, w.got[len(w.got)-1]+window) // the first two seconds are those of joining
		w.mu.Unlock()
	}
	said := ""
	for range 10 {
		var list []map[uint32]time.Time
		eventually(t, "pictures come through all hops", func() bool {
			var newest uint32
			list, newest = arrivals()
			return newest >= begin+window
		})
		good := true
		for i := 1; i < len(list); i++ {
			var delays []time.Duration
			for n := begin; n < begin+window; n++ {
				before, after := list[i-1][n], list[i][n]
				if after.IsZero() || before.IsZero() {
					t.Fatalf("picture %d has not come through hop %d", n, i)
				}
				delays = append(delays, after.Sub(before))
			}
			slices.Sort(delays)
			median, longest := delays[window/2], delays[window-1]
			said += fmt.Sprintf("hop %d adds %v, %v at most; ", i, median, longest)
			good = good && longest <= hop
		}
		if good {
			t.Log(said)
			return
		}
		begin += window
	}
	t.Error(said)
}

// TestC439_Circles: servers that fetch a stream from one another refuse that at once with the reason loop and the chain in the log,
// by every protocol; so does one that fetches from itself, unless it is another stream.
func TestC439_Circles(t *testing.T) {
	for _, scheme := range []string{"rtmp", "http", "hls"} {
		t.Run(scheme, func(t *testing.T) {
			source := func(r *running) string {
				switch scheme {
				case "rtmp":
					return r.url("{path}")
				case "http":
					return r.httpURL("{path}.flv")
				}
				return r.httpURL("{path}/index.m3u8")
			}
			a, b := start(t, nil), start(t, nil)
			for _, s := range []struct{ at, from *running }{{a, b}, {b, a}} {
				conf := server.Default()
				conf.RTMP.Listen, conf.HTTP.Listen, conf.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
				e := server.DefaultStream()
				e.Pull.URL = source(s.from)
				conf.Streams = []server.StreamConfig{e}
				if _, err := s.at.Reload(conf); err != nil {
					t.Fatal(err)
				}
			}
			begin := time.Now()
			res, _ := a.get("live/x.flv")
			if took := time.Since(begin); res.StatusCode != http.StatusLoopDetected || took > time.Second {
				t.Errorf("%s after %v", res.Status, took)
			}
			eventually(t, "the chain is in the log", func() bool {
				return strings.Contains(a.log.String(), "reason=loop") && strings.Contains(a.log.String(), " → ")
			})
			eventually(t, "the reason is passed on", func() bool {
				p := append(a.pulls(), b.pulls()...)
				return len(p) == 2 && p[0].Reason == "loop" && p[1].Reason == "loop"
			})
		})
	}
	t.Run("itself", func(t *testing.T) {
		r := start(t, nil)
		conf := server.Default()
		conf.RTMP.Listen, conf.HTTP.Listen, conf.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
		one, other := server.DefaultStream(), server.DefaultStream()
		one.Match, one.Pull.URL = "live/same", strings.Replace(r.url("live/same"), "127.0.0.1", "localhost", 1)
		other.Match, other.Pull.URL = "live/other", r.url("live/x")
		conf.Streams = []server.StreamConfig{one, other}
		if _, err := r.Reload(conf); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if res, _ := r.get("live/same.flv"); res.StatusCode != http.StatusLoopDetected || time.Since(begin) > time.Second {
			t.Errorf("%s after %v", res.Status, time.Since(begin))
		}
		if p := r.pulls(); len(p) != 1 || p[0].Reason != "loop" {
			t.Errorf("%+v", p)
		}
		r.film("live/x", 0)
		w := r.watch("live/other")
		eventually(t, "the other stream comes", func() bool { return w.pictures() >= 10 })
	})
}

// TestC439_ChainOfNine: a stream that would come through nine servers is refused at once with the reason loop and the chain in the log; through
// eight it comes.
func TestC439_ChainOfNine(t *testing.T) {
	chain := []*running{start(t, nil)}
	chain[0].film("live/x", 0)
	for len(chain) < 10 {
		chain = append(chain, start(t, edgeOf("rtmp://"+chain[len(chain)-1].Addr("rtmp").String())))
	}
	begin := time.Now()
	if res, _ := chain[9].get("live/x.flv"); res.StatusCode != http.StatusLoopDetected || time.Since(begin) > time.Second {
		t.Errorf("through nine: %s after %v", res.Status, time.Since(begin))
	}
	eventually(t, "the chain is in the log", func() bool {
		log := chain[0].log.String()
		return strings.Contains(log, "reason=loop") && strings.Count(log, " → ") >= 8
	})
	if p := chain[1].pulls(); len(p) != 1 || p[0].Reason != "loop" {
		t.Errorf("%+v", p)
	}
	eventually(t, "all have given up", func() bool {
		for _, r := range chain[1:] {
			if p := r.pulls(); len(p) != 1 || p[0].Status != "failed" {
				return false
			}
		}
		return true
	})
	time.Sleep(1100 * time.Millisecond) // players who come within a second after a failure are told of it
	w := chain[8].watch("live/x")
	eventually(t, "through eight it comes", func() bool { return w.pictures() >= 10 })
}

// TestC237_SourcesOfTheAPI: a source that the API names may not be at an address of this machine, unless the configuration
// allows it; the decision hook's neither.
func TestC237_SourcesOfTheAPI(t *testing.T) {
	origin := start(t, nil)
	origin.film("live/x", 0)
	r := start(t, func(c *server.Config) {
		open, shut := server.DefaultStream(), server.DefaultStream()
		open.Match, open.Pull.Private = "open/*", true
		c.Streams = []server.StreamConfig{open, shut}
	})
	add := func(stream string) int {
		body := fmt.Sprintf(`{"stream": %q, "sources": [%q]}`, stream, origin.url("live/x?key="+secret))
		res, err := http.Post(r.adminURL("/api/v1/pulls"), "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, _ := io.ReadAll(res.Body); strings.Contains(string(b), secret) {
			t.Errorf("the answer has the key: %s", b)
		}
		return res.StatusCode
	}
	for _, stream := range []string{"open/x", "shut/x"} {
		if status := add(stream); status != http.StatusCreated {
			t.Fatal(status)
		}
	}
	if status := add("open/x"); status != http.StatusConflict {
		t.Errorf("twice: %d", status)
	}
	eventually(t, "the one is fetched and the other is not", func() bool {
		p := r.pulls()
		return len(p) == 2 && p[0].Status == string(pull.Live) && p[1].Status == string(pull.Retrying) && p[1].Reason == "address"
	})
	r.arrived("open/x", 10)
	res, err := http.Get(r.adminURL("/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	for _, line := range []string{`weir_pulls{status="live"} 1`, `weir_pulls{status="retrying"} 1`, `weir_pull_failures_total{reason="address"}`, `weir_sessions{protocol="pull",role="publish"} 1`} {
		if !strings.Contains(string(b), line) {
			t.Errorf("no %s", line)
		}
	}
	req, _ := http.NewRequest(http.MethodDelete, r.adminURL("/api/v1/pulls/open/x"), nil)
	if res, err = http.DefaultClient.Do(req); err != nil || res.StatusCode != http.StatusNoContent {
		t.Fatal(res, err)
	}
	res.Body.Close()
	eventually(t, "it ends", func() bool { return r.hub.Get("open/x") == nil })
	if s := r.hub.Get("shut/x"); s != nil && s.Stats().Frames[av.Video] > 0 {
		t.Error("it was fetched all the same")
	}
}

// TestPullsOfTheAPIAreKept: what the API has fetched is fetched again after a restart, if there is a folder of state; a file that is
// damaged keeps the server from starting, with a sentence that says what to do.
func TestPullsOfTheAPIAreKept(t *testing.T) {
	t.Parallel()
	origin := start(t, nil)
	origin.film("live/x", 0)
	folder := t.TempDir()
	change := func(c *server.Config) {
		e := server.DefaultStream()
		e.Pull.Private = true
		c.State, c.Streams = folder, []server.StreamConfig{e}
	}
	r := start(t, change)
	body := fmt.Sprintf(`{"stream": "live/y", "sources": [%q], "silence": 2}`, origin.url("live/x?key="+secret))
	if status, answer := r.ask("POST", "/api/v1/pulls", body); status != http.StatusCreated {
		t.Fatal(status, answer)
	}
	r.arrived("live/y", 10)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, change)
	r.arrived("live/y", 10)
	if p := r.pulls(); len(p) != 1 || p[0].By != "api" || p[0].Status != "live" || strings.Contains(fmt.Sprint(p), secret) {
		t.Errorf("%+v", p)
	}
	if status, answer := r.ask("DELETE", "/api/v1/pulls/live/y", ""); status != http.StatusNoContent {
		t.Fatal(status, answer)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, change)
	if p := r.pulls(); len(p) != 0 {
		t.Errorf("%+v", p)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "pulls.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := server.Default()
	conf.RTMP.Listen, conf.HTTP.Listen, conf.Admin.Listen, conf.State = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", folder
	if _, err := server.New(conf, server.Options{}); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "mend it, or remove it") {
		t.Error(err)
	}
}
