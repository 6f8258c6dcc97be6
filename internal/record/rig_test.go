package record

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/format/fmp4"
	"weir/format/mpegts"
	"weir/internal/event"
	"weir/internal/stream"
)

// clip is what an encoder sends, as ffmpeg makes it.
type clip struct {
	file   string // FLV
	frames []av.Frame
}

var (
	clips   sync.Map // arguments → func() ([]byte, error)
	clipDir string
)

// encode returns seconds of H.264, 320x180 unless size says otherwise, and AAC.
func encode(t testing.TB, seconds int, size string, rate int) *clip {
	t.Helper()
	key := strconv.Itoa(seconds) + size + strconv.Itoa(rate)
	made, _ := clips.LoadOrStore(key, sync.OnceValues(func() (*clip, error) {
		name := filepath.Join(clipDir, key+".flv")
		args := []string{
			"-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=" + size + ":rate=25:duration=" + strconv.Itoa(seconds),
			"-f", "lavfi", "-i", "sine=sample_rate=" + strconv.Itoa(rate) + ":duration=" + strconv.Itoa(seconds), "-c:v", "libx264", "-pix_fmt", "yuv420p",
			"-g", "25", "-bf", "2", "-preset", "veryfast", "-c:a", "aac", "-ac", "2", name,
		}
		if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
			return nil, errors.Join(err, errors.New(string(out)))
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		c := &clip{file: name}
		r := flv.NewFrameReader(bytes.NewReader(b))
		for {
			f, err := r.ReadFrame()
			if errors.Is(err, io.EOF) {
				return c, nil
			}
			if err != nil {
				return nil, err
			}
			c.frames = append(c.frames, *f)
		}
	}))
	c, err := made.(func() (*clip, error))()
	if err != nil {
		t.Fatal(err)
	}
	return &clip{c.file, slices.Clone(c.frames)}
}

// padded is a picture with so many bytes more: a NAL unit that decoders pass over.
func padded(payload []byte, more int) []byte {
	filler := make([]byte, more)
	binary.BigEndian.PutUint32(filler, uint32(more-4))
	filler[4] = 12
	return append(slices.Clone(payload), filler...)
}

// rig is a hub whose streams are recorded.
type rig struct {
	testing.TB
	dir     string
	hub     *stream.Hub
	m       *Manager
	granted []string
	maxLag  time.Duration // an hour if it is 0

	mu      sync.Mutex // guards below
	entries []Config
	events  []event.Event
	log     bytes.Buffer
	dropped int
	failed  []string
	changed *sync.Cond
}

func (r *rig) RecordBytes(int) {}

func (r *rig) RecordDropped(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropped += n
}

func (r *rig) RecordFailed(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, reason)
}

// Write takes the log.
func (r *rig) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(b)
}

// logged counts the log lines that have a text.
func (r *rig) logged(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.log.String(), text)
}

// entry returns an entry that records into the rig's directory.
func (r *rig) entry(change func(c *Config)) Config {
	var c Config
	c.SetDefaults()
	c.Dir, c.MinFree = r.dir, ""
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		r.Fatal(err)
	}
	return c
}

// newRig records every stream by one entry.
func newRig(t testing.TB, change func(c *Config), options ...func(*Options)) *rig {
	t.Helper()
	r := &rig{TB: t, dir: t.TempDir()}
	r.changed = sync.NewCond(&r.mu)
	r.entries = []Config{r.entry(change)}
	r.hub = stream.New(stream.Options{
		Settings: func(string) stream.Settings {
			s := stream.Default()
			s.Cache = stream.Cache{GOPs: 1000, Bytes: 1 << 30, Frames: 1 << 20, Time: time.Hour}
			s.MaxLag = cmp.Or(r.maxLag, time.Hour)
			if r.maxLag > 0 {
				s.Cache = stream.Cache{}
			}
			return s
		},
		Notify: func(e stream.Event) {
			if e.Kind == stream.Started || e.Kind == stream.Resumed {
				r.m.Publishing(e.Path, r.granted)
			}
		},
	})
	o := Options{
		Log: slog.New(slog.NewTextHandler(r, nil)), Stream: r.hub.Get, Now: r.hub.Now,
		Entries: func(string) []Config {
			r.mu.Lock()
			defer r.mu.Unlock()
			return slices.Clone(r.entries)
		},
		Named: func(path string) (*event.Stream, *event.Session) {
			return &event.Stream{Path: path, Epoch: 77}, &event.Session{ID: "of " + path}
		},
		Metrics: r,
		Publish: func(e event.Event) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
			r.changed.Broadcast()
		},
	}
	for _, f := range options {
		f(&o)
	}
	r.m = New(o)
	t.Cleanup(func() {
		r.end()
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	return r
}

// end ends all streams, and waits for the files.
func (r *rig) end() {
	r.hub.Close(stream.ErrClosed)
	r.m.Close()
}

// publish makes the rig a publisher.
func (r *rig) publish(path string) *stream.Publisher {
	r.Helper()
	p, err := r.hub.Publish(path, stream.Info{})
	if err != nil {
		r.Fatal(err)
	}
	return p
}

// send publishes frames with their times moved. What is sent a moment after the start arrives at that moment.
func (r *rig) send(p *stream.Publisher, frames []av.Frame, by, arrived time.Duration) {
	r.Helper()
	for i := range frames {
		f := frames[i]
		f.DTS, f.PTS = f.DTS+by, f.PTS+by
		if arrived > 0 {
			f.Arrived = arrived + f.DTS
		}
		if err := p.Write(&f); err != nil {
			r.Fatal(err)
		}
	}
}

// wait waits for the n-th event of a type, and returns it.
func (r *rig) wait(typ string, n int) event.Event {
	r.Helper()
	late := time.AfterFunc(20*time.Second, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed.Broadcast()
	})
	defer late.Stop()
	begin := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		seen := 0
		for _, e := range r.events {
			if e.Type == typ {
				if seen++; seen == n {
					return e
				}
			}
		}
		if time.Since(begin) > 19*time.Second {
			r.Fatalf("event %d of %s has not come; there are %v", n, typ, r.events)
		}
		r.changed.Wait()
	}
}

