package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"weir/internal/config"
	"weir/internal/demo"
	"weir/internal/listen/listentest"
)

// otherValues are values to which keys are changed that probes does not have, because they apply elsewhere, to
// listeners, or not before a restart.
func otherValues(t *testing.T) map[string]string {
	cert, key := listentest.Cert(t, t.TempDir(), 1)
	return map[string]string{
		"log.format": "json", "state": t.TempDir(), "delivery.workers": "3", "delivery.portable": "true",
		"http.listen": "localhost:0", "http.tls.listen": "127.0.0.1:0", "http.tls.cert": cert + "\nhttp.tls.listen=127.0.0.1:0\nhttp.tls.key=" + key, "admin.listen": "127.0.0.1:0",
		"rtmp.listen": "localhost:0", "rtmp.tls.listen": "127.0.0.1:0", "rtmp.tls.cert": cert + "\nrtmp.tls.listen=127.0.0.1:0\nrtmp.tls.key=" + key,
		"rtmp.chunk_size": "4096", "rtmp.handshake_timeout": "3s", "rtmp.ingest_delay": "10ms", "rtmp.idle_timeout": "20s", "rtmp.proxy_protocol": "[192.0.2.0/24]",
		"streams[].hls.enabled": "false", "streams[].hls.low_latency": "false", "streams[].hls.segment": "4s", "streams[].hls.part": "100ms",
		"streams[].hls.window": "9", "streams[].hls.directory": t.TempDir(), "streams[].hls.container": "ts", "streams[].hls.cdn_secret": strings.Repeat("s", 16),
		"tracing.url": "http://127.0.0.1:1/v1/traces", "tracing.authorization": "Bearer x", "tracing.percent": "50",
		"auth.jwt.jwks": "http://127.0.0.1:1/jwks", "auth.jwt.refresh": "5m", "auth.jwt.secret": strings.Repeat("s", 32), "auth.jwt.issuer": "https://a.example",
		"auth.jwt.audience": "weir", "auth.jwt.claim": "other", "auth.jwt.end_publishers": "true",
	}
}

// hookValues are values to which the keys of an event hook are changed, and what is configured before.
func hookValues(t *testing.T) (values, before map[string]string) {
	cert, _ := listentest.Cert(t, t.TempDir(), 1)
	secret := "whsec_" + strings.Repeat("A", 32)
	values, before = map[string]string{}, map[string]string{}
	const post, run = "url: 'http://127.0.0.1:1/'", "run: [sleep, '1000'], events: [stream.online]"
	for key, c := range map[string]struct{ has, gets string }{
		"name": {post, "name: other"}, "url": {"name: x, " + post, "name: x, url: 'http://127.0.0.1:2/'"}, "events": {post, "events: [publish.*]"},
		"match": {post, "match: live/*"}, "calls": {post + ", format: nginx-rtmp", "calls: [done]"}, "query": {post + ", format: srs", "query: true"}, "format": {post, "format: srs"}, "secret": {post, "secret: " + secret}, "old_secret": {post, "old_secret: " + secret},
		"ca": {post, "ca: " + cert}, "timeout": {post, "timeout: 1s"}, "batch": {post, "batch: 2"}, "directory": {post, "directory: " + t.TempDir()},
		"run": {"name: x, run: [sleep, '1000']", "name: x, run: [sleep, '2000']"}, "while": {run, "while: true"}, "restart": {run + ", while: true", "restart: true"},
	} {
		to := c.has + ", " + c.gets
		if key == "url" || key == "run" {
			to = c.gets
		}
		before["hooks[]."+key], values["hooks[]."+key] = "hooks=[{"+c.has+"}]", "[{"+to+"}]"
	}
	return values, before
}

// crowd is a server under load: a publisher, players within the program, and some over HTTP.
type crowd struct {
	*Server
	ids  []string
	took []*atomic.Int64 // what each player has got so far
}

// underLoad runs a server with a publisher and players until the test ends.
func underLoad(t testing.TB, conf Config, opt Options) *crowd {
	t.Helper()
	s, err := New(conf, opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	c := &crowd{Server: s}
	p, err := s.InProcess().PublishLocal(ctx, "live/a")
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		defer p.Close()
		if err := demo.Publish(ctx, p.Write); err != nil && ctx.Err() == nil {
			t.Error("the publisher ended:", err)
		}
	})
	for range 5 {
		q, err := s.InProcess().PlayLocal("live/a")
		if err != nil {
			t.Fatal(err)
		}
		n := new(atomic.Int64)
		c.took = append(c.took, n)
		wg.Go(func() {
			defer q.Close()
			for {
				if _, err := q.Next(ctx); err != nil {
					if ctx.Err() == nil {
						t.Error("a player ended:", err)
					}
					return
				}
				n.Add(1)
			}
		})
	}
	for range 5 {
		res := playHTTP(ctx, t, s)
		n := new(atomic.Int64)
		c.took = append(c.took, n)
		wg.Go(func() {
			defer res.Body.Close()
			b := make([]byte, 4096)
			for {
				k, err := res.Body.Read(b)
				if err != nil {
					if ctx.Err() == nil {
						t.Error("a player over HTTP ended:", err)
					}
					return
				}
				n.Add(int64(k))
			}
		})
	}
	c.goOn(t)
	c.ids = c.present()
	if len(c.ids) != 11 {
		t.Fatalf("%d sessions", len(c.ids))
	}
	return c
}

