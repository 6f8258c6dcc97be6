package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/config"
)

// lines is a log whose lines are sent to a channel.
type lines chan string

// Write implements io.Writer.
func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// next waits for a line that contains text.
func (l lines) next(t *testing.T, within time.Duration, text string) string {
	t.Helper()
	end := time.After(within)
	for {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return line
			}
		case <-end:
			t.Fatalf("no line with %q within %v", text, within)
		}
	}
}

// both waits for two lines, which may come in any order.
func (l lines) both(t *testing.T, within time.Duration, a, b string) {
	t.Helper()
	end := time.After(within)
	for a != "" || b != "" {
		select {
		case line := <-l:
			switch {
			case a != "" && strings.Contains(line, a):
				a = ""
			case b != "" && strings.Contains(line, b):
				b = ""
			}
		case <-end:
			t.Fatalf("no line with %q within %v", a+b, within)
		}
	}
}

// rig is a server with a configuration that was read from files.
type rig struct {
	*Configuration
	*Server
	file string
	log  lines
}

// startRig runs a server with a configuration file until the test ends.
func startRig(t *testing.T, file, content string, sets ...string) *rig {
	t.Helper()
	write(t, file, content)
	conf, err := ReadConfiguration(Source{File: file, Sets: append(freeSets(t), sets...), Environ: []string{"WEIR_LIMITS_STREAM_BITRATE=7Mbps"}})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Configuration: conf, file: file, log: make(lines, 10_000)}
	if r.Server, err = New(conf.Config(), Options{Configuration: conf, Log: slog.New(slog.NewTextHandler(r.log, nil))}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		wg.Wait()
	})
	return r
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// streams returns limits.streams in force.
func (r *rig) streams() int { return r.current.Load().conf.Limits.Streams }

// good returns what the metric says of the last reading.
func (r *rig) good() bool {
	w := httptest.NewRecorder()
	r.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return strings.Contains(w.Body.String(), "\nweir_config_reload_success 1\n")
}

// reload reads the files again.
func (r *rig) reload() (Report, error) { return r.Configuration.Reload(context.Background(), "test") }

// paths joins the keys of a report.
func (r Report) paths() string {
	var all []string
	for _, c := range r.Changed {
		all = append(all, c.Path+" "+c.When.String())
	}
	return strings.Join(all, ", ")
}

// TestReloadOfASecret: a change of a file that the configuration refers to is not said to be none.
func TestReloadOfASecret(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "key")
	write(t, secret, "hunter2\n")
	r := startRig(t, filepath.Join(dir, "weir.yml"), "streams:\n  - match: live/a\n    push: [{name: a, url: rtmp://192.0.2.1/live, key: {file: "+secret+"}}]\n")
	write(t, secret, "hunter3\n")
	if report, err := r.reload(); err != nil || report.paths() != "streams.0.push.0.key live" {
		t.Errorf("%s, %v", report.paths(), err)
	}
	if line := r.log.next(t, 10*time.Second, "msg=\"configuration "); !strings.Contains(line, `msg="configuration changed" cause=test changed=[streams.0.push.0.key]`) || strings.Contains(line, "hunter") {
		t.Error(line)
	}
	if _, err := r.reload(); err != nil {
		t.Fatal(err)
	}
	r.log.next(t, 10*time.Second, `msg="configuration unchanged" cause=test`)
}

func TestReloadOfAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yml")
	r := startRig(t, file, "limits: {streams: 5}\n", "limits.connections=9")
	if !r.good() {
		t.Error("the metric says that it is wrong")
	}
	write(t, file, "limits: {streams: 6, connections: 1, stream_bitrate: 1Mbps}\ndelivery: {workers: 3}\nstreams:\n  - match: live/*\n")
	report, err := r.reload()
	if err != nil || report.paths() != "delivery.workers restart, limits.streams new sessions, streams live" {
		t.Errorf("%s, %v", report.paths(), err)
	}
	if line := r.log.next(t, time.Second, "configuration changed"); !strings.Contains(line, `changed="[limits.streams streams]" waiting=[delivery.workers]`) {
		t.Error(line)
	}
	now := r.current.Load().conf
	if now.Limits.Streams != 6 || now.Limits.Connections != 9 || now.Limits.StreamBitrate != 7e6 || now.Delivery.Workers != 0 {
		t.Errorf("in force: %+v", now.Limits)
	}
	_, tag, _ := r.Show()
	// A file with mistakes changes nothing and says where they are.
	write(t, file, "limits:\n  streams: 7\n  conections: 1\nstreams:\n  - match: \"**\"\n  - match: a/b\n")
	_, err = r.reload()
	want := file + `:3:3: limits.conections: unknown key, did you mean "connections"?`
	if err == nil || !strings.HasPrefix(err.Error(), want) || r.streams() != 6 {
		t.Errorf("%v; %d", err, r.streams())
	}
	if line := r.log.next(t, time.Second, "configuration is wrong: nothing has changed"); !strings.Contains(line, "weir.yml:3:3: limits.conections") || !strings.Contains(line, "level=ERROR") {
		t.Error(line)
	}
	if r.good() {
		t.Error("the metric says that all is well")
	}
	// So does one with an entry that can never apply, and one that is missing.
	write(t, file, "limits: {streams: 7}\nstreams:\n  - match: \"**\"\n  - match: a/b\n")
	if _, err = r.reload(); err == nil || !strings.Contains(err.Error(), `:4:12: streams.1.match: "a/b" never applies: streams.0.match (`+file+`:3:12), "**", comes first`) || r.streams() != 6 {
		t.Errorf("%v; %d", err, r.streams())
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err = r.reload(); !errors.Is(err, fs.ErrNotExist) || r.streams() != 6 {
		t.Errorf("%v; %d", err, r.streams())
	}
	if _, again, _ := r.Show(); again != tag {
		t.Error("the tag is another although nothing has changed")
	}
	write(t, file, "limits: {streams: 8}\n")
	if report, err = r.reload(); err != nil || report.paths() != "delivery.workers restart, limits.streams new sessions, streams live" || report.Waiting != nil || r.streams() != 8 {
		t.Errorf("%s, %v", report.paths(), err)
	}
	if !r.good() {
		t.Error("the metric says that it is wrong")
	}
	if _, again, _ := r.Show(); again == tag {
		t.Error("the tag is the same")
	}
	// O21: nothing new in the file is told, to who asked by a signal, with what may be the reason.
	if _, err := r.Configuration.Reload(context.Background(), "signal"); err != nil {
		t.Fatal(err)
	}
	r.log.next(t, time.Second, "configuration unchanged: is the file mounted alone?")
}