// count returns how many events of a type there were.
func (r *rig) count(typ string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Type == typ {
			n++
		}
	}
	return n
}

// files returns the files in a directory, by name.
func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// whole ends the rig and returns the paths of its files, in the order in which they began.
func (r *rig) whole() (paths []string) {
	r.Helper()
	r.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Type == event.RecordingStart {
			paths = append(paths, filepath.Join(r.dir, e.Data["file"].(string)))
		}
	}
	if got := files(r, r.dir); len(got) != len(paths) || slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, PartSuffix) }) {
		r.Errorf("there are %v, and events of %v", got, paths)
	}
	return paths
}

// tool runs a program and returns what it printed.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, complaints.String())
	}
	return out.String()
}

// packet is one packet of a file.
type packet struct {
	hash     string
	pts, dts float64
	key      bool
}

// packets returns the packets of a kind in a file, as our own readers find them. A file that is not whole may end anywhere.
func packets(t testing.TB, name, kind string) (list []packet) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var frames []av.Frame
	shift := time.Duration(0)
	take := func(f *av.Frame, err error) bool {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && strings.HasSuffix(name, PartSuffix) {
			return false
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		frames = append(frames, *f)
		return true
	}
	switch ext := filepath.Ext(strings.TrimSuffix(name, PartSuffix)); ext {
	case ".mp4":
		r, err := fmp4.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for take(r.Next()) {
			shift = r.Start()
		}
	case ".flv":
		for r := flv.NewFrameReader(bytes.NewReader(b)); take(r.ReadFrame()); {
		}
	case ".ts":
		var d mpegts.Demuxer
		frames = d.Flush(d.Demux(nil, b))
	}
	want := map[string]av.Kind{"v": av.Video, "a": av.Audio}[kind]
	for i := range frames {
		if f := &frames[i]; f.Kind == want && f.Type == av.Media {
			sum := md5.Sum(f.Payload)
			list = append(list, packet{string(sum[:]), (f.PTS + shift).Seconds(), (f.DTS + shift).Seconds(), f.IsKey()})
		}
	}
	return list
}

// hashesOf are those of all packets of a kind in files.
func hashesOf(t testing.TB, kind string, names ...string) (list []string) {
	t.Helper()
	for _, name := range names {
		for _, p := range packets(t, name, kind) {
			list = append(list, p.hash)
		}
	}
	return list
}

// length is from when to when something is shown in a file, of 25 pictures a second.
func length(t testing.TB, name string) float64 {
	t.Helper()
	first, last := math.Inf(1), math.Inf(-1)
	for _, p := range packets(t, name, "v") {
		first, last = min(first, p.pts), max(last, p.pts+0.04)
	}
	for _, p := range packets(t, name, "a") {
		first, last = min(first, p.pts), max(last, p.pts+0.0213)
	}
	return last - first
}

// probed is the duration that ffprobe finds.
func probed(t testing.TB, name string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(strings.TrimSpace(tool(t, "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", name)), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// same reports whether files hold the packets of what was sent, each once and in order.
func same(t testing.TB, sent *clip, kind string, names ...string) {
	t.Helper()
	want, got := hashesOf(t, kind, sent.file), hashesOf(t, kind, names...)
	if len(want) == 0 || !slices.Equal(want, got) {
		t.Errorf("%s: %d packets in %d files, want %d, or others", kind, len(got), len(names), len(want))
	}
}
