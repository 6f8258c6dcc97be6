//go:build linux

package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"weir/internal/freeport"
)

// recordedFile is a file as the API shows it.
type recordedFile struct {
	ID, Name, State string
	Start           time.Time
	Duration        float64
	Bytes           int64
	Uploaded        bool
}

// A recordedDay is that of a server with a recording.
type recordedDay struct {
	t       *testing.T
	dir     string // of all that it has
	disk    string // a small one, for the recordings
	bucket  string // where the storage has its objects
	file    string // the configuration
	s       *server
	seen    atomic.Int64 // bytes that a viewer has got
	left    atomic.Bool  // the viewer's answer has ended
	viewing context.CancelFunc
}

// TestARecordedDay is one day with a recording: the encoder starts again and again, files are cut by the clock, the disk is full and has
// room again, the server is killed, files are uploaded and one is deleted; what is left plays as one film.
func TestARecordedDay(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("a small disk is mounted by root only: run the tests as root")
	}
	d := &recordedDay{t: t, dir: t.TempDir()}
	d.mount()
	d.storage()
	d.run()

	// Five times the encoder dies. It is back before max_gap, so that files begin only where the clock says.
	d.watch()
	for range 5 {
		p := d.encoder()
		d.until("the encoder's pictures are recorded", func() bool { return d.recorder().Duration > 0 })
		time.Sleep(time.Second) // of pictures
		p.end(syscall.SIGKILL)
	}
	d.encoder()
	d.until("three files were cut", func() bool { return len(d.files()) >= 4 })
	for _, f := range d.files()[1:] {
		if past := f.Start.Sub(f.Start.Truncate(cut)); past > 1500*time.Millisecond { // a key frame is due each second
			t.Errorf("%s begins %v after its time", f.Name, past)
		}
	}

	// The disk is full: that ends the file and nothing else.
	filler := filepath.Join(d.disk, "filler")
	d.fill(filler)
	d.until("the recording fails", func() bool { return d.recorder().State == "failing" })
	if r := d.recorder(); !strings.Contains(r.Error, "full") && !strings.Contains(r.Error, "space") {
		t.Errorf("it says %q", r.Error)
	}
	before := d.seen.Load()
	d.until("the viewer goes on", func() bool { return d.seen.Load() > before+50_000 })
	must(t, os.Remove(filler))
	d.until("it goes on", func() bool { return d.recorder().State == "recording" })
	if d.left.Load() {
		t.Error("the viewer has been cut off")
	}
	d.until("there is something to lose", func() bool { return d.recorder().Duration > 2 })

	// The server is killed.
	d.viewing()
	d.s.kill()
	d.run()
	last := d.encoder()
	d.until("the new server has a file", func() bool { r := d.recorder(); return r.State == "recording" && r.Duration > 2 })
	last.end(syscall.SIGKILL)
	d.until("all is whole and uploaded", func() bool {
		return !slices.ContainsFunc(d.files(), func(f recordedFile) bool { return f.State != "done" || !f.Uploaded })
	})
	files := d.files()
	if len(files) < 6 {
		t.Fatalf("%d files: %+v", len(files), files)
	}
	_ = filepath.WalkDir(d.disk, func(path string, _ os.DirEntry, _ error) error {
		if strings.HasSuffix(path, ".part") {
			t.Errorf("%s is left", path)
		}
		return nil
	})
	for _, f := range files {
		here, err := os.ReadFile(filepath.Join(d.disk, f.Name))
		must(t, err)
		there, err := os.ReadFile(filepath.Join(d.bucket, f.Name))
		if err != nil || !bytes.Equal(here, there) {
			t.Errorf("%s: the object is another: %v", f.Name, err)
		}
	}

	// One is deleted, here and there.
	gone := files[1]
	if code, said := d.weir("recordings", "delete", gone.ID, "-c", d.file); code != 0 {
		t.Fatal(said)
	}
	for _, dir := range []string{d.disk, d.bucket} {
		if _, err := os.Stat(filepath.Join(dir, gone.Name)); !os.IsNotExist(err) {
			t.Errorf("%s is in %s: %v", gone.Name, dir, err)
		}
	}
	d.plays(slices.DeleteFunc(files, func(f recordedFile) bool { return f.ID == gone.ID }))
}

// cut is how long the day's files are.
const cut = 4 * time.Second

// mount mounts the small disk.
func (d *recordedDay) mount() {
	d.disk = filepath.Join(d.dir, "disk")
	must(d.t, os.Mkdir(d.disk, 0o755))
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=24m", "weir-test", d.disk).CombinedOutput(); err != nil {
		d.t.Fatalf("mount: %v: %s", err, out)
	}
	d.t.Cleanup(func() {
		if out, err := exec.Command("umount", "--lazy", d.disk).CombinedOutput(); err != nil {
			d.t.Errorf("umount: %v: %s", err, out)
		}
	})
}

