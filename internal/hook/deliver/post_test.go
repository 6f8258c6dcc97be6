package deliver

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/event"
	"weir/internal/session"
)

// received is one request at a receiver.
type received struct {
	header http.Header
	body   []byte
	uri    string
}

// receiver collects requests, and answers each as answer says.
func receiver(t *testing.T, answer func(w http.ResponseWriter, n int)) (url string, got func() []received) {
	t.Helper()
	var mu sync.Mutex
	var all []received
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		all = append(all, received{r.Header.Clone(), b, r.RequestURI})
		n := len(all)
		mu.Unlock()
		if answer != nil {
			answer(w, n)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []received {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

const testSecret, oldSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", "whsec_/////////////////////w8PDw8PDw8P"

// verify checks a request's signature as a receiver does.
func verify(t *testing.T, r received, secret string) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	m := hmac.New(sha256.New, key)
	fmt.Fprintf(m, "%s.%s.%s", r.header.Get("webhook-id"), r.header.Get("webhook-timestamp"), r.body)
	want := "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
	if !slices.Contains(strings.Fields(r.header.Get("webhook-signature")), want) {
		t.Errorf("signature %q, want %q", r.header.Get("webhook-signature"), want)
	}
}

func TestPost(t *testing.T) {
	url, got := receiver(t, nil)
	conf := post(url + "/hook?token=hunter2")
	conf.Secret, conf.OldSecret = testSecret, oldSecret
	f := newFixture(t, []Config{conf}, nil)
	f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s1"))
	f.Close()
	all := got()
	if len(all) != 1 {
		t.Fatal(all)
	}
	r := all[0]
	verify(t, r, testSecret)
	verify(t, r, oldSecret)
	var v envelope
	if err := json.Unmarshal(r.body, &v); err != nil || v.ID != r.header.Get("webhook-id") || v.Version != 1 || v.Seq != 1 || v.Type != "publish.start" ||
		v.Server != testServer || v.Stream.Path != "live/a" || v.Session.ID != "s1" || time.Since(v.Time) > time.Minute {
		t.Errorf("%s %v", r.body, err)
	}
	if r.header.Get("Content-Type") != "application/json" {
		t.Error(r.header)
	}
	if f.metrics.calls != 1 || f.metrics.fails != 0 {
		t.Errorf("%+v", f.metrics)
	}
}

// TestPostTarget: nothing of an address is shown but scheme and host.
func TestPostTarget(t *testing.T) {
	url, _ := receiver(t, func(w http.ResponseWriter, _ int) { w.WriteHeader(http.StatusTeapot) })
	f := newFixture(t, []Config{post(url + "/hunter2?hunter2")}, nil)
	f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s1"))
	f.Close()
	f = newFixture(t, []Config{post("http://127.0.0.1:1/hunter2?hunter2")}, nil) // nobody listens there
	f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s1"))
	for f.List()[0].Failed == 0 {
		<-time.After(time.Millisecond)
	}
	s := f.List()[0]
	d, _ := f.Deliveries(s.Name)
	f.Close()
	if s.Target != "http://127.0.0.1:1" || strings.Contains(fmt.Sprint(s, d), "hunter2") || d[0].Error == "" {
		t.Errorf("%+v %+v", s, d)
	}
}

// TestPostAgain: the receiver's answers, as the hook takes them, with the id that stays.
func TestPostAgain(t *testing.T) {
	for status, want := range map[int]result{
		200: {}, 204: {}, 299: {}, 301: {}, 400: {}, 404: {}, 500: {},
		410: {off: true}, 429: {wait: 7 * time.Second}, 503: {wait: 7 * time.Second},
	} {
		url, got := receiver(t, func(w http.ResponseWriter, _ int) {
			w.Header().Set("Retry-After", "7")
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		})
		conf := post(url + "/hunter2")
		p, err := newPoster(&conf, testServer)
		if err != nil {
			t.Fatal(err)
		}
		it := itemOf(event.PublishStart, "live/a", 0)
		it.id, it.body = "01X", []byte(`{}`)
		for range 2 {
			res := p.send(t.Context(), []*item{it}, 0)
			if (res.err == nil) != (status/100 == 2) || res.status != status || res.off != want.off || res.wait != want.wait || res.final {
				t.Errorf("%d: %+v", status, res)
			}
			if res.err != nil && (strings.Contains(res.err.Error(), "hunter2") || !strings.Contains(res.err.Error(), fmt.Sprint(status))) {
				t.Error(res.err)
			}
		}
		p.close()
		if all := got(); len(all) != 2 || all[0].header.Get("webhook-id") != "01X" || all[1].header.Get("webhook-id") != "01X" || all[0].header.Get("webhook-signature") != "" {
			t.Error(all)
		}
	}
}

// TestBatch: what waits is posted as one array, in its order.
func TestBatch(t *testing.T) {
	hold := make(chan struct{})
	url, got := receiver(t, func(w http.ResponseWriter, n int) {
		if n == 1 {
			<-hold
		}
	})
	conf := post(url)
	conf.Batch, conf.Secret = 100, testSecret
	f := newFixture(t, []Config{conf}, nil)
	for i := range 151 {
		f.bus.Publish(publishEvent(event.PublishStart, fmt.Sprint("live/", i%7), fmt.Sprint(i)))
	}
	for n := 0; n < 151; n = f.List()[0].Queue { // all have been taken in
	}
	close(hold)
	f.Close()
	n, sizes := 0, []int{}
	for _, r := range got() {
		verify(t, r, testSecret)
		var all []envelope
		if err := json.Unmarshal(r.body, &all); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(all))
		for _, v := range all {
			if v.Session.ID != fmt.Sprint(n) || v.Seq != uint64(n/7+1) {
				t.Fatalf("event %d: %+v", n, v)
			}
			n++
		}
		if id := r.header.Get("webhook-id"); id != fmt.Sprintf("%s-%d", all[0].ID, len(all)) {
			t.Error(id)
		}
	}
	// How many the first batch has depends on how many had been taken in by then.
	if n != 151 || len(sizes) < 2 || slices.Max(sizes) > 100 || sizes[0] <= 51 && !slices.Contains(sizes, 100) {
		t.Error(n, sizes)
	}
}

// TestO08_DeadKeepAlive: a receiver or proxy that closes the connection after each answer without saying so
// gets every event once.
func TestO08_DeadKeepAlive(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	conns := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err == nil {
				_, err = io.Copy(io.Discard, r.Body)
			}
			mu.Lock()
			if conns++; err == nil {
				seen[r.Header.Get("webhook-id")]++
			}
			mu.Unlock()
			if err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n")
			}
			_ = c.Close()
		}
	})
	f := newFixture(t, []Config{post("http://" + ln.Addr().String())}, nil)
	const n = 100
	for i := range n {
		f.bus.Publish(publishEvent(event.PublishStart, "live/a", fmt.Sprint(i)))
	}
	f.Close()
	_ = ln.Close()
	wg.Wait()
	if len(seen) != n || f.metrics.fails > 0 {
		t.Errorf("%d of %d events on %d connections, %d failed tries", len(seen), n, conns, f.metrics.fails)
	}
	for id, k := range seen {
		if k != 1 {
			t.Errorf("%s came %d times", id, k)
		}
	}
}

