//go:build linux

package deliver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/event"
)

// logged is a log that a test reads.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// commands starts one hook with a command, that logs to the returned log.
func commands(t *testing.T, conf Config) (*fixture, *logged) {
	t.Helper()
	log := &logged{}
	bus, m := event.NewBus(), &counts{}
	d, err := New([]Config{conf}, Options{Log: slog.New(slog.NewTextHandler(log, nil)), Bus: bus, Metrics: m, Server: testServer})
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{d, bus, m}, log
}

// eventually waits until f is true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !f(); {
		if time.Now().After(end) {
			t.Fatal("never: ", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// processes returns the processes whose environment has the text.
func processes(text string) (pids []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range all {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(text)) {
			pids = append(pids, strings.Split(name, "/")[2])
		}
	}
	return pids
}

func TestCommand(t *testing.T) {
	t.Setenv("WEIR_ADMIN_TOKEN", "hunter2")
	out := filepath.Join(t.TempDir(), "out")
	conf := command("/bin/sh", "-c", `{ echo "$1|$2|$WEIR_EVENT|$WEIR_STREAM|$WEIR_APP|$WEIR_NAME|$WEIR_SESSION|$WEIR_PROTOCOL|$WEIR_REMOTE|$WEIR_REASON|$WEIR_SERVER|$WEIR_ADMIN_TOKEN"; cat; } >> "`+out+`"; echo "to the log $WEIR_NAME"; echo fault >&2`, "sh", "{stream}", "is {name}")
	conf.Events = []string{"publish.stop"}
	f, log := commands(t, conf)
	e := publishEvent(event.PublishStop, `live/$(touch x) "a"`, "s1")
	e.Data = map[string]any{"reason": "eof"}
	f.bus.Publish(e)
	f.Close()
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err, log)
	}
	first, rest, _ := strings.Cut(string(b), "\n")
	const path = `live/$(touch x) "a"`
	if want := path + "|is " + path[5:] + "|publish.stop|" + path + "|live|" + path[5:] + "|s1|rtmp|192.0.2.7:51034|eof|edge-1|"; first != want {
		t.Errorf("%s, want %s", first, want)
	}
	var v envelope
	if err := json.Unmarshal([]byte(rest), &v); err != nil || v.Type != event.PublishStop || v.Seq != 1 || v.Stream.Path != path {
		t.Errorf("%q %v", rest, err)
	}
	if s := log.String(); !strings.Contains(s, `text="to the log $(touch x)`) || !strings.Contains(s, "text=fault") {
		t.Error(s)
	}
	if f.metrics.fails != 0 {
		t.Error("failed")
	}
}

// TestStartedTwice: a start that is told again, or after the end of all, begins no command and takes no place.
func TestStartedTwice(t *testing.T) {
	conf := DefaultConfig()
	conf.Run, conf.While = []string{"sleep", "1000"}, true
	h, slots := newHost(), make(chan struct{}, 3)
	defer h.close()
	c := newCommander(&conf, discard, h, slots)
	it := entryOf(t, publishEvent(event.PublishStart, "live/a", "s1"), 1).item
	for _, want := range []int{1, 1, 0} {
		if res := c.send(t.Context(), []*item{it}, 0); res.err != nil || len(slots) != want {
			t.Errorf("%d places are taken, want %d; %v", len(slots), want, res.err)
		}
		if want == 1 && len(c.runs) != 1 {
			t.Errorf("%d commands", len(c.runs))
		}
		if it.n++; it.n == 2 {
			c.close()
		}
	}
}

func TestCommandFails(t *testing.T) {
	for _, c := range []struct {
		conf   Config
		status int
		want   string
	}{
		{command("/bin/sh", "-c", "exit 7"), 7, "exit status 7"},
		{command("/bin/sh", "-c", "kill -9 $$"), -1, "signal: killed"},
		{command("/does/not/exist"), 0, "no such file"},
		{func() Config { c := command("sleep", "1000"); c.Timeout = 50 * time.Millisecond; return c }(), -1, "longer than 50ms"},
	} {
		f, _ := commands(t, c.conf)
		f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s1"))
		eventually(t, "a failure", func() bool { return f.List()[0].Failed == 1 })
		d, _ := f.Deliveries(f.List()[0].Name)
		if len(d) != 1 || d[0].Done || d[0].Status != c.status || !strings.Contains(d[0].Error, c.want) {
			t.Errorf("%+v, want %q", d, c.want)
		}
		eventually(t, "it is not tried again", func() bool { return f.List()[0].Queue == 0 })
		f.Close()
	}
}

