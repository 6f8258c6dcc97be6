package test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"weir/internal/freeport"
	"weir/rtmp"
)

// listeners are those of a server that a test configures.
const listeners = `log: {format: json}
rtmp: {listen: "127.0.0.1:0"}
http: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
`

// serve runs a server with a configuration, and with the listeners that it does not name itself, until the test ends.
func serve(t *testing.T, conf string, set ...string) *server {
	t.Helper()
	for line := range strings.Lines(listeners) {
		if section, _, _ := strings.Cut(line, ":"); !strings.Contains("\n"+conf, "\n"+section+":") {
			conf = line + conf
		}
	}
	file := filepath.Join(t.TempDir(), "weir.yml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"serve", "-c", file}
	for _, one := range set {
		args = append(args, "--set", one)
	}
	s := runServer(t, args...)
	t.Cleanup(func() { s.stop(t) })
	return s
}

// send publishes sound until the test ends, and returns what the server says of it.
func send(t *testing.T, s *server, stream string) error {
	t.Helper()
	v, err := speak(t.Context(), s.rtmpURL(stream), rtmp.DialOptions{})
	if err == nil {
		v.keepOn(t)
	}
	return err
}

// authority makes a certificate for 127.0.0.1 that is its own authority.
func authority(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hook"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// TestO01_HooksByHTTPS: the decision is asked for by https with an authority of one's own, and by a socket; other schemes are
// refused when the configuration is checked.
func TestO01_HooksByHTTPS(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); _, _ = io.WriteString(w, "{}") })
	cert, ca := authority(t)
	secure := httptest.NewUnstartedServer(answer)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	secure.StartTLS()
	defer secure.Close()
	socket := filepath.Join(t.TempDir(), "hook.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: answer, ReadHeaderTimeout: time.Minute}
	go func() { _ = local.Serve(ln) }()
	defer local.Close()
	for name, c := range map[string]struct {
		hook string
		ok   bool
	}{
		"https":                    {fmt.Sprintf("{url: %q, ca: %q}", secure.URL+"/ask", ca), true},
		"https of nobody we trust": {fmt.Sprintf("{url: %q}", secure.URL+"/ask"), false},
		"a socket":                 {fmt.Sprintf("{url: \"unix:%s:/ask\"}", socket), true},
	} {
		before := asked.Load()
		s := serve(t, "auth: {hook: "+c.hook+"}\nstreams:\n  - match: live/*\n    publish: {auth: [hook]}\n")
		err := send(t, s, "live/a")
		if (err == nil) != c.ok || (asked.Load() == before+1) != c.ok {
			t.Errorf("%s: %v, asked %d times", name, err, asked.Load()-before)
		}
	}
	file := filepath.Join(t.TempDir(), "weir.yml")
	for _, url := range []string{"ftp://h/x", "file:///etc/passwd", "gopher://h"} {
		if err := os.WriteFile(file, []byte("auth: {hook: {url: \""+url+"\"}}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(mustBuild(t), "config", "check", "-c", file).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "https") {
			t.Errorf("%s: %v: %s", url, err, out)
		}
	}
}

// TestO10_GraceKeepsViewers: while a stream waits for its publisher's return, who watches it by HLS with a key gets the
// playlist as it was, and is never asked for the key again.
func TestO10_GraceKeepsViewers(t *testing.T) {
	t.Parallel()
	s := serve(t, "streams:\n  - match: live/*\n    publish: {grace: 20s}\n    play: {keys: [s3cret-of-viewers]}\n")
	ctx := t.Context()
	d := &day{t: t, s: s}
	pub := d.publish("live/a")
	if err := s.waitLive(ctx, "live/a", 2*time.Second); err != nil {
		t.Fatalf("%v: %s", err, pub.said())
	}
	index := string(fetchURL(t, s.url("live/a", "hls")+"?key=s3cret-of-viewers", http.StatusOK))
	media := regexp.MustCompile(`(?m)^([^#\s]+\.m3u8\S*)$`).FindString(index)
	list := "http://" + s.http + "/live/a/" + media
	fetchURL(t, list, http.StatusOK)
	pub.end(syscall.SIGKILL)
	for range 10 {
		text := string(fetchURL(t, list, http.StatusOK))
		if !strings.Contains(text, "#EXTINF") || strings.Contains(text, "#EXT-X-ENDLIST") || strings.Contains(text, "s3cret") {
			t.Fatalf("while it waits for its publisher: %s", text)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// fetchURL gets a URL and wants a status.
func fetchURL(t *testing.T, url string, status int, header ...string) []byte {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != status {
		t.Fatalf("%s: %s, want %d: %s (%v)", q.URL.Path, a.Status, status, b, err)
	}
	return b
}

const signing = "auth:\n  signed: {keys: [{id: a, secret: signing-secret-0123456789abcdef}]}\nstreams:\n  - match: members/*\n    play: {auth: [signed]}\n"

// sign has weir sign make a link.
func sign(t *testing.T, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weir.yml")
	if err := os.WriteFile(file, []byte(signing), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(mustBuild(t), append([]string{"sign", "-c", file}, args...)...).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestO11_SignedHLS: players that know nothing of signatures play a signed HLS URL: what it leads to needs none.
func TestO11_SignedHLS(t *testing.T) {
	t.Parallel()
	s := serve(t, signing, "log.level=debug")
	d := &day{t: t, s: s}
	pub := d.publish("members/a")
	defer pub.end(syscall.SIGTERM)
	if err := s.waitLive(t.Context(), "members/a", 2*time.Second); err != nil {
		t.Fatalf("%v: %s", err, pub.said())
	}
	link := sign(t, "members/a", "--for", "1h")
	if len(link) > 200 {
		t.Errorf("the link has %d characters", len(link))
	}
	url := s.url("members/a", "hls")
	fetchURL(t, url, http.StatusForbidden)
	for i, args := range [][]string{
		{"ffmpeg", "-nostdin", "-v", "error", "-i", url + "?" + link, "-t", "3", "-c", "copy", "-f", "null", "-"},
		{"cvlc", "--quiet", "--run-time=3", "--vout=dummy", "--aout=dummy", url + "?" + link, "vlc://quit"},
		{"mpv", "--no-config", "--no-terminal", "--vo=null", "--ao=null", "--length=2", url + "?" + link},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		p, err := start(ctx, command{sys: debian12(), args: args, nobody: args[0] == "cvlc"})
		if err == nil {
			err = p.wait()
		}
		if err != nil {
			t.Errorf("%s: %v", args[0], err)
		}
		cancel()
		if n := strings.Count(s.whole(), `"msg":"viewer came"`); n != i+1 {
			t.Errorf("%s has not played: %d of %d viewers", args[0], n, i+1)
		}
	}
}

// jwt makes a token of HS256.
func jwt(secret string, claims map[string]any) string {
	part := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	head := part(map[string]string{"alg": "HS256", "typ": "JWT"}) + "." + part(claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(head))
	return head + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

const (
	jwtSecret = "a-secret-of-at-least-thirty-two-characters"
	byToken   = "auth: {jwt: {secret: " + jwtSecret + "}}\nstreams:\n  - match: live/*\n    publish: {auth: [jwt]}\n    play: {auth: [jwt]}\n"
)

func tokenFor(action, path string, exp time.Time, more string) string {
	return jwt(jwtSecret, map[string]any{
		"sub": "u42", "exp": exp.Unix(), "more": more, "weir": []map[string]string{{"action": action, "path": path}},
	})
}

// TestO12_TokenRunsOut: a player's session ends within a second of its token.
func TestO12_TokenRunsOut(t *testing.T) {
	t.Parallel()
	s := serve(t, byToken)
	if err := send(t, s, "live/a?token="+tokenFor("publish", "live/a", time.Now().Add(time.Hour), "")); err != nil {
		t.Fatal(err)
	}
	exp := time.Now().Add(3 * time.Second).Truncate(time.Second)
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("live/a", "flv"), nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+tokenFor("play", "live/*", exp, ""))
	a, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		t.Fatal(a.Status)
	}
	n, err := io.Copy(io.Discard, a.Body)
	if late := time.Since(exp); late < 0 || late > time.Second || n == 0 {
		t.Errorf("it ended %v after its token, after %d bytes: %v", late, n, err)
	}
	fetchURL(t, s.url("live/a", "flv")+"?token="+tokenFor("play", "live/*", exp.Add(-time.Hour), ""), http.StatusForbidden)
}

// TestO13_LongTokens: a token of 1,000 bytes works in every way that it can come, one over 4 KiB is refused.
func TestO13_LongTokens(t *testing.T) {
	t.Parallel()
	s := serve(t, byToken)
	exp := time.Now().Add(time.Hour)
	if err := send(t, s, "live/a?token="+tokenFor("publish", "live/a", exp, strings.Repeat("x", 700))); err != nil {
		t.Fatal(err)
	}
	long := tokenFor("play", "live/a", exp, strings.Repeat("x", 700))
	if len(long) < 1000 {
		t.Fatalf("it has %d bytes", len(long))
	}
	page := "http://" + s.http + "/live/a/stream.json"
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+long))
	fetchURL(t, page, http.StatusOK, "Authorization", "Bearer "+long)
	fetchURL(t, page, http.StatusOK, "Authorization", basic)
	fetchURL(t, page+"?token="+long, http.StatusOK)
	c, err := rtmp.Dial(t.Context(), s.rtmpURL("live/a?token="+long), rtmp.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Play(t.Context()); err != nil {
		t.Errorf("by RTMP: %v", err)
	}
	huge := tokenFor("play", "live/a", exp, strings.Repeat("x", 3200))
	if len(huge) <= 4<<10 || len(huge) > 5<<10 {
		t.Fatalf("it has %d bytes", len(huge))
	}
	for carrier, said := range map[string]string{
		"Bearer":    string(fetchURL(t, page, http.StatusForbidden, "Authorization", "Bearer "+huge)),
		"Basic":     string(fetchURL(t, page, http.StatusForbidden, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("u:"+huge)))),
		"the query": string(fetchURL(t, page+"?token="+huge, http.StatusForbidden)),
		"RTMP":      refusal(t, s.rtmpURL("live/a?token="+huge)),
	} {
		if said = strings.ToLower(said); !strings.Contains(said, "too long") && !strings.Contains(said, "longer than 4096 bytes") || strings.Contains(said, strings.ToLower(huge[:20])) {
			t.Errorf("by %s it says: %s", carrier, said)
		}
	}
	if link := sign(t, "members/a", "--for", "1h", "--ip", "2001:db8:ffff:ffff::/64", "--until", "2030-01-31T18:00:00Z"); len(link) > 200 {
		t.Errorf("a link of %d characters: %s", len(link), link)
	}
}

// refusal plays by RTMP and returns what the server says against it.
func refusal(t *testing.T, url string) string {
	t.Helper()
	c, err := rtmp.Dial(t.Context(), url, rtmp.DialOptions{Plays: true})
	if err == nil {
		defer c.Close()
		_, err = c.Play(t.Context())
	}
	st, ok := errors.AsType[*rtmp.StatusError](err)
	if !ok {
		t.Fatal(err)
	}
	return st.Code + ": " + st.Description
}

// TestO15_RefusedBeforeStart: a publisher that is refused never hears NetStream.Publish.Start, and is told why.
func TestO15_RefusedBeforeStart(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"allow":false,"reason":"Your plan has ended: see example.org/pay."}`)
	}))
	defer service.Close()
	s := serve(t, "auth: {hook: {url: \""+service.URL+"\"}}\nstreams:\n  - match: live/*\n    publish: {auth: [hook]}\n")
	st, ok := errors.AsType[*rtmp.StatusError](send(t, s, "live/a"))
	// OBS shows the description of Denied, Rejected and BadName alone, and does not try again for ever.
	if !ok || st.Code != "NetStream.Publish.Denied" || st.Level != "error" || !strings.Contains(st.Description, "Your plan has ended: see example.org/pay.") {
		t.Errorf("told: %+v", st)
	}
	out := ffmpegSays(t, s)
	if !strings.Contains(out, "Your plan has ended") || strings.Contains(out, "Publish.Start") {
		t.Errorf("ffmpeg says: %s", out)
	}
}

// ffmpegSays has ffmpeg publish, and returns what it says.
func ffmpegSays(t *testing.T, s *server) string {
	t.Helper()
	p, err := start(t.Context(), command{sys: debian12(), args: []string{
		"ffmpeg", "-nostdin", "-v", "verbose", "-re", "-f", "lavfi", "-i", "sine", "-t", "20", "-c:a", "aac", "-f", "flv", s.rtmpURL("live/a"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.wait()
	return p.said()
}

// TestO16_NobodySlipsIn: who comes with a wrong key while the server starts, again and again, is never let in, be it by keys or by
// the decision hook.
func TestO16_NobodySlipsIn(t *testing.T) {
	t.Parallel()
	ask := answering(t, func(question) string { return `{"allow":false}` })
	for name, conf := range map[string]string{
		"keys": "streams:\n  - match: live/*\n    publish: {keys: [s3cret-of-publishers]}\n",
		"hook": fmt.Sprintf("auth: {hook: {url: %q}}\nstreams:\n  - match: live/*\n    publish: {auth: [hook]}\n", ask.url),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slipIn(t, conf)
		})
	}
}

// slipIn has others try again and again to publish while a server with a configuration starts three times.
func slipIn(t *testing.T, conf string) {
	t.Helper()
	addr := freeport.Addr(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var in, refused atomic.Int32
	done := make(chan struct{}, 8)
	for range cap(done) {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				c, err := rtmp.Dial(ctx, "rtmp://"+addr+"/live/a?key=wrong", rtmp.DialOptions{Timeout: time.Second})
				if err != nil {
					time.Sleep(2 * time.Millisecond) // other tests run beside this
					continue
				}
				if _, err := c.Publish(ctx); err == nil {
					in.Add(1)
				} else {
					refused.Add(1)
				}
				_ = c.Close()
			}
		}()
	}
	file := filepath.Join(t.TempDir(), "weir.yml")
	conf = strings.Replace(listeners, `rtmp: {listen: "127.0.0.1:0"}`, `rtmp: {listen: "`+addr+`"}`, 1) + conf
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s := runServer(t, "serve", "-c", file)
		before := refused.Load()
		if err := every(ctx, 20*time.Second, func() error {
			if refused.Load() < before+20 {
				return fmt.Errorf("only %d came", refused.Load()-before)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		s.stop(t)
	}
	cancel()
	for range cap(done) {
		<-done
	}
	if in.Load() > 0 {
		t.Errorf("%d were let in with a wrong key", in.Load())
	}
}

// TestO17_AdminNeedsAToken: on an address that others reach the server does not start without one, and names the key; no
// token is shipped; weir token makes one.
func TestO17_AdminNeedsAToken(t *testing.T) {
	t.Parallel()
	weir := mustBuild(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, weir, "serve", "--set", "admin.listen=0.0.0.0:0", "--set", "rtmp.listen=127.0.0.1:0", "--set", "http.listen=127.0.0.1:0").CombinedOutput()
	exit, ok := err.(*exec.ExitError) //nolint:errorlint // of os/exec itself
	if !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), "admin.token") {
		t.Errorf("%v: %s", err, out)
	}
	var tokens []string
	for range 2 {
		out, err := exec.CommandContext(ctx, weir, "token").Output()
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, strings.Fields(string(out))[0])
	}
	if tokens[0] == tokens[1] || len(tokens[0]) < 22 {
		t.Errorf("tokens: %q", tokens)
	}
}