// TestO04_QuickCycles: every event of a thousand quick starts and stops arrives complete, in its stream's order.
func TestO04_QuickCycles(t *testing.T) {
	url, got := receiver(t, nil)
	f := newFixture(t, []Config{post(url)}, nil)
	const n = 1000
	for i := range n {
		path, id := fmt.Sprint("live/", i%10), fmt.Sprint("s", i)
		f.bus.Publish(publishEvent(event.PublishStart, path, id))
		stop := publishEvent(event.PublishStop, path, id)
		stop.Data = map[string]any{"reason": "unpublish"}
		f.bus.Publish(stop)
	}
	f.Close()
	open, seq, pairs := map[string]string{}, map[string]uint64{}, 0
	for _, r := range got() {
		var v envelope
		if err := json.Unmarshal(r.body, &v); err != nil || v.ID == "" || v.Stream == nil || v.Stream.Path == "" || v.Session == nil || v.Session.ID == "" {
			t.Fatalf("%s %v", r.body, err)
		}
		p := v.Stream.Path
		if seq[p]++; v.Seq != seq[p] {
			t.Fatalf("%s: number %d, want %d", p, v.Seq, seq[p])
		}
		switch {
		case v.Type == event.PublishStart && open[p] == "":
			open[p] = v.Session.ID
		case v.Type == event.PublishStop && open[p] == v.Session.ID && v.Data["reason"] == "unpublish":
			open[p] = ""
			pairs++
		default:
			t.Fatalf("%s of %s while %q is open", v.Type, v.Session.ID, open[p])
		}
	}
	if pairs != n {
		t.Error(pairs)
	}
}

