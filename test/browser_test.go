package test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A sight is what was to be seen on a page at one moment.
type sight struct {
	State, Transport, Message, Text string
	Delay                           string // seconds
	Time                            float64
	Frames, Sound                   int
	Width, Height                   int
	Muted, Wide                     bool
	HEVC                            bool // the browser can decode it
	Stills                          int  // pictures that were loaded
}

// A browser is Chromium with one page.
type browser struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	done  chan string
	read  sync.WaitGroup
	stray string // what may be complained of

	mu         sync.Mutex // guards below
	now        sight
	sights     int
	complaints []string
	said       strings.Builder
}

// browserScript drives Chromium; see there.
const browserScript = "web/test/browser.mjs"

// openBrowser opens a page. The test fails if the browser complains of anything but what
// holds the text stray.
func openBrowser(t *testing.T, url, stray string, more ...string) *browser {
	t.Helper()
	if _, err := os.Stat("/usr/bin/chromium"); err != nil {
		t.Fatalf("the browser tests need Chromium (scripts/install browser): %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "web/node_modules/playwright-core")); err != nil {
		t.Fatalf("the browser tests need the packages of web/ (make build): %v", err)
	}
	b := &browser{t: t, stray: stray, done: make(chan string, 16)}
	b.cmd = exec.Command("node", append([]string{browserScript, url}, more...)...)
	b.cmd.Dir = root
	b.cmd.Stderr = &b.said
	out, err := b.cmd.StdoutPipe()
	if err == nil {
		b.in, err = b.cmd.StdinPipe()
	}
	if err == nil {
		err = b.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	b.read.Go(func() { b.follow(out) })
	t.Cleanup(b.close)
	return b
}

// follow reads what the script prints.
func (b *browser) follow(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			sight
			Event, Text, Level string
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue
		}
		b.mu.Lock()
		switch e.Event {
		case "seen":
			b.now = e.sight
			b.now.Text = e.Text
			b.sights++
		case "complaint":
			if e.Level == "error" && (b.stray == "" || !strings.Contains(e.Text, b.stray)) {
				b.complaints = append(b.complaints, e.Text)
			}
		case "done":
			b.done <- e.Text
		}
		b.mu.Unlock()
	}
}

// close ends the browser, and fails the test for what it complained of.
func (b *browser) close() {
	_ = b.in.Close()
	ended := time.AfterFunc(10*time.Second, func() { _ = b.cmd.Process.Kill() })
	b.read.Wait()
	_ = b.cmd.Wait()
	ended.Stop()
	for _, c := range b.complaints {
		b.t.Errorf("the browser complains: %s", c)
	}
	if b.sights == 0 {
		b.t.Errorf("there was nothing to see: %s", b.said.String())
	}
}