// present returns the ids of the sessions.
func (c *crowd) present() []string {
	var ids []string
	for _, x := range c.sessions.List() {
		ids = append(ids, x.ID)
	}
	slices.Sort(ids)
	return ids
}

// playHTTP plays the stream over HTTP, in whatever format there is.
func playHTTP(ctx context.Context, t testing.TB, s *Server) *http.Response {
	t.Helper()
	for _, suffix := range []string{".flv", ".ts"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%v/live/a%s", s.Addr("http"), suffix), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := new(http.Transport).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == http.StatusOK {
			return res
		}
		_ = res.Body.Close()
	}
	t.Fatal("no format is played over HTTP")
	return nil
}

// goOn fails unless every player gets more.
func (c *crowd) goOn(t testing.TB) {
	t.Helper()
	for i, n := range c.took {
		end := time.Now().Add(20 * time.Second)
		for before := n.Load(); n.Load() == before; runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatalf("player %d gets nothing more", i)
			}
		}
	}
}

// TestEveryKeyChangesUnderLoad changes every key there and back while a stream is published and played: the report has it with when it
// applies, no session ends, and every player goes on.
func TestEveryKeyChangesUnderLoad(t *testing.T) {
	limit := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(limit)
	base := configured(t)
	keys, err := config.Keys(&base)
	if err != nil {
		t.Fatal(err)
	}
	values, before := otherValues(t), maps.Clone(besides)
	ofHook, besidesHook := probesOfHook(t)
	for _, all := range []map[string]probe{probes, probesOfKeys(), ofHook, probesOfPull(), probesOfPush(), probesOfRecord(), probesOfStorage(t)} {
		for k, p := range all {
			values[k] = p.set
		}
	}
	maps.Copy(before, besidesHook)
	ofHooks, beforeHooks := hookValues(t)
	maps.Copy(values, ofHooks)
	for k, set := range beforeHooks {
		before[k] = []string{set}
	}
	c := underLoad(t, base, Options{Level: new(slog.LevelVar)})
	reload := func(key string, sets ...string) []config.Change {
		t.Helper()
		r, err := c.Reload(configured(t, sets...))
		if err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if got := c.present(); !slices.Equal(got, c.ids) {
			t.Fatalf("%s: sessions %q have become %q", key, c.ids, got)
		}
		return r.Changed
	}
	changed := map[config.When]int{}
	for _, k := range keys {
		value, ok := values[k.Path]
		if !ok && strings.HasSuffix(k.Path, ".listen") { // of a protocol that was added
			value, ok = "127.0.0.1:1", true
		}
		if !ok {
			if !strings.HasSuffix(k.Path, ".tls.key") { // goes with the certificate
				t.Errorf("%s (%v): give it another value in probes, otherValues or hookValues", k.Path, k.When)
			}
			continue
		}
		reload(k.Path, before[k.Path]...)
		told := reload(k.Path, append(slices.Clone(before[k.Path]), strings.Split(settingOf(k.Path)+"="+value, "\n")...)...)
		if !slices.ContainsFunc(told, func(x config.Change) bool {
			at := index.ReplaceAllString(x.Path, "[]")
			return (at == k.Path || strings.HasPrefix(k.Path, at+"[].")) && x.When == k.When
		}) {
			t.Errorf("%s (%v): the report has %v", k.Path, k.When, told)
		}
		changed[k.When]++
		if back := reload(k.Path+" back", before[k.Path]...); k.When != config.Restart && len(back) == 0 {
			t.Errorf("%s back: nothing has changed", k.Path)
		}
	}
	c.goOn(t)
	if !slices.Equal(c.present(), c.ids) {
		t.Error("sessions have ended")
	}
	t.Logf("changed: %v", changed)
}

// index is that of an entry in a path.
var index = regexp.MustCompile(`\.[0-9]+`)