// storage starts a storage with a bucket, and writes the configuration.
func (d *recordedDay) storage() {
	program, err := exec.LookPath("versitygw")
	if err != nil {
		d.t.Fatal("versitygw is missing (make test installs it): ", err)
	}
	d.bucket = filepath.Join(d.dir, "objects", "weir")
	must(d.t, os.MkdirAll(d.bucket, 0o755))
	addr := freeport.Addr(d.t)
	cmd := exec.Command(program, "--port", addr, "--access", "key", "--secret", "secretsecret", "--quiet", "posix", filepath.Dir(d.bucket))
	must(d.t, cmd.Start())
	d.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	d.file = filepath.Join(d.dir, "weir.yml")
	must(d.t, os.WriteFile(d.file, fmt.Appendf(nil, `log: {format: json}
state: %s
rtmp: {listen: %q}
http: {listen: %q}
admin: {listen: %q}
s3:
  - {name: main, endpoint: "http://%s", bucket: weir, region: us-east-1, path_style: true, access_key: key, secret_key: secretsecret, part_size: 5MiB}
streams:
  - match: live/*
    publish: {grace: 20s}
    record: [{dir: %s, cut: %s, aligned: true, min_free: "", max_gap: 5s, upload: main}]
`, filepath.Join(d.dir, "state"), freeport.Addr(d.t), freeport.Addr(d.t), freeport.Addr(d.t), addr, d.disk, cut), 0o600))
}

// run runs the server.
func (d *recordedDay) run() {
	d.s = runServer(d.t, "serve", "-c", d.file)
	s := d.s
	d.t.Cleanup(func() { s.kill() })
}

// weir runs a command.
func (d *recordedDay) weir(args ...string) (int, string) {
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, mustBuild(d.t), args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		d.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// encoder publishes with a key frame each second.
func (d *recordedDay) encoder() *process {
	return publish(d.t, "ffmpeg", "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000",
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac", "-f", "flv", d.s.rtmpURL("live/cam"))
}

// watch has somebody view the stream until viewing is called.
func (d *recordedDay) watch() {
	ctx, cancel := context.WithCancel(d.t.Context())
	d.viewing = cancel
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.s.http+"/live/cam.flv", nil)
	must(d.t, err)
	go func() {
		a, err := http.DefaultClient.Do(q)
		if err != nil {
			return
		}
		defer a.Body.Close()
		_, _ = io.Copy(counter{&d.seen}, a.Body)
		d.left.Store(ctx.Err() == nil)
	}()
}

// counter counts bytes.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

// recorder is what records the stream.
func (d *recordedDay) recorder() (r struct {
	State, Error string
	Duration     float64
},
) {
	var a struct {
		Recorders []struct {
			State, Error string
			Duration     float64
		}
	}
	if d.s.get(d.t.Context(), "/api/v1/recorders?stream=live/cam", &a) == nil && len(a.Recorders) == 1 {
		r = a.Recorders[0]
	}
	return r
}

// files are those of the recording, in their order.
func (d *recordedDay) files() (list []recordedFile) {
	var a struct {
		Spans []struct{ Files []recordedFile }
	}
	must(d.t, every(d.t.Context(), 40*time.Second, func() error { // for a moment after a kill the answer is 503
		return d.s.get(d.t.Context(), "/api/v1/recordings?path=live/cam", &a)
	}))
	for _, s := range a.Spans {
		list = append(list, s.Files...)
	}
	return list
}

// fill leaves no room on the disk.
func (d *recordedDay) fill(file string) {
	f, err := os.Create(file)
	must(d.t, err)
	defer f.Close()
	for b := make([]byte, 64<<10); ; {
		if _, err := f.Write(b); err != nil {
			return
		}
	}
}

func (d *recordedDay) until(what string, ok func() bool) {
	d.t.Helper()
	must(d.t, every(d.t.Context(), 40*time.Second, func() error {
		if !ok() {
			return fmt.Errorf("waited in vain: %s: %+v %+v\n%s", what, d.recorder(), d.files(), d.s.said())
		}
		return nil
	}))
}

// plays has ffmpeg play all files as one range, across what is missing.
func (d *recordedDay) plays(files []recordedFile) {
	d.t.Helper()
	sum := 0.0
	for _, f := range files {
		sum += f.Duration
	}
	first, end := files[0], files[len(files)-1]
	q := url.Values{"from": {first.Start.Format(time.RFC3339Nano)}, "to": {end.Start.Add(time.Duration(end.Duration * 1e9)).Format(time.RFC3339Nano)}}
	at := "http://" + d.s.http + "/live/cam/playback.mp4?" + q.Encode()
	out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", at).CombinedOutput()
	if length, e := strconv.ParseFloat(strings.TrimSpace(string(out)), 64); err != nil || e != nil || length < sum-0.3 || length > sum+0.3 {
		d.t.Errorf("it plays for %s, not %.2f s: %v", out, sum, err)
	}
	// The frames keep their times: ffmpeg would round them to a frame rate that it guesses, which seams of a few milliseconds mislead.
	out, err = exec.Command("ffmpeg", "-nostdin", "-v", "warning", "-i", at, "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		d.t.Errorf("it does not play: %v: %s", err, out)
	}
}
