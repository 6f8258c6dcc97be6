package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/av"
	"weir/internal/admit"
	"weir/internal/freeport"
	"weir/internal/listen/listentest"
	"weir/internal/server"
	"weir/internal/session"
	"weir/rtmp"
)

// encoded is what ffmpeg sends or writes in real time: 25 pictures a second, a key frame each second, and sound.
const encoded = "-nostdin -v error -re -f lavfi -i testsrc2=size=128x96:rate=25 -f lavfi -i sine=sample_rate=48000 " +
	"-pix_fmt yuv420p -c:v libx264 -preset ultrafast -tune zerolatency -g 25 -c:a aac "

// background runs a command until the test ends, or stop is called.
func background(t *testing.T, name string, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = testWriter{t}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// nginxRTMP runs nginx with the module at an address, which makes HLS in a folder.
func nginxRTMP(t *testing.T, addr, folder string) (stop func()) {
	t.Helper()
	const module = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
	if _, err := os.Stat(module); err != nil {
		t.Fatal("nginx's RTMP module is missing: scripts/install test installs it")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	conf := fmt.Sprintf(`load_module %s;
daemon off; master_process off; pid %[2]s/pid; error_log %[2]s/log info;
events { worker_connections 64; }
rtmp { server {
	listen %[3]s;
	application live { live on; hls on; hls_path %[4]s; hls_fragment 1s; hls_playlist_length 6s; }
} }
`, module, dir, addr, folder)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	stop = background(t, "/usr/sbin/nginx", "-p", dir, "-c", file, "-e", filepath.Join(dir, "log"))
	eventually(t, "nginx listens", func() bool {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	return stop
}

// pulling makes entries that fetch streams.
func pulling(sources map[string]string) func(*server.Config) {
	return func(c *server.Config) {
		for match, source := range sources {
			e := server.DefaultStream()
			e.Match, e.Pull.URL = match, source
			c.Streams = append(c.Streams, e)
		}
	}
}

// looksRight reads a stream within the program for a while: pictures come in time, in order, with sound beside them.
func (r *running) looksRight(path string, pictures int) {
	r.t.Helper()
	p, err := r.InProcess().PlayLocal(path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(r.t.Context(), 40*time.Second)
	defer cancel()
	var last time.Duration
	sound := 0
	for n := 0; n < pictures; {
		e, err := p.Next(ctx)
		if err != nil {
			r.t.Fatalf("%s after %d pictures: %v", path, n, err)
		}
		if e.Type != av.Media {
			continue
		}
		if e.Kind == av.Audio {
			if n > 0 { // a source that is joined in the middle sends sound before its first key frame
				sound++
			}
			continue
		}
		if d := e.DTS - last; n > 0 && (d < 35*time.Millisecond || d > 45*time.Millisecond) {
			r.t.Errorf("%s: picture %d comes %v after the one before", path, n, d)
		}
		n, last = n+1, e.DTS
	}
	if want := pictures * 48000 / 1024 / 25; sound < want*8/10 || sound > want*12/10 {
		r.t.Errorf("%s: %d frames of sound beside %d pictures, not about %d", path, sound, pictures, want)
	}
}

// TestPullFromOthers fetches from nginx-rtmp by RTMP and by the HLS that it makes, and HLS that ffmpeg makes; a player stays while
// nginx is killed and started again.
func TestPullFromOthers(t *testing.T) {
	addr, folder, own := freeport.Addr(t), t.TempDir(), t.TempDir()
	files := httptest.NewServer(http.FileServer(http.Dir(folder)))
	defer files.Close()
	ownFiles := httptest.NewServer(http.FileServer(http.Dir(own)))
	defer ownFiles.Close()
	publish := func() func() {
		return background(t, "ffmpeg", append(strings.Fields(encoded), "-f", "flv", "rtmp://"+addr+"/live/cam")...)
	}
	stopNginx := nginxRTMP(t, addr, folder)
	stopEncoder := publish()
	background(t, "ffmpeg", append(strings.Fields(encoded), "-f", "hls", "-hls_time", "1", "-hls_list_size", "6", "-hls_flags", "delete_segments",
		"-hls_segment_type", "fmp4", "-master_pl_name", "index.m3u8", filepath.Join(own, "x.m3u8"))...)
	for _, name := range []string{filepath.Join(folder, "cam.m3u8"), filepath.Join(own, "index.m3u8")} {
		eventually(t, name, func() bool {
			_, err := os.Stat(name)
			return err == nil
		})
	}
	r := start(t, pulling(map[string]string{
		"rtmp/*": "rtmp://" + addr + "/live/{name}", "again/*": "rtmp://" + addr + "/live/{name}", "hls/*": files.URL + "/{name}.m3u8", "own/*": ownFiles.URL + "/index.m3u8",
	}))
	var wg sync.WaitGroup
	for _, path := range []string{"rtmp/cam", "hls/cam", "own/x"} {
		wg.Go(func() { r.looksRight(path, 100) })
	}
	wg.Go(func() { // a viewer of HLS has a stream fetched, too
		res, err := http.Get(r.httpURL("again/cam/index.m3u8"))
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		if b, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || !strings.Contains(string(b), "#EXT-X-STREAM-INF") {
			t.Errorf("%s: %s", res.Status, b)
		}
	})
	w := r.watch("rtmp/cam")
	wg.Wait()
	if t.Failed() {
		return
	}
	ffmpegRun(t, "-i", r.httpURL("rtmp/cam.flv"), "-t", "2", "-f", "null", "-")
	stopNginx()
	stopEncoder()
	eventually(t, "the loss is noticed", func() bool {
		return slices.ContainsFunc(r.pulls(), func(p struct{ Stream, Status, Source, Reason, By string }) bool {
			return p.Stream == "rtmp/cam" && p.Status != "live"
		})
	})
	before := w.pictures()
	nginxRTMP(t, addr, folder)
	publish()
	eventually(t, "pictures come again", func() bool { return w.pictures() > before+25 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		t.Error("the player was sent away:", w.err)
	}
}

// TestP23_ExpiringRedirects: a source whose redirect is good once and whose connections are cut is opened anew under its own name, and
// the stream has no gap of two seconds.
func TestP23_ExpiringRedirects(t *testing.T) {
	origin := start(t, nil)
	origin.film("live/x", 0)
	var mu sync.Mutex
	token, opened := 0, 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.URL.Path == "/x":
			token++
			http.Redirect(w, r, fmt.Sprint("/secret?token=", token), http.StatusFound)
			return
		case r.URL.RawQuery != fmt.Sprint("token=", token):
			http.Error(w, "expired", http.StatusForbidden)
			return
		}
		opened++
		token++ // the redirect is good once
		ctx, cancel := context.WithTimeout(r.Context(), 2500*time.Millisecond)
		defer cancel()
		res, err := http.Get(origin.httpURL("live/x.flv"))
		if err != nil {
			return
		}
		mu.Unlock()
		defer mu.Lock()
		defer res.Body.Close()
		control := http.NewResponseController(w)
		buf := make([]byte, 4096)
		for ctx.Err() == nil {
			n, err := res.Body.Read(buf)
			if err != nil {
				return
			}
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			_ = control.Flush()
		}
		panic(http.ErrAbortHandler) // the connection breaks
	}))
	defer s.Close()
	r := start(t, pulling(map[string]string{"live/*": s.URL + "/x"}))
	w := r.watch("live/x")
	eventually(t, "it is opened four times", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return opened >= 4
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 1; i < len(w.at); i++ {
		if gap := w.at[i].Sub(w.at[i-1]); gap > 2*time.Second {
			t.Errorf("a gap of %v", gap)
		}
	}
	if w.err != nil || len(w.got) < 100 {
		t.Errorf("%d pictures; %v", len(w.got), w.err)
	}
}

// TestRedirectsByRTMP: a server of ours that sends its players on to another one, as its program or its decision hook says, is followed
// there by a server that fetches from it; each new try begins with the one that was given.
func TestRedirectsByRTMP(t *testing.T) {
	t.Parallel()
	second := start(t, nil)
	second.film("other/y", 0)
	var asked atomic.Int64
	first := start(t, nil, func(o *server.Options) {
		o.Admit = func(_ context.Context, r *admit.Request) (*session.Terms, error) {
			asked.Add(1)
			return &session.Terms{Redirect: second.url("other/y?key=" + secret)}, nil
		}
	})
	r := start(t, pulling(map[string]string{"live/*": first.url("live/x?key=" + secret)}))
	w := r.watch("live/x")
	eventually(t, "pictures come", func() bool { return w.pictures() >= 30 })
	if p := r.pulls(); len(p) != 1 || p[0].Status != "live" || p[0].Source != first.url("live/x?key=***") {
		t.Errorf("%+v", p)
	}
	for _, s := range second.players() {
		s.Kick(session.ErrKicked)
	}
	eventually(t, "it is asked again", func() bool { return asked.Load() >= 2 })
	before := w.pictures()
	eventually(t, "pictures come again", func() bool { return w.pictures() >= before+30 })
}

// TestPullFromServersWithTLS: a stream is fetched by RTMPS from a server whose certificate nobody vouches for only if the configuration says so, and then as
// its publisher sent it; by HTTP also as a transport stream.
func TestPullFromServersWithTLS(t *testing.T) {
	t.Parallel()
	cert, key := listentest.Cert(t, t.TempDir(), 1)
	origin := start(t, func(c *server.Config) { c.RTMP.TLS.Listen, c.RTMP.TLS.Cert, c.RTMP.TLS.Key = "127.0.0.1:0", cert, key })
	want, _ := publishFilm(t, origin.url("live/cam"))
	safe := "rtmps://" + origin.Addr("rtmps").String() + "/live/{name}"
	r := start(t, func(c *server.Config) {
		pulling(map[string]string{"doubted/*": safe, "trusted/*": safe, "ts/*": origin.httpURL("live/{name}.ts")})(c)
		for i := range c.Streams {
			c.Streams[i].Pull.Insecure = c.Streams[i].Match == "trusted/*"
		}
	})
	if res, body := r.get("doubted/cam.flv"); res.StatusCode == http.StatusOK {
		t.Errorf("it is played although the certificate is nobody's: %s", body)
	}
	eventually(t, "it says why", func() bool { return strings.Contains(r.log.String(), "write the certificate's fingerprint as pin") })
	for _, p := range r.pulls() {
		if p.Stream == "doubted/cam" && (p.Status == "live" || p.Reason != session.Handshake.String()) {
			t.Errorf("%+v", p)
		}
	}
	sameFrames(t, r.url("trusted/cam"), want, 60)
	p, err := r.InProcess().PlayLocal("ts/cam")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	sounds := map[string]bool{} // AAC is the same in both
	for _, h := range want[rtmp.TypeAudio] {
		sounds[h] = true
	}
	for pictures, heard := 0, 0; pictures < 60 || heard < 60; {
		e, err := p.Next(ctx)
		if err != nil {
			t.Fatalf("after %d pictures and %d sounds: %v", pictures, heard, err)
		}
		switch {
		case e.Type != av.Media:
		case e.Kind == av.Video:
			pictures++
		case e.Kind == av.Audio:
			if heard++; !sounds[hashOf(&rtmp.Message{Payload: append([]byte{0xaf, 1}, e.Payload...)})] {
				t.Fatalf("sound %d is none of the film's", heard)
			}
		}
	}
}