func TestPatch(t *testing.T) {
	dir := t.TempDir()
	state, file := filepath.Join(dir, "deep", "state"), filepath.Join(dir, "weir.yml")
	r := startRig(t, file, "state: "+state+"\nlimits: {streams: 5}\n", "limits.connections=9")
	patch := func(patch, match string) (Report, string, error) {
		return r.Patch(t.Context(), []byte(patch), match)
	}
	_, first, err := r.Show()
	if err != nil {
		t.Fatal(err)
	}
	report, second, err := patch(`{"limits":{"streams":6},"admin":{"token":"hunter2"}}`, first)
	if err != nil || report.paths() != "admin.token new sessions, limits.streams new sessions" || r.streams() != 6 || second == first {
		t.Fatalf("%s, %s, %v", report.paths(), second, err)
	}
	overlay := filepath.Join(state, "config.d", "50-api.yml")
	b, err := os.ReadFile(overlay)
	if err != nil || string(b) != overlayHead+"admin:\n  token: \"hunter2\"\nlimits:\n  streams: 6\n" {
		t.Errorf("%q, %v", b, err)
	}
	for path, want := range map[string]fs.FileMode{state: 0o700, filepath.Dir(overlay): 0o700, overlay: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(overlay)); err != nil || len(left) != 1 {
		t.Error(left, err)
	}
	// It is there for the next server, shown with its origin, and its secret is not.
	again, err := ReadConfiguration(r.source)
	if err != nil || again.Config().Limits.Streams != 6 || again.Config().Admin.Token != "hunter2" {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	if err := again.Loaded().WriteEffective(&shown); err != nil || !strings.Contains(shown.String(), "streams: 6  # "+overlay+":5\n") || strings.Contains(shown.String(), "hunter2") {
		t.Errorf("%v\n%s", err, shown.String())
	}
	values, _, err := r.Show()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if v.Key == "admin.token" && (string(v.Value) != `"***"` || v.Origin.String() != overlay+":3") {
			t.Errorf("%s %s", v.Value, v.Origin)
		}
	}
	// A secret that is given back as it is shown stays.
	if report, _, err = patch(`{"admin":{"token":"***"}}`, ""); err != nil || report.paths() != "" || r.current.Load().conf.Admin.Token != "hunter2" {
		t.Errorf("%s, %v", report.paths(), err)
	}
	// null goes back to the default, not to the file below.
	if report, _, err = patch(`{"limits":{"streams":null}}`, ""); err != nil || r.streams() != Default().Limits.Streams {
		t.Errorf("%s, %v, %d", report.paths(), err, r.streams())
	}
	kept, err := os.ReadFile(overlay)
	if err != nil {
		t.Fatal(err)
	}
	// What is wrong changes nothing, in force and on disk.
	for _, c := range []struct{ patch, match, want string }{
		{`{"limits":{"streams":7}}`, first, ErrConfigChanged.Error()},
		{`{"limits":{"streams":-1}}`, "", overlay + ":5:12: limits.streams: found the number -1, allowed: a whole number, at least 0"},
		{`{"limits":{"streems":7}}`, "", `limits.streems: unknown key, did you mean "streams"?`},
		{`{"streams":[{"match":"a/b","publish":{"keys":["***"]}}]}`, "", "streams.0.publish.keys.0.key: found ***, which is how secrets are shown"},
		{`{"auth":{"hook":{"url":"https://***@host/"}}}`, "", "auth.hook.url: found a URL with ***, which is how secrets are shown"},
		{`{"limits":{"streams":7,"connections":1}}`, "", "--set limits.connections: is set here, before the changes of the API: take it away first"},
		{`{"limits":{"streams":7,"stream_bitrate":1}}`, "", "env WEIR_LIMITS_STREAM_BITRATE: limits.stream_bitrate: is set here"},
		{`{"limits":{"streams":7},"state":"/elsewhere"}`, "", "state: the folder in which this file is cannot be set in it"},
		{`{"limits":{"streams":7},"streams":[{"match":"**"},{"match":"a/b"}]}`, "", "never applies"},
		{`{"limits":{"streams":7},"http":{"listen":"256.0.0.1:1"}}`, "", "http.listen"},
		{`5`, "", "the patch is no JSON object"},
	} {
		if _, _, err := patch(c.patch, c.match); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.patch, err, c.want)
		}
		if now, err := os.ReadFile(overlay); err != nil || !bytes.Equal(now, kept) || r.streams() != Default().Limits.Streams {
			t.Errorf("%s: it is applied or kept: %q, %d", c.patch, now, r.streams())
		}
	}
	if !r.good() {
		t.Error("a refused patch counts as a bad file")
	}
	// What was taken away by hand does not come back, and what was written by hand is not lost.
	if err := os.Remove(overlay); err != nil {
		t.Fatal(err)
	}
	if _, _, err := patch(`{"limits":{"pending_per_ip":7}}`, ""); !errors.Is(err, ErrConfigChanged) {
		t.Error(err)
	}
	write(t, overlay, "limits: {streams: 11}\n")
	if _, _, err := patch(`{"limits":{"pending_per_ip":7}}`, ""); !errors.Is(err, ErrConfigChanged) {
		t.Error(err)
	}
	write(t, filepath.Join(filepath.Dir(overlay), "60-mine.yml"), "limits: {streams: 12}\n")
	write(t, filepath.Join(filepath.Dir(overlay), "70-other.yaml"), "nonsense: 1\n")
	if _, err := r.reload(); err != nil || r.streams() != 12 {
		t.Error(err, r.streams())
	}
	if _, _, err := patch(`{"limits":{"pending_per_ip":7}}`, ""); err != nil || r.streams() != 12 || r.current.Load().conf.Limits.PendingPerIP != 7 {
		t.Error(err)
	}
	none := startRig(t, filepath.Join(dir, "none.yml"), "limits: {streams: 5}\n")
	if _, _, err := none.Patch(t.Context(), []byte(`{}`), ""); !errors.Is(err, ErrNoState) {
		t.Error(err)
	}
}

// A folder that cannot be written to keeps the change from being applied.
func TestPatchThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	state, file := filepath.Join(dir, "state"), filepath.Join(dir, "weir.yml")
	r := startRig(t, file, "state: "+state+"\n")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(state, "config.d"), "a file, where a folder should be")
	if _, _, err := r.Patch(t.Context(), []byte(`{"limits":{"streams":7}}`), ""); err == nil || r.streams() == 7 {
		t.Error(err, r.streams())
	}
}

