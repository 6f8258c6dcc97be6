package test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/internal/freeport"
	"weir/rtmp"
)

// A block is what stands between fences in a document.
type block struct {
	file, language, text string
	line                 int
}

// blocks returns the fenced blocks of what operators read.
func blocks(t *testing.T) (all []block) {
	t.Helper()
	for _, file := range []string{"README.md", "docs/operate.md", "docs/hooks.md"} {
		b, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		var in *block
		for i, line := range strings.Split(string(b), "\n") {
			switch fence, ok := strings.CutPrefix(line, "```"); {
			case ok && in == nil:
				in = &block{file: file, language: fence, line: i + 1}
			case ok:
				all, in = append(all, *in), nil
			case in != nil:
				in.text += line + "\n"
			}
		}
	}
	return all
}

// stubs are programs that stand before those of the same name: they end what would go on without end, and fail where the
// printed line would only look as if it had worked.
var stubs = map[string]string{
	"curl": `for i in $(seq 50); do
	"$REAL" --fail-with-body --max-time 1.2 "$@"
	case $?$* in
	0*) exit 0 ;;
	28*-sN*|28*.flv) exit 0 ;; # an answer without end
	7*) sleep 0.1 ;; # the server is starting
	*) exit 1 ;;
	esac
done
exit 7`,
	"ffplay": `timeout 1.5 "$REAL" -v error "$@" || [ $? = 124 ]`,
	"mpv":    `timeout 1.5 "$REAL" --no-config --vo=null --ao=null "$@" || [ $? = 124 ]`,
	"ffmpeg": `timeout 2 "$REAL" -nostdin -v error "$@" || [ $? = 124 ]`,
	"make":   `"$REAL" -n -C "$ROOT" "$@" >/dev/null`,
	"pidof":  `echo "$PID"`,
	"docker": `[ "$1 $2 $4" = "run -v weir" ] && shift 4 && WEIR_STATE="$PWD/other" exec weir "$@"`, // its folder is another one there
	"weir": `[ "$1" = serve ] || exec "$REAL" "$@"
timeout -s INT 5 "$REAL" "$@" >served.log 2>&1 &
for i in $(seq 50); do
	grep -q '"proto":"admin"' served.log && exit 0
	kill -0 $! 2>/dev/null || break
	sleep 0.1
done
cat served.log
exit 1`,
}

// A desk is where the lines of a document are typed: a folder with what they speak of, and a server with the demo.
type desk struct {
	t      *testing.T
	dir    string
	server *server
	said   *receiver // of the hook "billing"
}

// Secrets that the documents speak of.
const (
	docSigning = "the-signing-secret-of-the-documents"
	docWebhook = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
)

// newDesk makes a desk, with a server of a kind: demo or serve.
func newDesk(t *testing.T, kind string) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir(), said: receive(t, &receiver{})}
	weir := mustBuild(t)
	sample, err := filepath.Abs(filepath.Join(root, "internal/demo/sample.flv"))
	if err != nil {
		t.Fatal(err)
	}
	modules, _ := filepath.Abs(filepath.Join(root, "web/node_modules"))
	for name, text := range map[string]string{
		"weir.yml": fmt.Sprintf("state: %s/state\nauth: {signed: {keys: [{id: a, secret: %s}]}}\nhooks: [{name: billing, url: \"http://%s/\", secret: %q}]\n",
			d.dir, docSigning, d.said.addr, docWebhook),
		"signing.key": docSigning, "ome.key": docSigning, "secure_link.key": docSigning, "cdn.secret": docSigning, "alice": "the-key-of-alice", "hook.secret": docWebhook,
	} {
		d.write(name, text, 0o600)
	}
	for name, text := range stubs {
		real, err := exec.LookPath(name)
		if name == "weir" {
			real, err = weir, nil
		}
		if err != nil && name != "docker" {
			t.Fatalf("%s is missing: run scripts/install build test (make test does)", name)
		}
		d.write("bin/"+name, fmt.Sprintf("#!/bin/sh\nREAL=%s\n%s\n", real, text), 0o700)
	}
	if err := os.Symlink(modules, filepath.Join(d.dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	d.server = runServer(t, append([]string{kind, "-c", filepath.Join(d.dir, "weir.yml")}, demoPorts...)...)
	t.Cleanup(func() { d.server.stop(t) })
	for _, film := range []string{"input.mp4", "film.mp4", "back-soon.flv"} {
		output(t, debian12(), time.Minute, "ffmpeg", "-nostdin", "-v", "error", "-i", sample, "-t", "2", "-c", "copy", filepath.Join(d.dir, film))
	}
	return d
}

func (d *desk) write(name, text string, mode os.FileMode) {
	d.t.Helper()
	name = filepath.Join(d.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), mode)); err != nil {
		d.t.Fatal(err)
	}
}