// sight is what is to be seen now.
func (b *browser) sight() sight {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// until waits until ok, and returns what is to be seen then.
func (b *browser) until(what string, within time.Duration, ok func(s sight) bool) sight {
	b.t.Helper()
	err := every(b.t.Context(), within, func() error {
		if s := b.sight(); !ok(s) {
			return fmt.Errorf("%s: %+v", what, s)
		}
		return nil
	})
	if err != nil {
		b.t.Fatalf("%v\ncomplaints: %q\n%s", err, b.complaints, b.said.String())
	}
	return b.sight()
}

// do has the script do something.
func (b *browser) do(command string) {
	b.t.Helper()
	if _, err := io.WriteString(b.in, command+"\n"); err != nil {
		b.t.Fatal(err)
	}
	select {
	case <-b.done:
	case <-time.After(20 * time.Second):
		b.t.Fatalf("%q is not done: %q", command, b.complaints)
	}
}

// watches checks that the page plays: time goes on as it should, and frames are shown.
func (b *browser) watches(transport string, within time.Duration, pictures, sound bool) {
	b.t.Helper()
	isPlaying := func(s sight) bool {
		return s.State == "playing" && s.Transport == transport && s.Time > 0 && (!pictures || s.Frames > 5)
	}
	from := b.until("it plays", within, isPlaying)
	begun := time.Now()
	const span = 4 * time.Second
	to := b.until("it plays on", 3*span, func(s sight) bool { return time.Since(begun) > span && isPlaying(s) })
	took := time.Since(begun).Seconds()
	if d := to.Time - from.Time; d < 0.7*took {
		b.t.Errorf("%s: in %.1f s it played %.1f s", transport, took, d)
	}
	if n := to.Frames - from.Frames; pictures && float64(n) < 0.3*30*took {
		b.t.Errorf("%s: in %.1f s it showed %d frames", transport, took, n)
	}
	if sound && to.Sound <= from.Sound {
		b.t.Error("there is no sound")
	}
}

// delayed checks the delay that the page shows.
func (b *browser) delayed(most time.Duration) {
	b.t.Helper()
	b.until(fmt.Sprintf("a delay of at most %v", most), 15*time.Second, func(s sight) bool {
		d, err := time.ParseDuration(s.Delay + "s")
		return err == nil && d > 0 && d <= most
	})
}

// encoder publishes pictures and sound in real time until it is ended.
func encoder(t *testing.T, url string, pictures, tones bool) *process {
	t.Helper()
	a := []string{"ffmpeg", "-nostdin", "-v", "error", "-re"}
	if pictures {
		a = append(a, "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30")
	}
	if tones {
		a = append(a, "-f", "lavfi", "-i", "sine=sample_rate=48000")
	}
	if pictures {
		a = append(a, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60")
	}
	if tones {
		a = append(a, "-c:a", "aac", "-ac", "2")
	}
	ctx, cancel := context.WithCancel(context.Background())
	p, err := start(ctx, command{sys: debian12(), args: append(a, "-f", "flv", url)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		cancel()
	})
	return p
}

// TestBrowser watches with Chromium, by every way of playing.
func TestBrowser(t *testing.T) {
	s := startServer(t)
	page := func(path, query string) string { return "http://" + s.http + "/" + path + "/" + query }
	live := func(t *testing.T, path string, pictures, tones bool) {
		t.Helper()
		encoder(t, s.rtmpURL(path), pictures, tones)
		if err := s.waitLive(t.Context(), path, 4*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	// One after the other: a browser and an encoder keep a small machine busy.
	t.Run("ways", func(t *testing.T) {
		live(t, "return/cam", true, true)
		for _, c := range []struct {
			name, query, transport string
			within, delay          time.Duration
		}{
			{"automatic", "", "flv", 6 * time.Second, time.Second},
			{"websocket", "?via=ws", "ws", 6 * time.Second, time.Second},
			{"low-latency HLS", "?via=hls", "hls", 15 * time.Second, 2 * time.Second},
		} {
			t.Run(c.name, func(t *testing.T) {
				b := openBrowser(t, page("return/cam", c.query), "")
				b.watches(c.transport, c.within, true, true)
				b.delayed(c.delay)
				if s := b.sight(); s.Width != 640 || s.Height != 360 || s.Wide {
					t.Errorf("%+v", s)
				}
			})
		}
		t.Run("keys", func(t *testing.T) {
			b := openBrowser(t, page("return/cam", "?embed=1"), "", "320", "480", "dark")
			b.watches("flv", 6*time.Second, true, true)
			if b.sight().Wide {
				t.Error("it is wider than the screen")
			}
			// Chromium plays no sound before somebody has touched the page.
			if !b.sight().Muted {
				t.Error("it was not muted at the beginning")
			}
			b.do("click #unmute")
			b.until("there is sound", 3*time.Second, func(s sight) bool { return !s.Muted })
			b.do("key m")
			b.until("there is none", 3*time.Second, func(s sight) bool { return s.Muted })
			b.do("key k")
			at := b.until("it is paused", 3*time.Second, func(sight) bool { return true }).Time
			b.do("key k")
			b.until("it plays on", 5*time.Second, func(s sight) bool { return s.Time > at+0.5 })
			b.do("select ws")
			b.watches("ws", 6*time.Second, true, true)
			if dir := os.Getenv("WEIR_TEST_KEEP"); dir != "" {
				b.do("shot " + filepath.Join(dir, "narrow.png"))
				b.do("size 1280 800")
				b.do("shot " + filepath.Join(dir, "wide.png"))
			}
		})
	})
	t.Run("plain HLS", func(t *testing.T) {
		plain := startServer(t, "streams.0.hls.low_latency=false")
		encoder(t, plain.rtmpURL("return/plain"), true, true)
		if err := plain.waitLive(t.Context(), "return/plain", 4*time.Second); err != nil {
			t.Fatal(err)
		}
		b := openBrowser(t, "http://"+plain.http+"/return/plain/?via=hls", "")
		b.watches("hls", 20*time.Second, true, true)
		b.delayed(9 * time.Second) // four targets of two seconds, and one
	})
	t.Run("a key", func(t *testing.T) {
		locked := startServer(t, "streams.0.play.keys=[hunter3]")
		encoder(t, locked.rtmpURL("return/secret"), true, true)
		if err := locked.waitLive(t.Context(), "return/secret", 4*time.Second); err != nil {
			t.Fatal(err)
		}
		at := "http://" + locked.http + "/return/secret/"
		b := openBrowser(t, at, "Failed to load resource")
		b.until("it says that it may not", 8*time.Second, func(s sight) bool { return s.State == "forbidden" })
		for _, way := range []string{"flv", "hls"} {
			b := openBrowser(t, at+"?key=hunter3&via="+way, "")
			b.until("it plays", 15*time.Second, func(s sight) bool { return s.State == "playing" && s.Transport == way && s.Frames > 5 })
		}
	})
	t.Run("sound only", func(t *testing.T) {
		live(t, "return/radio", false, true)
		ways := []struct {
			way   string
			delay time.Duration
		}{{"flv", time.Second}, {"hls", 2 * time.Second}, {"hls", 2 * time.Second}}
		for _, c := range ways { // the second by HLS finds more than one segment
			b := openBrowser(t, page("return/radio", "?via="+c.way), "")
			b.watches(c.way, 15*time.Second, false, true)
			b.delayed(c.delay)
		}
	})
	t.Run("list", func(t *testing.T) {
		b := openBrowser(t, "http://"+s.http+"/", "")
		b.until("it says how to watch", 5*time.Second, func(s sight) bool { return strings.Contains(s.Text, "/live/cam/") && s.Stills == 0 })
		public := startServer(t, "http.index=true")
		for path, pictures := range map[string]bool{"return/cam": true, "return/radio": false} {
			encoder(t, public.rtmpURL(path), pictures, true)
			if err := public.waitLive(t.Context(), path, 4*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		b = openBrowser(t, "http://"+public.http+"/", "", "320", "640", "dark")
		b.until("it lists the streams", 8*time.Second, func(s sight) bool {
			return strings.Contains(s.Text, "2 live") && strings.Contains(s.Text, "640×360 H.264 · AAC") && strings.Contains(s.Text, "return/radio") && s.Stills == 1 && !s.Wide
		})
		b.do(`click a[href="return/cam/"]`)
		b.watches("flv", 6*time.Second, true, true)
	})
	t.Run("H.265", func(t *testing.T) {
		file := newMediaFiles().get(t, "hevc-aac")
		ctx, cancel := context.WithCancel(context.Background())
		p, err := start(ctx, command{sys: debian12(), args: []string{mustBuild(t), "push", "--loop", file.flv, s.rtmpURL("return/hevc")}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			p.end(syscall.SIGKILL)
			cancel()
		}()
		if err := s.waitLive(t.Context(), "return/hevc", 4*time.Second); err != nil {
			t.Fatal(err)
		}
		for way, of := range map[string]string{"": "flv", "?via=hls": "hls"} {
			b := openBrowser(t, page("return/hevc", way), "")
			if b.until("it is looked at", 5*time.Second, func(sight) bool { return true }).HEVC {
				b.watches(of, 15*time.Second, true, true)
				continue
			}
			b.until("it says why it does not play", 15*time.Second, func(s sight) bool {
				return s.State == "impossible" && strings.Contains(s.Text, "has no decoder for H.265.")
			})
		}
	})
	t.Run("the publisher comes, goes and returns", func(t *testing.T) {
		b := openBrowser(t, page("return/late", ""), "Failed to load resource")
		b.until("it says that it waits", 8*time.Second, func(s sight) bool {
			return s.State == "waiting" && strings.Contains(s.Message, "Waiting")
		})
		for range 2 {
			p := encoder(t, s.rtmpURL("return/late"), true, true)
			b.watches("flv", 20*time.Second, true, true)
			b.delayed(time.Second) // the absence does not stay as delay
			p.end(syscall.SIGKILL)
			b.until("it notices", 20*time.Second, func(s sight) bool { return s.State != "playing" })
		}
		encoder(t, s.rtmpURL("return/late"), true, true) // within the grace
		b.watches("flv", 20*time.Second, true, true)
		b.delayed(time.Second)
	})
	t.Run("the publisher returns to HLS", func(t *testing.T) {
		first := encoder(t, s.rtmpURL("return/hls"), true, true)
		if err := s.waitLive(t.Context(), "return/hls", 4*time.Second); err != nil {
			t.Fatal(err)
		}
		b := openBrowser(t, page("return/hls", "?via=hls"), "")
		b.watches("hls", 15*time.Second, true, true)
		first.end(syscall.SIGKILL)
		b.until("it notices", 20*time.Second, func(s sight) bool { return s.State != "playing" })
		encoder(t, s.rtmpURL("return/hls"), true, true)
		b.watches("hls", 20*time.Second, true, true)
		b.delayed(2 * time.Second)
	})
}
