package hook

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/event"
	"weir/internal/freeport"
	"weir/internal/session"
)

// The module as Debian has it.
const nginxModule = "/usr/lib/nginx/modules/ngx_rtmp_module.so"

// heard is one call that the module made.
type heard struct {
	path, proto, host, body string
	header                  http.Header
}

// field returns a field of its form, unescaped.
func (h *heard) field(name string) string {
	for part := range strings.SplitSeq(h.body, "&") {
		if v, ok := strings.CutPrefix(part, name+"="); ok {
			v, _ = url.PathUnescape(v)
			return v
		}
	}
	return ""
}

// TestNginxItself has nginx-rtmp call a recorder, and compares its calls with ours to the byte: a publisher and a
// player with odd names and queries, from their begin to their end.
func TestNginxItself(t *testing.T) {
	nginx, err := exec.LookPath("/usr/sbin/nginx")
	if err != nil {
		t.Fatal("nginx is missing: scripts/install test installs it")
	}
	if _, err := os.Stat(nginxModule); err != nil {
		t.Fatal("nginx's RTMP module is missing: scripts/install test installs it")
	}
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Fatal("ffmpeg is missing: scripts/install test installs it")
	}
	calls, over := make(chan heard, 1000), make(chan struct{})
	recorder := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodGet {
			body = []byte(r.URL.RawQuery)
		}
		select {
		case calls <- heard{r.URL.Path, r.Proto, r.Host, string(body), r.Header}:
		case <-over:
		}
	}))
	defer recorder.Close()
	defer close(over)
	port := freeport.Port(t)
	startNginx(t, nginx, port, recorder.URL)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	at := fmt.Sprintf("rtmp://127.0.0.1:%d/live", port)
	const name, query = `cam #1 & "ü"+=;<y>\^{|}~[]@!$'()*,:`, "token=a%20b&vip"
	// Endless; it is ended below.
	publish := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=10",
		"-c:v", "flv", "-g", "5", "-f", "flv", "-rtmp_app", "live?ticket=7", "-rtmp_playpath", name+"?"+query, at)
	if err := publish.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = publish.Process.Kill(); _ = publish.Wait() }()

	connect := next(t, calls, "connect")
	peer := admit.Request{
		Protocol: "rtmp", Session: "x", Remote: netip.MustParseAddrPort("127.0.0.1:5000"),
		UserAgent: connect.field("flashver"), TCURL: connect.field("tcurl"), Path: "live", RawQuery: "ticket=7",
	}
	compare(t, connect, nginxFormat.EncodeConnect(ask(peer)))
	if connect.proto != "HTTP/1.0" || connect.field("app") != "live" {
		t.Errorf("connect: %+v", connect)
	}
	asked := next(t, calls, "publish")
	peer.Role, peer.Path, peer.RawQuery = session.Publish, "live/"+name, query
	compare(t, asked, nginxFormat.EncodeDecision(ask(peer)))
	if asked.field("tcurl") != at+"?ticket=7" || asked.field("flashver") == "" {
		t.Errorf("publish: %+v", asked)
	}
	update := next(t, calls, "update_publish")
	peer.Recheck = true
	compare(t, update, nginxFormat.EncodeDecision(ask(peer)))
	peer.Recheck = false

	play := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-rtmp_playpath", name+"?watch", "-i", at, "-frames:v", "1", "-f", "null", "-")
	if out, err := play.CombinedOutput(); err != nil {
		t.Fatalf("play: %v: %s", err, out)
	}
	asked = next(t, calls, "play")
	viewer := peer
	viewer.Role, viewer.RawQuery, viewer.UserAgent, viewer.TCURL = session.Play, "watch", asked.field("flashver"), asked.field("tcurl")
	compare(t, asked, nginxFormat.EncodeDecision(ask(viewer)))
	told(t, calls, viewer, []string{event.PlayStop, event.Disconnect}, "play_done", "done", "disconnect")

	_ = publish.Process.Signal(os.Interrupt)
	told(t, calls, peer, []string{event.PublishStop, event.RecordingDone, event.Disconnect}, "publish_done", "done", "record_done", "disconnect")

	once := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x64:rate=10",
		"-frames:v", "1", "-c:v", "flv", "-f", "flv", "-rtmp_playpath", name+"?"+query, strings.TrimSuffix(at, "live")+"got")
	if out, err := once.CombinedOutput(); err != nil {
		t.Fatalf("publish: %v: %s", err, out)
	}
	asked = next(t, calls, "publish")
	peer.Path, peer.UserAgent, peer.TCURL = "got/"+name, asked.field("flashver"), asked.field("tcurl")
	ours := nginxFormat.EncodeDecision(ask(peer)).AsGet()
	ours.Body = []byte(ours.Query)
	compare(t, asked, ours)
}