// TestNoConnectionIsRefusedDuringAReload: while all of the configuration changes again and again, certificates too, whoever comes is
// taken in and answered.
func TestNoConnectionIsRefusedDuringAReload(t *testing.T) {
	dir := t.TempDir()
	var pairs [2][]string
	for i := range pairs {
		folder := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		cert, key := listentest.Cert(t, folder, int64(i+1))
		pairs[i] = []string{"admin.listen=127.0.0.1:0", "http.tls.listen=127.0.0.1:0", "http.tls.cert=" + cert, "http.tls.key=" + key}
	}
	other := append(slices.Clone(pairs[1]), "limits.streams=7", "http.cors=[https://a.example]", "http.trusted_proxies=[192.0.2.0/24]",
		"streams.0.publish.grace=1s", "streams.0.slow_player.then=close", "streams.1.match=**", "hooks.0.url=http://127.0.0.1:1/", "delivery.max_delay=20ms",
		"auth.hook.url=http://127.0.0.1:1/", "metrics.per_stream=true", "log.level=warn", "drain=1s")
	c := underLoad(t, configured(t, pairs[0]...), Options{Level: new(slog.LevelVar)})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	var came atomic.Int64
	for name, at := range places(t, c.Server) {
		wg.Go(func() {
			for ctx.Err() == nil {
				conn, err := net.DialTimeout("tcp", at.String(), 10*time.Second)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				came.Add(1)
				if name == "https" {
					conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
				}
				if name == "http" || name == "https" || name == "admin" {
					_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
					_, err = io.WriteString(conn, "GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n")
					if head := make([]byte, 5); err == nil {
						_, err = io.ReadFull(conn, head)
						if err == nil && string(head) != "HTTP/" {
							err = fmt.Errorf("answered with %q", head)
						}
					}
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				_ = conn.Close()
			}
		})
	}
	for begin, n := time.Now(), 0; time.Since(begin) < 1500*time.Millisecond || n < 10; n++ {
		for _, sets := range [][]string{other, pairs[0]} {
			if _, err := c.Reload(configured(t, sets...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	wg.Wait()
	t.Logf("%d connections came", came.Load())
	if came.Load() < 100 {
		t.Errorf("%d connections came", came.Load())
	}
	for end := time.Now().Add(10 * time.Second); !slices.Equal(c.present(), c.ids); runtime.Gosched() { // the last of them end
		if time.Now().After(end) {
			t.Fatalf("sessions %q have become %q", c.ids, c.present())
		}
	}
	c.goOn(t)
}

// All listeners move, turn off and on and change their certificates; connections that are there stay, and a change that
// cannot be made in whole is not made at all.
func TestListenersMove(t *testing.T) {
	dir := t.TempDir()
	cert, key := listentest.Cert(t, dir, 1)
	base := configured(t, "admin.listen=127.0.0.1:0")
	c := underLoad(t, base, Options{})
	first := maps.Clone(places(t, c.Server))
	secure := []string{"admin.listen=127.0.0.1:0", "http.tls.listen=127.0.0.1:0", "http.tls.cert=" + cert, "http.tls.key=" + key}
	reload := func(sets ...string) {
		t.Helper()
		if _, err := c.Reload(configured(t, sets...)); err != nil {
			t.Fatal(err)
		}
	}
	serial := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", c.Addr("https").String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	reload(secure...)
	if got := serial(); got != "1" {
		t.Error("the certificate is number", got)
	}
	at := c.Addr("https").String()
	listentest.Cert(t, dir, 2) // the same files: a reload reads them at once
	reload(secure...)
	if got := serial(); got != "2" || c.Addr("https").String() != at {
		t.Errorf("certificate %s at %v, which was %s", got, c.Addr("https"), at)
	}
	for name, addr := range first {
		if now := c.Addr(name); now == nil || now.String() != addr.String() {
			t.Errorf("%s has moved from %v to %v", name, addr, now)
		}
	}
	// Another port, and an address that a socket of ours holds.
	_, port, _ := net.SplitHostPort(first["http"].String())
	reload(append(secure, "http.listen=:"+port)...)
	if got := c.Addr("http").String(); got != "[::]:"+port && got != "0.0.0.0:"+port {
		t.Error("http is at", got)
	}
	res, err := http.Get("http://127.0.0.1:" + port + "/streams.json")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	// The port of another program.
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	before := c.current.Load()
	for _, bad := range [][]string{
		{"http.listen=127.0.0.1:0", "admin.listen=" + other.Addr().String(), "limits.streams=7"},
		{"http.listen=127.0.0.1:0", "http.tls.listen=127.0.0.1:0", "http.tls.cert=" + filepath.Join(dir, "none"), "http.tls.key=" + key, "limits.streams=7"},
	} {
		if _, err := c.Reload(configured(t, bad...)); err == nil {
			t.Errorf("%q: no error", bad)
		} else {
			t.Log(err)
		}
		if c.current.Load() != before || c.Addr("http").String() == first["http"].String() || c.Addr("https").String() != at {
			t.Errorf("%q: part of it was applied", bad)
		}
	}
	reload("admin.listen=", "http.listen=")
	for _, name := range []string{"http", "https", "admin"} {
		if a := c.Addr(name); a != nil {
			t.Errorf("%s still listens on %v", name, a)
		}
	}
	if got := c.present(); !slices.Equal(got, c.ids) {
		t.Errorf("sessions %q have become %q", c.ids, got)
	}
	c.goOn(t)
	reload("admin.listen=127.0.0.1:0")
	for _, name := range []string{"http", "admin"} {
		res, err := http.Get(fmt.Sprintf("http://%v/", c.Addr(name)))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

// thousand writes a file with a thousand entries, the last of which has a value of its own.
func thousand(t testing.TB, file string, last string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("http: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"\"}\nstreams:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  - match: app%d/*\n    publish: {keys: [secret-%d], grace: 10s}\n    play: {max_players: %d}\n", i, i, i+1)
	}
	fmt.Fprintf(&b, "  - match: live/*\n    play: {max_players: %s}\n", last)
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkReloadOfAThousandEntries reads and applies a file with 1,000 entries of streams while one of them is published
// and played; x/parse is how many times as long that takes as parsing the same file's YAML alone.
func BenchmarkReloadOfAThousandEntries(b *testing.B) {
	file := filepath.Join(b.TempDir(), "weir.yml")
	thousand(b, file, "100")
	conf, err := ReadConfiguration(Source{File: file, Sets: freeSets(b)})
	if err != nil {
		b.Fatal(err)
	}
	c := underLoad(b, conf.Config(), Options{Configuration: conf})
	var longest, parsing time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		thousand(b, file, fmt.Sprint(101+i))
		text, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		at := time.Now()
		if err := yaml.Unmarshal(text, new(yaml.Node)); err != nil {
			b.Fatal(err)
		}
		parsing += time.Since(at)
		b.StartTimer()
		begin := time.Now()
		r, err := conf.Reload(context.Background(), "test")
		longest = max(longest, time.Since(begin))
		if err != nil || len(r.Changed) != 1 || r.Changed[0].Path != "streams.1000.play.max_players" {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(longest.Microseconds())/1000, "ms/longest")
	b.ReportMetric(b.Elapsed().Seconds()/parsing.Seconds(), "x/parse")
	if !slices.Equal(c.present(), c.ids) {
		b.Error("sessions have ended")
	}
}

// freeSets makes the listeners of all protocols take free ports.
func freeSets(t testing.TB) []string {
	t.Helper()
	conf := Default()
	var sets []string
	for _, l := range conf.listeners() {
		if l.TLS == nil && l.Proto != "admin" {
			sets = append(sets, l.Key+"=127.0.0.1:0")
		}
	}
	return append(sets, "admin.listen=")
}

// A change that could not be kept is not applied, and its sockets are given back.
func TestReloadAfterFailure(t *testing.T) {
	s, err := New(configured(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before, at := s.current.Load(), s.Addr("http").String()
	failed := errors.New("the disk is full")
	_, err = s.reloadAfter(configured(t, "http.listen=localhost:0", "limits.streams=7"), func() error { return failed })
	if !errors.Is(err, failed) || s.current.Load() != before || s.Addr("http").String() != at {
		t.Errorf("%v; %v", err, s.Addr("http"))
	}
	// The ports that were opened for it are free again.
	for name, fail := range map[string]func(listen string) error{
		"what goes first": func(listen string) error {
			_, err := s.reloadAfter(configured(t, "http.listen="+listen), func() error { return failed })
			return err
		},
		"a hook": func(listen string) error {
			_, err := s.Prepare(configured(t, "http.listen="+listen, "hooks.0.url=https://127.0.0.1/x", "hooks.0.ca=/does/not/exist"))
			return err
		},
		"a certificate": func(listen string) error {
			conf := configured(t, "http.listen="+listen)
			conf.HTTP.TLS.Listen, conf.HTTP.TLS.Cert, conf.HTTP.TLS.Key = "127.0.0.1:0", "/does/not/exist", "/does/not/exist"
			_, err := s.Prepare(conf)
			return err
		},
	} {
		port, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listen := port.Addr().String()
		if err := fail(listen); err == nil || !strings.Contains(err.Error(), "http: ") {
			t.Errorf("%s: the port is taken: %v", name, err)
		}
		if err := port.Close(); err != nil {
			t.Fatal(err)
		}
		if err := fail(listen); err == nil || strings.Contains(err.Error(), "http: ") {
			t.Errorf("%s: %v", name, err)
		}
		if port, err = net.Listen("tcp", listen); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = port.Close()
	}
}