// TestO25_NothingIsLeft: no process and no zombie is left of a command and of what it started, when it ends
// by itself, when its time is over, and when the server stops.
func TestO25_NothingIsLeft(t *testing.T) {
	// Orphans are given to us, as to the first process of a container.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	const script = `sleep 500 | sleep 600 & `
	for _, c := range []struct {
		name, script string
		change       func(*Config)
		end          func(f *fixture)
	}{
		{"by itself", script + "exit 0", nil, nil},
		{"timeout", script + "sleep 1000", func(c *Config) { c.Timeout = 200 * time.Millisecond }, nil},
		{"server", script + "sleep 1000", nil, func(f *fixture) { f.Close() }},
		{"while, its stop", script + "sleep 1000", func(c *Config) { c.While = true }, func(f *fixture) { f.bus.Publish(publishEvent(event.PublishStop, "live/a", "s1")) }},
		{"while, server", script + "sleep 1000", func(c *Config) { c.While = true }, func(f *fixture) { f.Close() }},
		{"stubborn", `trap "" TERM; ` + script + "while :; do sleep 1000; done", func(c *Config) { c.While = true }, func(f *fixture) { f.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			mark := fmt.Sprint("o25-", time.Now().UnixNano())
			conf := command("/bin/sh", "-c", c.script)
			conf.Events = []string{"publish.start"}
			if c.change != nil {
				c.change(&conf)
			}
			f, log := commands(t, conf)
			f.all()[0].sender.(*commander).patience = 500 * time.Millisecond
			e := publishEvent(event.PublishStart, "live/a", "s1")
			e.Session.User = mark
			f.bus.Publish(e)
			if c.end != nil {
				eventually(t, "the command runs", func() bool { return len(processes("WEIR_USER="+mark)) >= 4 })
				c.end(f)
			} else {
				eventually(t, "the command ends", func() bool { s := f.List()[0]; return s.Delivered+s.Failed == 1 })
			}
			began := time.Now()
			eventually(t, "no process is left", func() bool { return len(processes("WEIR_USER="+mark)) == 0 })
			if c.end == nil || c.name == "while, its stop" {
				eventually(t, "no zombie is left", func() bool { return len(zombies(os.Getpid())) == 0 })
			}
			if took := time.Since(began); took > 11*time.Second {
				t.Errorf("after %v", took)
			}
			f.Close()
			if t.Failed() {
				t.Log(log)
			}
			for _, pid := range zombies(os.Getpid()) { // the server, which would reap them, has ended with the test's
				_, _ = unix.Wait4(pid, nil, 0, nil)
			}
		})
	}
}

// TestWhile: a command runs from a start to its stop, once for each, and again after an end of its own if asked.
func TestWhile(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	conf := command("/bin/sh", "-c", `echo "$WEIR_SESSION" >> "`+out+`"; [ "$WEIR_SESSION" = quick ] || exec sleep 1000`)
	conf.While, conf.Restart, conf.Events = true, true, []string{"publish.start"}
	f, log := commands(t, conf)
	defer f.Close()
	lines := func() []string { b, _ := os.ReadFile(out); return strings.Fields(string(b)) }
	f.bus.Publish(publishEvent(event.PublishStart, "live/a", "long"))
	f.bus.Publish(publishEvent(event.PublishStart, "live/b", "quick"))
	eventually(t, "quick runs twice", func() bool {
		n := 0
		for _, l := range lines() {
			if l == "quick" {
				n++
			}
		}
		return n == 2
	})
	if !strings.Contains(log.String(), "is started again") {
		t.Error(log)
	}
	f.bus.Publish(publishEvent(event.PublishStop, "live/a", "long"))
	f.bus.Publish(publishEvent(event.PublishStop, "live/b", "quick"))
	eventually(t, "all are told", func() bool { return f.List()[0].Delivered == 4 })
	if got := lines(); !slices.Contains(got, "long") || len(got) != 3 {
		t.Error(got)
	}
	if c := f.all()[0].sender.(*commander); len(c.runs) != 0 || len(c.slots) != 0 {
		t.Error(c.runs, len(c.slots))
	}
}

// TestCommandsAtOnce: at most 32 run at once, and the others wait.
func TestCommandsAtOnce(t *testing.T) {
	dir := t.TempDir()
	conf := command("/bin/sh", "-c", `touch "`+dir+`/$WEIR_SESSION"; while [ ! -e "`+dir+`/go" ]; do sleep 0.05; done`)
	f, _ := commands(t, conf)
	for i := range 32 + 5 {
		f.bus.Publish(publishEvent(event.PublishStart, fmt.Sprint("live/", i), fmt.Sprint("s", i)))
	}
	count := func() int { n, _ := filepath.Glob(dir + "/s*"); return len(n) }
	eventually(t, "as many as may run", func() bool { return count() >= 32 })
	if n := count(); n != 32 {
		t.Errorf("%d at once", n)
	}
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all have run", func() bool { return f.List()[0].Delivered == 32+5 })
	f.Close()
}

