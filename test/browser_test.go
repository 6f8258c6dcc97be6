package test

import (
	"bufio"
	"context"
	"crypto/sha256"
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
	What, Word                      string  // the sentence on what is played, and the button's word
	Paused                          string  // "true" or "false"
	Bars                            bool    // the picture that stands for sound alone
	Delay                           string  // seconds
	At                              float64 // when it was, in seconds of the page's own clock
	Time, End                       float64 // what is shown, and the end of what is buffered, in seconds of the media
	Frames, Sound                   int
	Width, Height                   int
	Muted, Wide                     bool
	HEVC                            bool   // the browser can decode it
	Stills                          int    // pictures that were loaded
	Recorded, Back                  string // "true" if there is a bar to go back in time, and if the viewer has gone back
	Ago                             string // by how much, in seconds
	Shade, Told                     string // what a test has the page tell of itself
}

// A chromium is a running browser, in which each test has pages of its own.
type chromium struct {
	cmd  *exec.Cmd
	read sync.WaitGroup
	said strings.Builder

	mu    sync.Mutex // guards below
	in    io.WriteCloser
	pages map[string]*browser
	next  int
}

// A browser is a page in Chromium.
type browser struct {
	t     *testing.T
	of    *chromium
	name  string
	done  chan string
	stray string // what may be complained of

	mu         sync.Mutex // guards below
	now        sight
	sights     int
	complaints []string
	said       []string // on the console, but for complaints
}

// browserScript drives Chromium; see there.
const browserScript = "web/test/browser.mjs"

// patience is how long is waited for what a page does at once if the machine has nothing else to do.
const patience = 60 * sec

// startChromium starts a browser that ends with the test.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	if _, err := os.Stat("/usr/bin/chromium"); err != nil {
		t.Fatalf("the browser tests need Chromium (scripts/install browser): %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "web/node_modules/playwright-core")); err != nil {
		t.Fatalf("the browser tests need the packages of web/ (make build): %v", err)
	}
	c := &chromium{cmd: exec.Command("node", browserScript), pages: map[string]*browser{}}
	c.cmd.Dir = root
	c.cmd.Stderr = &c.said
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		c.in, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	c.read.Go(func() { c.follow(out) })
	t.Cleanup(func() {
		_ = c.in.Close()
		ended := time.AfterFunc(10*time.Second, func() { _ = c.cmd.Process.Kill() })
		c.read.Wait()
		_ = c.cmd.Wait()
		ended.Stop()
		if t.Failed() && c.said.Len() > 0 {
			t.Log(c.said.String())
		}
	})
	return c
}

// follow reads what the script prints.
func (c *chromium) follow(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			sight
			Event, Page, Text string
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue
		}
		c.mu.Lock()
		b := c.pages[e.Page]
		c.mu.Unlock()
		if b == nil {
			continue
		}
		b.mu.Lock()
		switch e.Event {
		case "seen":
			b.now = e.sight
			b.now.Text = e.Text
			b.sights++
		case "complaint":
			if b.stray == "" || !strings.Contains(e.Text, b.stray) {
				b.complaints = append(b.complaints, e.Text)
			}
		case "said":
			b.said = append(b.said, e.Text)
		case "done":
			b.done <- e.Text
		}
		b.mu.Unlock()
	}
}

// open opens a page that is closed with the test, which fails if the browser complains of anything but
// what holds the text stray. The screen is 640×400 and light unless more says width, height and scheme.
func (c *chromium) open(t *testing.T, url, stray string, more ...string) *browser {
	t.Helper()
	if len(more) == 0 {
		more = []string{"640", "400", "light"}
	}
	c.mu.Lock()
	c.next++
	b := &browser{t: t, of: c, name: fmt.Sprint("page", c.next), done: make(chan string, 16), stray: stray}
	c.pages[b.name] = b
	c.mu.Unlock()
	t.Cleanup(b.close)
	b.do("open " + url + " " + strings.Join(more, " "))
	return b
}

// close closes the page, and fails the test for what it complained of. It may have been closed.
func (b *browser) close() {
	b.of.mu.Lock()
	open := b.of.pages[b.name] != nil
	b.of.mu.Unlock()
	if !open {
		return
	}
	b.do("close")
	b.of.mu.Lock()
	delete(b.of.pages, b.name)
	b.of.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.complaints {
		b.t.Errorf("the browser complains: %s", c)
	}
	if b.t.Failed() && len(b.said) > 0 {
		b.t.Logf("%s said: %q", b.name, b.said)
	}
	if b.sights == 0 {
		b.t.Error("there was nothing to see")
	}
}

// sight is what is to be seen now.
func (b *browser) sight() sight {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// complained is what the browser has complained of so far.
func (b *browser) complained() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.complaints...)
}

// until waits until ok, and returns what is to be seen then.
func (b *browser) until(what string, ok func(s sight) bool) sight {
	b.t.Helper()
	err := every(b.t.Context(), patience, func() error {
		if s := b.sight(); !ok(s) {
			return fmt.Errorf("%s: %+v", what, s)
		}
		return nil
	})
	if err != nil {
		b.t.Fatalf("%v\ncomplaints: %q", err, b.complained())
	}
	return b.sight()
}

