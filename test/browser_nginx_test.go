package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"weir/internal/freeport"
)

// nginxConfig serves Weir below /tv/, as README.md says. The files of nginx's own are in a folder.
const nginxConfig = `
daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	map $http_upgrade $connection_upgrade { default upgrade; "" close; }
	server {
		listen %[2]s;
		location /tv/ {
			proxy_pass http://%[3]s/;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_read_timeout 1h;
		}
	}
}
`

// startNginx serves weir below /tv/ and returns where that is, with a slash at its end.
func startNginx(t *testing.T, weir string) string {
	t.Helper()
	addr := freeport.Addr(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, dir, addr, weir), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p, err := start(ctx, command{sys: debian12(), args: []string{"/usr/sbin/nginx", "-e", "stderr", "-p", dir, "-c", file}})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end(syscall.SIGTERM)
		cancel()
	})
	err = every(t.Context(), patience, func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	if err != nil {
		t.Fatalf("nginx: %v\n%s", err, p.said())
	}
	return "http://" + addr + "/tv/"
}

// fetch gets a URL, following redirects, and reads as many bytes as are wanted of it, or all of them.
func fetch(t *testing.T, at string, header http.Header, most int64) (*http.Response, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*sec)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body io.Reader = res.Body
	if most > 0 {
		body = io.LimitReader(body, most)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return res, b
}

// testBehindProxy asks for everything through nginx, which serves Weir below a path of its own.
func testBehindProxy(t *testing.T, chrome *chromium) {
	s := startServer(t, "http.index=true")
	tv := startNginx(t, s.http)
	film{video: "h264", audio: "aac"}.publish(t, s.rtmpURL("return/cam"))
	if err := s.waitLive(t.Context(), "return/cam", 2*sec); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		"return/cam?x=1":      "return/cam/?x=1",
		"return/cam.m3u8?x=1": "return/cam/index.m3u8?x=1",
	} {
		if res, _ := fetch(t, tv+from, nil, 0); res.StatusCode != http.StatusOK || res.Request.URL.String() != tv+to {
			t.Errorf("%s: %s, %s", from, res.Request.URL, res.Status)
		}
	}
	if _, b := fetch(t, tv+"return/cam.flv", nil, 50_000); !strings.HasPrefix(string(b), "FLV") {
		t.Errorf("not FLV: %.20q", b)
	}
	if _, b := fetch(t, tv+"return/cam.ts", nil, 50_000); len(b) == 0 || b[0] != 'G' {
		t.Errorf("not MPEG-TS: %.20q", b)
	}
	res, b := fetch(t, tv+"return/cam/snapshot.mp4", http.Header{"Range": {"bytes=4-7"}}, 0)
	if res.StatusCode != http.StatusPartialContent || string(b) != "ftyp" {
		t.Errorf("%s, %q", res.Status, b)
	}
	files := playlist(t, tv+"return/cam/index.m3u8", 0)
	if files < 3 {
		t.Errorf("HLS has %d files", files)
	}

	for _, way := range []string{"flv", "ws", "hls"} {
		b := chrome.open(t, tv+"return/cam/?via="+way, "")
		b.watches(way, true, true)
		b.close()
	}
	list := chrome.open(t, tv, "snapshot.jpg") // a busy machine makes no picture in time, and the page asks for it again
	list.until("it lists the stream with its picture", func(s sight) bool { return strings.Contains(s.Text, "1 live") && s.Stills == 1 })
	list.do(`click a[href="return/cam/"]`)
	list.watches("flv", true, true)
}

// playlist asks for what a playlist and those in it name, but for what is not there yet, and returns how many files that are.
func playlist(t *testing.T, at string, depth int) (files int) {
	t.Helper()
	res, b := fetch(t, at, nil, 0)
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(string(b), "#EXTM3U") || depth > 1 {
		t.Fatalf("%s: %s\n%s", at, res.Status, b)
	}
	base, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.SplitSeq(string(b), "\n") {
		name := line
		if strings.HasPrefix(line, "#") {
			_, rest, ok := strings.Cut(line, `URI="`)
			if !ok || strings.HasPrefix(line, "#EXT-X-PRELOAD-HINT") {
				continue
			}
			name, _, _ = strings.Cut(rest, `"`)
		}
		if name == "" || seen[name] {
			continue
		}
		seen[name] = true
		to, err := base.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(to.Path, ".m3u8") {
			files += playlist(t, to.String(), depth+1)
			continue
		}
		if res, b := fetch(t, to.String(), nil, 0); res.StatusCode != http.StatusOK || len(b) == 0 {
			t.Errorf("%s: %s", to, res.Status)
		}
		files++
	}
	return files
}
