package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/av"
	"weir/format/fmp4"
	"weir/format/mp4"
	"weir/internal/event"
	"weir/internal/record"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

// large has tests be as large as what they stand for: make test-large.
var large = os.Getenv("WEIR_TEST_LARGE") != ""

// material is a stream that ffmpeg encoded: 24 s of pictures with B-frames, a key frame every 2 s at 25 frames a second, and
// sound.
type material struct {
	tracks []mp4.Track
	frames []av.Frame
}

const (
	materialLength = 24 * time.Second
	materialGOP    = 2 * time.Second
)

// encoded makes material once for all tests. size tells two kinds of it apart.
var encoded = func() func(t *testing.T, size string) *material {
	var mu sync.Mutex
	made := map[string]*material{}
	return func(t *testing.T, size string) *material {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if m := made[size]; m != nil {
			return m
		}
		m := encode(t, size)
		made[size] = m
		return m
	}
}()

func encode(t *testing.T, size string) *material {
	t.Helper()
	name := filepath.Join(t.TempDir(), "material.mp4")
	run(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size="+size+":rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
		"-t", fmt.Sprint(materialLength.Seconds()), "-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "50", "-keyint_min", "50", "-sc_threshold", "0",
		"-c:a", "aac", "-b:a", "64k", "-y", name)
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := fmp4.NewReader(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	m := &material{}
	for _, x := range r.Tracks() {
		m.tracks = append(m.tracks, mp4.Track{Track: x.Track})
	}
	for {
		frame, err := r.Next()
		if errors.Is(err, io.EOF) {
			return m
		}
		if err != nil {
			t.Fatal(err)
		}
		if frame.Type == av.Media {
			m.frames = append(m.frames, *frame)
		}
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s %v: %v: %s", name, args, err, exit.Stderr)
		}
		t.Fatalf("%s (make test installs it): %v", name, err)
	}
	return string(out)
}

// write writes the media from one time to another as a file, in fragments of a second that begin with key frames where they can. It returns
// the file's duration. With whole it is finished.
func (m *material) write(t *testing.T, name, stream string, start time.Time, from, to time.Duration, whole bool) time.Duration {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	x, err := mp4.NewMuxer(mp4.Head{Path: stream, Epoch: 7, Start: start, At: from, Tracks: m.tracks})
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	var list []av.Frame
	began := time.Duration(-1)
	flush := func(end time.Duration) {
		if len(list) > 0 {
			if b, err = x.AppendFragment(b, list, end); err != nil {
				t.Fatal(err)
			}
			list = nil
		}
	}
	for _, f := range m.frames {
		if f.DTS < from || f.DTS >= to {
			continue
		}
		if f.Kind == av.Video && began >= 0 && (f.IsKey() || f.DTS-began >= time.Second) {
			flush(f.DTS)
			began = -1
		}
		if f.Kind == av.Video && began < 0 {
			began = f.DTS
		}
		list = append(list, f)
	}
	flush(mp4.NoEnd)
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if whole {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := mp4.Finish(f, int64(len(b))); err != nil {
			t.Fatal(err)
		}
	}
	return x.Duration()
}

// rig is an archive that runs.
type rig struct {
	*Archive
	t    *testing.T
	dir  string // of recordings
	conf Options
	stop context.CancelFunc
	done chan error
}

// newRig makes one. change may be nil.
func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	r.conf = Options{
		Log: slog.New(slog.DiscardHandler), State: t.TempDir(),
		Places: func() []Place {
			return []Place{{r.dir, func(string) (string, record.Keep, string) { return "main", record.Keep{}, "" }}}
		},
		Space: func(string) (free, total int64, err error) { return 1 << 40, 1 << 41, nil },
	}
	if change != nil {
		change(&r.conf)
	}
	r.start()
	t.Cleanup(r.close)
	return r
}

func (r *rig) start() {
	r.t.Helper()
	a, err := New(r.conf)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.Archive, r.stop, r.done = a, cancel, make(chan error, 1)
	go func(done chan error) { done <- a.Run(ctx) }(r.done)
	r.ready()
}

// ready waits until questions are answered.
func (r *rig) ready() {
	r.t.Helper()
	r.until(func() bool {
		_, err := r.List(r.t.Context(), Query{})
		if err != nil && !errors.Is(err, ErrIndexing) {
			r.t.Fatal(err)
		}
		return err == nil
	})
}

// until waits for something that other goroutines do.
func (r *rig) until(done func() bool) {
	r.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(end) {
			r.t.Fatal("waited in vain")
		}
		select {
		case <-r.t.Context().Done():
			r.t.Fatal("the test is over")
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (r *rig) close() {
	if r.stop == nil {
		return
	}
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
	r.Close()
	r.stop = nil
}

// restart stops the archive and starts it anew; between is called while it does not run.
func (r *rig) restart(between func()) {
	r.t.Helper()
	r.close()
	if between != nil {
		between()
	}
	r.start()
}

// epoch is when the recordings of the tests begin.
var epoch = time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC)

// file is a row of a file that need not exist.
func (r *rig) file(stream, name string, at, length time.Duration) record.File {
	id := event.NewID(epoch.Add(at))
	return record.File{
		ID: id, Stream: stream, Recording: "main", Take: id, Epoch: 7, Dir: r.dir, Name: name, Format: "mp4", Start: epoch.Add(at), Duration: length,
		Bytes: 1000, Codecs: "avc1.64000b,mp4a.40.2",
	}
}

// Done notes that a file is whole, with the size that it has if it is there.
func (r *rig) Done(f record.File) error {
	if info, err := os.Stat(filepath.Join(f.Dir, f.Name)); err == nil {
		f.Bytes = info.Size()
	}
	return r.Archive.Done(f)
}

// add adds a file to the index.
func (r *rig) add(f record.File) {
	r.t.Helper()
	if err := r.Begun(f); err != nil {
		r.t.Fatal(err)
	}
	if err := r.Done(f); err != nil {
		r.t.Fatal(err)
	}
}

// record writes material as a file and adds it.
func (r *rig) record(m *material, stream, name string, at, from, to time.Duration) record.File {
	r.t.Helper()
	full := filepath.Join(r.dir, name)
	length := m.write(r.t, full, stream, epoch.Add(at), from, to, true)
	f := r.file(stream, name, at, length)
	info, err := os.Stat(full)
	if err != nil {
		r.t.Fatal(err)
	}
	f.Bytes = info.Size()
	b := read(r.t, full)
	said, err := record.Read(bytes.NewReader(b), f.Bytes, name)
	if err != nil {
		r.t.Fatal(err)
	}
	f.Codecs, f.Coding = said.Codecs, said.Coding
	r.add(f)
	return f
}