// told compares the calls at the end of a session, of a hook with query.
func told(t *testing.T, calls chan heard, r admit.Request, types []string, names ...string) {
	t.Helper()
	e := &event.Event{Stream: &event.Stream{Path: r.Path}, Session: &event.Session{ID: r.Session, Remote: r.Remote.String(), UserAgent: r.UserAgent}, Data: map[string]any{"app": "live"}}
	_, ofConnect, _ := strings.Cut(r.TCURL, "?")
	e.Session.Shown = &session.Shown{Query: r.RawQuery, ConnectQuery: ofConnect, TCURL: r.TCURL}
	var ours []*Call
	for _, e.Type = range types {
		ours = append(ours, nginxFormat.EncodeEvent(e, Server{})...)
	}
	if len(ours) != len(names) {
		t.Fatalf("%d calls", len(ours))
	}
	for range names { // nginx does not wait for the answer to one before it makes the next, so that they may overtake each other
		h := next(t, calls, names...)
		i := slices.Index(names, h.field("call"))
		if names[i] == "record_done" {
			e.Type = event.RecordingDone
			e.Data["dir"], e.Data["file"] = filepath.Split(h.field("path"))
			ours[i] = nginxFormat.EncodeEvent(e, Server{})[0]
		}
		compare(t, h, ours[i])
	}
}

// compare compares what the module sent with what we send, numbers of clients and times apart.
func compare(t *testing.T, h heard, ours *Call) {
	t.Helper()
	plain := func(s string) string {
		return regexp.MustCompile(`&(clientid|time|timestamp|epoch)=[0-9]+`).ReplaceAllString(s, "&$1=N")
	}
	if got, want := plain(string(ours.Body)), plain(h.body); got != want {
		t.Errorf("%s:\n ours %s\nnginx %s", h.path, got, want)
	}
	if h.header.Get("Content-Type") != ours.Header.Get("Content-Type") || h.header.Get("User-Agent") != ours.Header.Get("User-Agent") ||
		!strings.EqualFold(h.header.Get("Connection"), "close") || !ours.Alone || h.host != "127.0.0.1" || len(h.header) > 3 {
		t.Errorf("%s: nginx has %s %s %v, ours %v", h.path, h.proto, h.host, h.header, ours.Header)
	}
}

// next returns the next call of a name. It passes over updates, whose number depends on the time.
func next(t *testing.T, calls chan heard, names ...string) heard {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case h := <-calls:
			if got := h.field("call"); slices.Contains(names, got) {
				return h
			} else if !strings.HasPrefix(got, "update") && !slices.Contains([]string{"connect", "disconnect", "publish_done", "done"}, got) {
				t.Fatalf("call %s instead of %v: %s", got, names, h.body)
			}
		case <-timeout:
			t.Fatalf("no call %v", names)
		}
	}
}

func startNginx(t *testing.T, nginx string, port int, hook string) {
	t.Helper()
	dir := t.TempDir()
	on := func(names ...string) string {
		var b strings.Builder
		for _, n := range names {
			fmt.Fprintf(&b, "on_%s %s/%s; ", n, hook, n)
		}
		return b.String()
	}
	conf := fmt.Sprintf(`load_module %s;
daemon off; master_process off; pid %[2]s/pid; error_log %[2]s/log info;
events { worker_connections 64; }
rtmp { server {
	listen 127.0.0.1:%[3]d; %[4]s
	application live { live on; notify_update_timeout 500ms; record all; record_path %[2]s; %[5]s }
	application got { live on; notify_method get; %[6]s }
} }
`, nginxModule, dir, port, on("connect", "disconnect"), on("publish", "play", "publish_done", "play_done", "done", "update", "record_done"), on("publish"))
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), nginx, "-p", dir, "-c", file, "-e", filepath.Join(dir, "log"))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; {
		nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)) //nolint:noctx // a test
		if err == nil {
			_ = nc.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
}