// do has the script do something with the page.
func (b *browser) do(command string) {
	b.t.Helper()
	b.of.mu.Lock()
	_, err := io.WriteString(b.of.in, b.name+" "+command+"\n")
	b.of.mu.Unlock()
	if err != nil {
		b.t.Fatal(err)
	}
	select {
	case <-b.done:
	case <-time.After(patience):
		b.t.Fatalf("%q is not done: %q", command, b.complained())
	}
}

// watches checks that the page plays by a transport.
func (b *browser) watches(transport string, pictures, sound bool) {
	b.t.Helper()
	err := b.steadily(pictures, sound, func(s sight) bool { return s.State == "playing" && s.Transport == transport })
	if err != nil {
		b.t.Fatalf("%s: %v\ncomplaints: %q", transport, err, b.complained())
	}
}

// steadily waits until the page has played two seconds without a leap and hardly slower than the clock, and ok all
// the time. A busy machine may need some tries; a page that stands still or leaps again and again never does it.
func (b *browser) steadily(pictures, sound bool, ok func(s sight) bool) error {
	const (
		span   = 2
		pace   = 0.7 // of the clock's
		frames = 5   // of 15 in a second: software decodes them
	)
	var from, last sight
	return every(b.t.Context(), patience, func() error {
		s := b.sight()
		if passed, step := s.At-last.At, s.Time-last.Time; passed != 0 {
			plays := passed > 0 && step >= 0 && step < 2*passed+0.1
			if !ok(s) || !ok(last) || !plays || s.Time-from.Time < pace*(s.At-from.At)-0.3 {
				from = s
			}
		}
		last = s
		played, shown, heard := s.Time-from.Time, s.Frames-from.Frames, s.Sound-from.Sound
		if played >= span && (!pictures || float64(shown) >= frames*played) && (!sound || heard > 0) {
			return nil
		}
		return fmt.Errorf("it does not play steadily: of the last %.1f s it played %.1f s, with %d frames and %d bytes of sound: %+v",
			s.At-from.At, played, shown, heard, s)
	})
}

// delayed checks that the delay that the page shows is small, or becomes so before much more is played.
func (b *browser) delayed(most time.Duration) {
	b.t.Helper()
	const soon = 12 // seconds of media
	begun := b.sight().Time
	s := b.until(fmt.Sprintf("a delay of at most %v", most), func(s sight) bool {
		d, err := time.ParseDuration(s.Delay + "s")
		return err == nil && d > 0 && d <= most || s.Time > begun+soon
	})
	if s.Time > begun+soon {
		b.t.Errorf("it has played %d s, and the delay is still %s s, not %v", soon, s.Delay, most)
	}
}

// A film is a file that is published for browsers: small, 15 pictures a second, a key frame each second.
type film struct {
	video, audio string // "" for none
	size         string // 320x180 unless given
	more         string // of ffmpeg's arguments, parted by spaces
}

// String names the film.
func (f film) String() string {
	name := func(s string) string {
		if s == "" {
			return "none"
		}
		return s
	}
	return name(f.video) + "-" + name(f.audio)
}

// filmLength is how long a film is before it begins again.
const filmLength = 8 * sec

// filmCodecs is how ffmpeg encodes.
var filmCodecs = map[string][]string{
	"h264": {"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "15", "-sc_threshold", "0"},
	"hevc": {"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=15:log-level=error", "-pix_fmt", "yuv420p", "-tag:v", "hvc1"},
	"av1":  {"-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "15", "-b:v", "200k", "-pix_fmt", "yuv420p"},
	"vp9":  {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "15", "-b:v", "200k", "-pix_fmt", "yuv420p"},
	"aac":  {"-c:a", "aac", "-ac", "2"},
	"mp3":  {"-c:a", "libmp3lame", "-ac", "2"},
	"opus": {"-c:a", "libopus", "-ac", "2"},
	"flac": {"-c:a", "flac", "-ac", "2", "-strict", "-2"},
	"ac3":  {"-c:a", "ac3", "-ac", "2"},
	"eac3": {"-c:a", "eac3", "-ac", "2"},
}

// file makes the film unless it is there.
func (f film) file(t *testing.T) string {
	t.Helper()
	size := f.size
	if size == "" {
		size = "320x180"
	}
	var how []string
	if f.video != "" {
		how = args(how, picture(size, 15, filmLength))
	}
	if f.audio != "" {
		how = args(how, []string{"-f", "lavfi", "-i", fmt.Sprintf("sine=sample_rate=48000:duration=%g", filmLength.Seconds())})
	}
	how = args(how, filmCodecs[f.video], filmCodecs[f.audio], strings.Fields(f.more))
	cache, err := cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "films")
	sum := sha256.Sum256(fmt.Append(nil, how))
	file := filepath.Join(dir, fmt.Sprintf("%v-%x.mp4", f, sum[:6]))
	if _, err := os.Stat(file); err == nil {
		return file
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	making, err := os.MkdirTemp(dir, "making-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(making)
	whole := filepath.Join(making, "whole.mp4")
	if err := ffmpeg(how, whole); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(whole, file); err != nil { // what has the final name is complete
		t.Fatal(err)
	}
	return file
}

// publish publishes a film again and again until it is ended.
func (f film) publish(t *testing.T, url string) *process {
	t.Helper()
	return publish(t, mustBuild(t), "push", "--loop", f.file(t), url)
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
	return publish(t, append(a, "-f", "flv", url)...)
}

// publish starts a program that publishes until it is ended.
func publish(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p, err := start(ctx, command{sys: debian12(), args: args})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		cancel()
	})
	return p
}