// TestFormats: as other servers tell it, with a call that failed made again and one that did not, not.
func TestFormats(t *testing.T) {
	url, got := receiver(t, func(w http.ResponseWriter, n int) {
		switch n {
		case 1:
			w.WriteHeader(http.StatusNotFound) // such servers do not mind
		case 2:
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	conf := post(url)
	conf.Format, conf.Calls = "nginx-rtmp", []string{"publish_done", "done"}
	f := newFixture(t, []Config{conf}, nil)
	f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s1"))
	f.bus.Publish(publishEvent(event.PublishStop, "live/a", "s1"))
	for len(got()) < 3 { // the retry comes a second later
		<-time.After(10 * time.Millisecond)
	}
	all, _ := f.Deliveries("127-0-0-1") // what is sent again is sent from its beginning
	for len(all) == 0 || !all[0].Done {
		<-time.After(time.Millisecond)
		all, _ = f.Deliveries("127-0-0-1")
	}
	if err := f.Replay("127-0-0-1", all[0].ID); err != nil {
		t.Error(err)
	}
	f.Close()
	var calls []string
	for _, r := range got() {
		for _, field := range strings.Split(string(r.body), "&") {
			if v, ok := strings.CutPrefix(field, "call="); ok {
				calls = append(calls, v)
			}
		}
	}
	if !slices.Equal(calls, []string{"publish_done", "done", "done", "publish_done", "done"}) {
		t.Error(calls)
	}
}

// TestNginxCalls: each address of a configuration of nginx-rtmp is told of what its directive is, once, and a connection's end after
// that of the stream on it.
func TestNginxCalls(t *testing.T) {
	for _, c := range []struct {
		calls []string
		want  []string
	}{
		{nil, []string{"publish_done", "record_done", "disconnect"}}, // as with one address for on_publish_done and on_disconnect
		{[]string{"publish_done"}, []string{"publish_done"}},
		{[]string{"done"}, []string{"done"}},
		{[]string{"play_done"}, nil},
		{[]string{"disconnect"}, []string{"disconnect"}},
		{[]string{"record_done"}, []string{"record_done"}},
		{[]string{"done", "disconnect", "publish_done"}, []string{"publish_done", "done", "disconnect"}},
	} {
		url, got := receiver(t, func(_ http.ResponseWriter, n int) {
			if n == 1 {
				<-time.After(50 * time.Millisecond) // so that another lane would overtake it
			}
		})
		conf := post(url)
		conf.Format, conf.Calls = "nginx-rtmp", c.calls
		f := newFixture(t, []Config{conf}, nil)
		e := publishEvent(event.PublishStop, "live/a", "s1")
		f.bus.Publish(e)
		f.bus.Publish(event.Event{Type: event.RecordingDone, Stream: e.Stream, Session: e.Session, Data: map[string]any{"dir": "/r", "file": "a.mp4"}})
		f.bus.Publish(event.Event{Type: event.Disconnect, Session: e.Session, Data: map[string]any{"app": "live", "stream": "live/a"}})
		for len(got()) < len(c.want) {
			<-time.After(time.Millisecond)
		}
		f.Close()
		var calls []string
		for _, r := range got() {
			for _, field := range strings.Split(string(r.body), "&") {
				if v, ok := strings.CutPrefix(field, "call="); ok {
					calls = append(calls, v)
				}
			}
		}
		if !slices.Equal(calls, c.want) {
			t.Errorf("calls %q: %q, want %q", c.calls, calls, c.want)
		}
	}
}

// TestCallsSRS: the same of SRS's hooks; on_hls_notify has an address with fields, and is only made where it is named.
func TestCallsSRS(t *testing.T) {
	for _, c := range []struct {
		calls []string
		path  string
		want  []string
	}{
		{nil, "/", []string{"/ on_hls", "/ on_dvr", "/ on_unpublish"}},
		{[]string{"on_dvr"}, "/dvr", []string{"/dvr on_dvr"}},
		{[]string{"on_hls", "on_unpublish"}, "/", []string{"/ on_hls", "/ on_unpublish"}},
		{[]string{"on_hls_notify"}, "/n/[app]/[stream]?ts=[ts_url]", []string{"/n/live/a?ts=live/a/7.ts "}},
	} {
		url, got := receiver(t, nil)
		conf := post(url + c.path)
		conf.Format, conf.Calls = "srs", c.calls
		f := newFixture(t, []Config{conf}, nil)
		stop := publishEvent(event.PublishStop, "live/a", "s1")
		f.bus.Publish(event.Event{Type: event.SegmentDone, Stream: stop.Stream, Data: map[string]any{"rendition": "main", "url": "live/a/7.ts"}})
		f.bus.Publish(event.Event{Type: event.RecordingDone, Stream: stop.Stream, Data: map[string]any{"dir": "/r", "file": "a.mp4"}})
		f.bus.Publish(stop)
		for len(got()) < len(c.want) {
			<-time.After(time.Millisecond)
		}
		f.Close()
		var calls []string
		for _, r := range got() {
			var body struct {
				Action string `json:"action"`
			}
			_ = json.Unmarshal(r.body, &body) // a GET has none
			calls = append(calls, r.uri+" "+body.Action)
		}
		if !slices.Equal(calls, c.want) {
			t.Errorf("calls %q: %q, want %q", c.calls, calls, c.want)
		}
	}
}

// TestQuery: what a peer showed is told to a hook that wants it, and is in no file; without the key it is not told.
func TestQuery(t *testing.T) {
	dir := t.TempDir()
	url, got := receiver(t, func(http.ResponseWriter, int) {})
	told, plain := post(url+"/told"), post(url+"/plain")
	told.Name, told.Format, told.Query, told.Directory = "told", "nginx-rtmp", true, dir
	plain.Name, plain.Format = "plain", "srs"
	f := newFixture(t, []Config{told, plain}, nil)
	if !f.Queries() {
		t.Error("no hook wants what peers show")
	}
	e := publishEvent(event.PublishStop, "live/a", "s1")
	e.Session.Shown = &session.Shown{Path: "live/hunter2name", Query: "token=hunter2", TCURL: "rtmp://host/live"}
	f.bus.Publish(e)
	for len(got()) < 2 {
		<-time.After(time.Millisecond)
	}
	f.Close()
	for _, r := range got() {
		has := strings.Contains(string(r.body), "hunter2") && strings.Contains(string(r.body), "tcurl=rtmp://host/live") && strings.Contains(string(r.body), "name=hunter2name")
		if has == strings.Contains(string(r.body), "on_unpublish") {
			t.Errorf("%s", r.body)
		}
	}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if bytes.Contains(b, []byte("hunter2")) {
			t.Errorf("%s has it", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// BenchmarkDeliver is how many events one hook tells a healthy receiver of in a second: b.N events of 100 streams, each
// posted on its own, signed; and how many that is of what as many bare requests at once make (x/bare). Receiver and hook share
// the CPUs: run it with -cpu 1.
func BenchmarkDeliver(b *testing.B) {
	bare := barePosts(b)
	for _, c := range []struct {
		name  string
		batch int
		dir   bool
	}{{"each", 1, false}, {"each,journal", 1, true}, {"batch=100", 100, false}} {
		b.Run(c.name, func(b *testing.B) {
			conf := post("http://" + bareReceiver(b))
			conf.Secret, conf.Batch = testSecret, c.batch
			if c.dir {
				conf.Directory = b.TempDir()
			}
			bus, m := event.NewBus(), &counts{}
			d, err := New([]Config{conf}, Options{Log: discard, Bus: bus, Metrics: m, Server: testServer})
			if err != nil {
				b.Fatal(err)
			}
			r := d.all()[0]
			b.ResetTimer()
			for i := range b.N {
				bus.Publish(publishEvent(event.PublishStart, fmt.Sprint("live/", i%100), "s"))
				for i%1000 == 0 && r.inbox.waiting() > maxInbox/2 {
					<-time.After(time.Millisecond)
				}
			}
			for r.delivered.Load() < uint64(b.N) {
				<-time.After(time.Millisecond)
			}
			b.StopTimer()
			rate := float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(rate, "events/s")
			b.ReportMetric(rate/bare, "x/bare")
			if c.dir {
				b.ReportMetric(float64(r.syncs.Load())/b.Elapsed().Seconds(), "syncs/s")
			}
			d.Close()
			if m.fails > 0 || r.dropped.Load() > 0 {
				b.Fatalf("%d failed, %d dropped", m.fails, r.dropped.Load())
			}
		})
	}
}

// barePosts returns how many posts a second net/http makes of such an event, as many at once as a hook makes.
func barePosts(b *testing.B) (perSecond float64) {
	b.Helper()
	const each = 1000
	to := "http://" + bareReceiver(b)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: maxPosts}}
	defer client.CloseIdleConnections()
	e := publishEvent(event.PublishStart, "live/1", "s")
	body, err := json.Marshal(&e)
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	var wg sync.WaitGroup
	for range maxPosts {
		wg.Go(func() {
			for range each {
				res, err := client.Post(to, "application/json", bytes.NewReader(body)) //nolint:noctx // a benchmark
				if err != nil {
					b.Error(err)
					return
				}
				_ = res.Body.Close()
			}
		})
	}
	wg.Wait()
	return maxPosts * each / time.Since(begin).Seconds()
}

// bareReceiver answers every request of any connection with 204, at as little cost as can be, so that the
// benchmark is about the hook.
func bareReceiver(b *testing.B) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	b.Cleanup(func() { _ = ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReaderSize(c, 1<<16)
				for {
					length := 0
					for {
						line, err := r.ReadSlice('\n')
						if err != nil {
							return
						}
						if len(line) == 2 {
							break
						}
						if n, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
							_, _ = fmt.Sscan(n, &length)
						}
					}
					if _, err := r.Discard(length); err != nil {
						return
					}
					if _, err := io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
						return
					}
				}
			})
		}
	})
	return ln.Addr().String()
}