// TestOutput: lines are bounded in length and number, and what is left out is counted.
func TestOutput(t *testing.T) {
	log := &logged{}
	w := &lineWriter{log: slog.New(slog.NewTextHandler(log, nil))}
	w.write([]byte("one\n\ntw"))
	w.write([]byte("o\r\n" + strings.Repeat("x", 513) + "\n\x1b[31mred\n"))
	for range outputLines {
		w.write([]byte("more\n"))
	}
	w.write([]byte("unfinished"))
	w.flush()
	s := log.String()
	if !strings.Contains(s, "text=one") || !strings.Contains(s, "text=two\n") || strings.Contains(s, strings.Repeat("x", 513)) || !strings.Contains(s, strings.Repeat("x", 512)) ||
		!strings.Contains(s, `\x1b[31mred`) || strings.Contains(s, "\x1b") || strings.Count(s, "text=more") != outputLines-4 || !strings.Contains(s, "left_out=5") || strings.Contains(s, "unfinished") {
		t.Error(s)
	}
}

// helper starts this test's program as another process.
func helper(t *testing.T, what string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // ourselves
	cmd.Env = append(append(os.Environ(), "DELIVER_TEST_HELPER="+what), env...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// TestO25_KilledServer: the command of a server that is killed does not live on.
func TestO25_KilledServer(t *testing.T) {
	mark := fmt.Sprint("killed-", time.Now().UnixNano())
	cmd := helper(t, "command", "DELIVER_TEST_MARK="+mark)
	find := func() []string { return processes("WEIR_USER=" + mark) }
	eventually(t, "the command runs", func() bool { return len(find()) == 1 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "it has ended", func() bool { return len(find()) == 0 })
}

// TestKill9: a server is killed in the middle of it, three times. The receiver, which fails now and then, has in
// the end got every event up to the last that was written, in its stream's order and without a gap in its numbers.
func TestKill9(t *testing.T) {
	next := map[string]uint64{}
	dir := t.TempDir()
	url, got := receiver(t, func(w http.ResponseWriter, k int) {
		if k%997 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	for range 3 {
		before := len(got())
		cmd := helper(t, "journal", "DELIVER_TEST_URL="+url, "DELIVER_TEST_DIR="+dir)
		eventually(t, "events arrive", func() bool { return len(got()) > before+300 })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	conf := post(url)
	conf.Directory = dir
	f, _ := commands(t, conf)
	eventually(t, "the rest arrives", func() bool { return f.List()[0].Queue == 0 })
	f.Close()
	seen := map[string]bool{}
	opened := map[string]bool{}
	for i, r := range got() {
		if (i+1)%997 == 0 {
			continue // was not received
		}
		var v envelope
		if err := json.Unmarshal(r.body, &v); err != nil {
			t.Fatal(err)
		}
		if seen[v.ID] { // it was received and the server killed before it knew
			continue
		}
		seen[v.ID] = true
		if next[v.Stream.Path]++; v.Seq != next[v.Stream.Path] {
			t.Fatalf("%s: number %d, want %d", v.Stream.Path, v.Seq, next[v.Stream.Path])
		}
		if v.Type == event.PublishStart {
			opened[v.Session.ID] = true
		} else {
			delete(opened, v.Session.ID)
		}
	}
	if len(opened) > 0 {
		t.Errorf("%d starts without a stop", len(opened))
	}
	t.Logf("%d events, %d posts", len(seen), len(got()))
}

// TestLongCommandsAtOnce: 256 commands with while run at once, and the next one is tried again later.
func TestLongCommandsAtOnce(t *testing.T) {
	conf := command("sleep", "1000")
	conf.While = true
	f, _ := commands(t, conf)
	for range 255 { // as if there were others
		f.long <- struct{}{}
	}
	for _, s := range []string{"a", "b"} {
		f.bus.Publish(publishEvent(event.PublishStart, "live/"+s, s))
	}
	eventually(t, "one is refused", func() bool {
		return f.List()[0].LastError == "the limit of 256 commands with while at once is reached"
	})
	if c := f.all()[0].sender.(*commander); len(c.slots) != 256 {
		t.Errorf("%d are counted", len(c.slots))
	}
	for range 255 {
		<-f.long
	}
	f.Close()
}