// TestO21_Watch: a file that is written in place, one that takes its place, one behind a symbolic link that is swapped as
// Kubernetes does it, and an overlay are applied within two seconds; one with a mistake is not, and the next one is.
func TestO21_Watch(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"..1", "..2", "..3"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := func(old, name string) {
		t.Helper()
		tmp := filepath.Join(dir, "..tmp")
		if err := os.Symlink(old, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	state := filepath.Join(dir, "state")
	body := func(limits string) string { return "reload: watch\nstate: " + state + "\n" + limits }
	write(t, filepath.Join(dir, "..1", "weir.yml"), body("limits: {streams: 1}\n"))
	link("..1", "..data")
	link("..data/weir.yml", "weir.yml")
	r := startRig(t, filepath.Join(dir, "weir.yml"), body("limits: {streams: 1}\n"))
	n := 1
	const most = 2 * time.Second
	applied := func(what string) {
		t.Helper()
		begin := time.Now()
		r.log.next(t, most, `"configuration changed" cause=watch`)
		if r.streams() != n {
			t.Errorf("%s: limits.streams is %d, want %d", what, r.streams(), n)
		}
		t.Logf("%s: after %v", what, time.Since(begin).Round(10*time.Millisecond))
	}
	r.log.next(t, most, "watching the configuration for changes")
	for _, version := range []string{"..2", "..3"} {
		n++
		write(t, filepath.Join(dir, version, "weir.yml"), body("limits: {streams: "+string(rune('0'+n))+"}\n"))
		link(version, "..data")
		applied("a symbolic link is swapped")
	}
	n++
	write(t, filepath.Join(dir, "..3", "weir.yml"), body("limits: {streams: 4}\n"))
	applied("a file behind symbolic links is written in place")
	n++
	write(t, filepath.Join(dir, "new"), body("limits: {streams: 5}\n"))
	if err := os.Rename(filepath.Join(dir, "new"), r.file); err != nil {
		t.Fatal(err)
	}
	applied("another file takes its place")
	n++
	write(t, r.file, body("limits: {streams: 6}\n"))
	applied("it is written in place")
	write(t, r.file, body("limits: {streams: x}\n"))
	r.log.next(t, most, "weir.yml:3:19: limits.streams")
	if r.streams() != n {
		t.Error("a file with a mistake is applied")
	}
	if r.good() {
		t.Error("the metric says that a file with a mistake is good")
	}
	write(t, r.file, body("limits: {streams: 6}\n"))
	r.log.next(t, most, `"configuration unchanged" cause=watch`)
	if !r.good() {
		t.Error("the metric says that a mistake that was taken back is still there")
	}
	write(t, r.file, "") // as one that is being written
	n++
	write(t, r.file, body("limits: {streams: 7}\n"))
	applied("after a mistake")
	n++
	if err := os.MkdirAll(filepath.Join(state, "config.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(state, "config.d", "10.yml"), "limits: {streams: 8}\n")
	applied("an overlay in a new folder")
	// It can be turned off and on.
	write(t, r.file, strings.Replace(body("limits: {streams: 1}\n"), "watch", "signal", 1))
	r.log.next(t, most, `"configuration changed" cause=watch`)
	n++
	write(t, filepath.Join(state, "config.d", "10.yml"), "limits: {streams: 9}\nreload: watch\n")
	if _, err := r.reload(); err != nil {
		t.Fatal(err)
	}
	r.log.both(t, most, `"configuration changed" cause=test`, "watching the configuration for changes")
	n++
	write(t, filepath.Join(state, "config.d", "10.yml"), "limits: {streams: 10}\nreload: watch\n")
	applied("turned on again")
}

// TestOverlaysAreBounded: a hundred files may lie over the configuration, and no more.
func TestOverlaysAreBounded(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "config.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 101; n++ {
		write(t, filepath.Join(dir, "config.d", fmt.Sprintf("%03d.yml", n)), fmt.Sprintf("limits: {streams: %d}\n", n))
		if n < 100 {
			continue
		}
		c, err := ReadConfiguration(Source{Sets: []string{"state=" + dir}})
		if n == 100 && (err != nil || c.Config().Limits.Streams != 100) || n > 100 && (err == nil || !strings.Contains(err.Error(), "more than 100 files")) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

// The first reading reports all mistakes, and reads the overlays of the folder that any source names.
func TestReadConfiguration(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "config.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "config.d", "10-a.yml"), "admin: {listen: ':8088'}\n")
	write(t, filepath.Join(dir, "config.d", "20-b.yml"), "admin: {token: t}\n")
	for _, src := range []Source{{Environ: []string{"WEIR_STATE=" + dir}}, {Sets: []string{"state=" + dir}}} {
		c, err := ReadConfiguration(src)
		if err != nil || c.Config().Admin.Listen != ":8088" || c.Config().Admin.Token != "t" {
			t.Errorf("%+v: %v", src, err)
		}
	}
	write(t, filepath.Join(dir, "config.d", "20-b.yml"), "admin: {tokn: t}\n")
	var all config.Errors
	if _, err := ReadConfiguration(Source{Sets: []string{"state=" + dir}}); !errors.As(err, &all) || !strings.Contains(err.Error(), filepath.Join(dir, "config.d", "20-b.yml")+":1:9: admin.tokn: unknown key") {
		t.Error(err)
	}
	if _, err := ReadConfiguration(Source{File: filepath.Join(dir, "none.yml")}); err == nil || !strings.Contains(err.Error(), "there is no such file; `weir config defaults > ") {
		t.Error(err)
	}
}

// TestWatchedFileIsGone: a watched file that is taken away, or stays empty, is told of once, and changes nothing; when it is back, the metric is
// good again, also if it holds what it held before.
func TestWatchedFileIsGone(t *testing.T) {
	const content = "reload: watch\nlimits: {streams: 1}\n"
	r := startRig(t, filepath.Join(t.TempDir(), "weir.yml"), content)
	r.log.next(t, 2*time.Second, "watching the configuration for changes")
	for what, take := range map[string]func() error{
		"there is no such file": func() error { return os.Remove(r.file) },
		"it is empty":           func() error { return os.WriteFile(r.file, []byte("\n"), 0o600) },
	} {
		if err := take(); err != nil {
			t.Fatal(err)
		}
		line := r.log.next(t, 3*absentTime, "the configuration cannot be read")
		if !strings.Contains(line, "level=WARN") || !strings.Contains(line, what) || !strings.Contains(line, r.file) || r.good() || r.streams() != 1 {
			t.Errorf("good %v, %d streams: %s", r.good(), r.streams(), line)
		}
		time.Sleep(2 * absentTime)
		for len(r.log) > 0 {
			if line := <-r.log; strings.Contains(line, "cannot be read") {
				t.Error("told twice:", line)
			}
		}
		write(t, r.file, content)
		r.log.next(t, 3*absentTime, "configuration unchanged")
		if !r.good() {
			t.Error("it is back, and the metric says that it is wrong")
		}
	}
}

// TestNothingInForceHasChanged: a change of the file that lies below others says that nothing has changed.
func TestNothingInForceHasChanged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yml")
	r := startRig(t, file, "limits: {streams: 5}\n", "limits.streams=9")
	write(t, file, "limits: {streams: 6}\n")
	if report, err := r.reload(); err != nil || report.paths() != "" {
		t.Error(report.paths(), err)
	}
	if line := r.log.next(t, time.Second, "configuration"); !strings.Contains(line, "configuration was read, and nothing that is in force has changed: what is new in it is overridden, or means the same") {
		t.Error(line)
	}
}

// TestWaitingKeysAreToldOnce: a key that waits for a restart has changed once; later changes say that it waits.
func TestWaitingKeysAreToldOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yml")
	r := startRig(t, file, "")
	for _, c := range []struct{ content, changed, waiting string }{
		{"delivery: {workers: 3}\n", "delivery.workers restart", "delivery.workers"},
		{"delivery: {workers: 3}\nlimits: {streams: 6}\n", "limits.streams new sessions", "delivery.workers"},
		{"delivery: {workers: 3}\nlimits: {streams: 6}\n", "", "delivery.workers"},
		{"delivery: {workers: 4}\nlimits: {streams: 6}\n", "delivery.workers restart", "delivery.workers"},
		{"limits: {streams: 6}\n", "delivery.workers restart", ""},
		{"limits: {streams: 7}\n", "limits.streams new sessions", ""},
	} {
		write(t, file, c.content)
		report, err := r.reload()
		if got := strings.Join(report.Waiting, " "); err != nil || report.paths() != c.changed || got != c.waiting {
			t.Errorf("%q: changed %q, waiting %q, %v; want %q, %q", c.content, report.paths(), got, err, c.changed, c.waiting)
		}
		if api := reportAPI(report); strings.Join(api.Waiting, " ") != c.waiting {
			t.Errorf("the API: %+v", api)
		}
	}
}