// here puts the places of the desk for those that a document has.
func (d *desk) here(text string) string {
	admin := d.server.admin
	if strings.Contains(text, "weir serve") { // it asks the one that it starts
		admin = freeport.Addr(d.t)
	}
	_, port, _ := net.SplitHostPort(admin)
	return strings.NewReplacer(
		"rtmp://HOST/", d.server.rtmpURL(""), "rtmp://127.0.0.1/", d.server.rtmpURL(""),
		"HOST:8080", d.server.http, "127.0.0.1:8080", d.server.http,
		"127.0.0.1:8088", admin, "=:8088", "=127.0.0.1:"+port,
		"/etc/weir", d.dir, "/run/secrets", d.dir, "/var/lib/weir", d.dir+"/state", "whsec_…", docWebhook,
	).Replace(text)
}

// environ is what the lines are run with. Servers that they start take free ports, but for that of the API.
func (d *desk) environ(text string) []string {
	admin := regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/(api|metrics)`).FindStringSubmatch(text)
	if admin == nil {
		admin = []string{"", "127.0.0.1:0"}
	}
	at, _ := filepath.Abs(root)
	env := []string{
		"PATH=" + d.dir + "/bin:" + os.Getenv("PATH"), "ROOT=" + at, fmt.Sprint("PID=", d.server.cmd.Process.Pid), "SECRET=" + docSigning,
		"SDL_VIDEODRIVER=dummy", "SDL_AUDIODRIVER=dummy", "CAROL_PASSWORD=a-password",
	}
	if strings.Contains(text, "weir serve") || strings.Contains(text, "docker") {
		env = append(env, "WEIR_RTMP_LISTEN=127.0.0.1:0", "WEIR_HTTP_LISTEN=127.0.0.1:0", "WEIR_ADMIN_LISTEN="+admin[1], "WEIR_LOG_FORMAT=json")
	}
	return env
}

// run has a shell run lines as they are printed, and returns what they print.
func (d *desk) run(text string) string {
	d.t.Helper()
	text = d.here(text)
	d.write("lines.sh", "cd '"+d.dir+"'\n"+text, 0o600)
	p, err := start(d.t.Context(), command{sys: debian12(), env: d.environ(text), args: []string{"bash", "-eu", "-o", "pipefail", filepath.Join(d.dir, "lines.sh")}})
	if err != nil {
		d.t.Fatal(err)
	}
	err = p.wait()
	_ = p.signal(syscall.SIGINT) // what it has left in the background
	if err != nil {
		d.t.Errorf("%v\n%s", err, text)
	}
	return p.said()
}

// TestLinesOfTheDocuments: every line for a shell that the documents print works as it is printed.
func TestLinesOfTheDocuments(t *testing.T) {
	t.Parallel()
	n := 0
	for _, b := range blocks(t) {
		if b.language != "sh" {
			continue
		}
		n++
		t.Run(fmt.Sprintf("%s:%d", b.file, b.line), func(t *testing.T) {
			t.Parallel()
			kind, text := "demo", b.text
			if strings.Contains(text, "kill -HUP") { // which ends a demo
				kind = "serve"
			}
			d := newDesk(t, kind)
			if strings.Contains(text, "live/cam") && !strings.Contains(text, "ffmpeg -re") {
				sample(t, d.server, "live/cam")
			}
			if strings.Contains(text, "k3j9x2ab") {
				wantCall(t, d.server, http.StatusCreated, "POST", "/api/v1/keys", `{"role":"publish","match":"live/x","id":"k3j9x2ab"}`)
			}
			if strings.Contains(text, "/deliveries") {
				d.said.until(t, "an event", func(list []hookEvent) bool { return len(list) > 0 })
				text = strings.Replace(text, "/ID/", "/"+d.said.events(t)[0].ID+"/", 1)
			}
			d.judge(text, d.run(text))
		})
	}
	if n < 20 {
		t.Errorf("the documents have %d blocks for a shell", n)
	}
}

// judge looks at what lines print that do more than to work.
func (d *desk) judge(text, said string) {
	d.t.Helper()
	switch {
	case strings.Contains(text, "openssl dgst"):
		mac := hmac.New(sha256.New, []byte(docSigning))
		mac.Write([]byte("v1\nplay\nlive/cam\nexp=2000000000"))
		sig := base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		if strings.TrimSpace(said) != sig {
			d.t.Errorf("the signature is %q, want %q", said, sig)
		}
		fetchURL(d.t, "http://"+d.server.http+"/live/cam/stream.json?exp=2000000000&kid=a&sig="+strings.TrimSpace(said), http.StatusOK)
	case strings.Contains(text, "whsec_"):
		d.check("hooks: [{name: a, url: \"https://h/\", secret: " + strings.TrimSpace(said) + "}]\n")
	case strings.Contains(text, "openapi-typescript"):
		if b, err := os.ReadFile(filepath.Join(d.dir, "weir.d.ts")); err != nil || !strings.Contains(string(b), "listStreams") {
			d.t.Errorf("%v: %.300s", err, b)
		}
	case strings.Contains(text, "kill -HUP"):
		if err := every(d.t.Context(), 10*time.Second, func() error {
			if !strings.Contains(d.server.whole(), "configuration unchanged") {
				return errors.New("the server has not read its configuration again: " + d.server.said())
			}
			return nil
		}); err != nil {
			d.t.Error(err)
		}
	}
}

// check has weir check a configuration.
func (d *desk) check(text string) {
	d.t.Helper()
	d.write("checked.yml", text, 0o600)
	cmd := exec.CommandContext(d.t.Context(), mustBuild(d.t), "config", "check", "-c", filepath.Join(d.dir, "checked.yml"))
	cmd.Env = append(environ(), d.environ("")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Errorf("%v: %s\n%s", err, out, text)
	}
}

// TestConfigurationsOfTheDocuments: every configuration that the documents print is one.
func TestConfigurationsOfTheDocuments(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "demo")
	n := 0
	for _, b := range blocks(t) {
		others := strings.Contains(b.text, "alert: ") || strings.Contains(b.text, "authMethod: ") // Prometheus', MediaMTX's
		if b.language != "yaml" || others {
			continue
		}
		n++
		t.Run(fmt.Sprintf("%s:%d", b.file, b.line), func(t *testing.T) {
			d := *d
			d.t = t
			d.check(d.here(b.text))
		})
	}
	if n < 12 {
		t.Errorf("the documents have %d configurations", n)
	}
}

// TestServiceOfTheDocuments runs the decision hook that the document on hooks prints, and what it says to try with it.
func TestServiceOfTheDocuments(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "demo")
	at := freeport.Addr(t)
	_, port, _ := net.SplitHostPort(at)
	for _, b := range blocks(t) {
		if b.language == "python" && strings.Contains(b.text, "class Auth") {
			d.write("auth.py", strings.Replace(b.text, "9000", port, 1), 0o600)
		}
	}
	p, err := start(t.Context(), command{sys: debian12(), args: []string{"python3", filepath.Join(d.dir, "auth.py")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGTERM) })
	if err := every(t.Context(), 10*time.Second, func() error {
		c, err := net.Dial("tcp", at)
		if err == nil {
			_ = c.Close()
		}
		return err
	}); err != nil {
		t.Fatalf("%v: %s", err, p.said())
	}
	s := serve(t, fmt.Sprintf("auth: {hook: {url: \"http://%s/\"}}\nstreams:\n  - match: live/**\n    publish: {auth: [keys, hook]}\n    play: {auth: [hook]}\n", at))
	v, err := speak(t.Context(), s.rtmpURL("live/a?token=good"), rtmp.DialOptions{})
	if err != nil {
		t.Fatalf("the right token: %v", err)
	}
	v.lose()
	for _, query := range []string{"", "?token=bad"} {
		var st *rtmp.StatusError
		if _, err := speak(t.Context(), s.rtmpURL("live/a"+query), rtmp.DialOptions{}); !errors.As(err, &st) || !strings.Contains(st.Description, "show ?token=good") {
			t.Errorf("%q: %v", query, err)
		}
	}
}

// TestAnswersOfTheDocuments: what the documents print as JSON is JSON.
func TestAnswersOfTheDocuments(t *testing.T) {
	t.Parallel()
	for _, b := range blocks(t) {
		if b.language == "json" && !json.Valid([]byte(b.text)) {
			t.Errorf("%s:%d is no JSON", b.file, b.line)
		}
	}
}
