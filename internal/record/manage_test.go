package record

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/internal/event"
	"weir/internal/stream"
)

// TestStartAndStop (C-419, P17): a recording is started and stopped while the stream runs, from the key frame that is cached on; doing
// it twice changes nothing, and each answer has the file's id.
func TestStartAndStop_C419_P17(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Start = "manual" })
	sent := encode(t, 4, "320x180", 48000)
	p := r.publish("live/cam")
	middle := slices.IndexFunc(sent.frames, func(f av.Frame) bool { return f.DTS > 2500*time.Millisecond })
	r.send(p, sent.frames[:middle], 0, 0)
	if list, err := r.m.List("live/cam"); err != nil || len(list) != 1 || list[0].State != "off" || list[0].ID != "" {
		t.Fatalf("%+v, %v", list, err)
	}
	first, err := r.m.Start(t.Context(), "live/cam", "main")
	if err != nil || first.ID == "" || first.Origin != ByAPI {
		t.Fatalf("%+v, %v", first, err)
	}
	if e := r.wait(event.RecordingStart, 1); e.Data["id"] != first.ID {
		t.Errorf("the event has %v, the answer %s", e.Data["id"], first.ID)
	}
	if again, err := r.m.Start(t.Context(), "live/cam", "main"); err != nil || again.ID != first.ID || again.State != "recording" {
		t.Errorf("%+v, %v", again, err)
	}
	r.send(p, sent.frames[middle:], 0, 0)
	var group sync.WaitGroup
	for range 3 { // at the same time
		group.Go(func() {
			st, err := r.m.Stop(context.Background(), "live/cam", "main")
			if err != nil || st.ID != first.ID || st.State != "off" || st.Bytes == 0 || st.File == "" {
				t.Errorf("%+v, %v", st, err)
			}
		})
	}
	group.Wait()
	if st, err := r.m.Stop(context.Background(), "live/cam", "main"); err != nil || st.ID != first.ID {
		t.Errorf("%+v, %v", st, err)
	}
	second, err := r.m.Start(t.Context(), "live/cam", "main")
	if err != nil || second.ID == first.ID {
		t.Errorf("%+v, %v", second, err)
	}
	if _, err := r.m.Start(t.Context(), "live/none", "main"); !errors.Is(err, ErrNoStream) {
		t.Error(err)
	}
	if _, err := r.m.Start(t.Context(), "live/cam", "none"); !errors.Is(err, ErrNoEntry) {
		t.Error(err)
	}
	names := r.whole()
	if len(names) != 2 {
		t.Fatalf("%v", names)
	}
	if v := packets(t, names[0], "v"); !v[0].key || len(v) != 100 {
		t.Errorf("%d pictures: it began later than the oldest key frame that is kept, or lost some", len(v))
	}
}

// TestSurvivesGap (P17): a recording that was started by the API goes on while the publisher is away.
func TestSurvivesGap_P17(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Start = "manual" })
	sent := encode(t, 2, "320x180", 48000)
	p := r.publish("live/cam")
	r.send(p, sent.frames, 0, time.Second)
	if _, err := r.m.Start(t.Context(), "live/cam", "main"); err != nil {
		t.Fatal(err)
	}
	r.wait(event.RecordingStart, 1)
	p.Close(nil)
	r.send(r.publish("live/cam"), sent.frames, 0, 4*time.Second)
	names := r.whole()
	if len(names) != 1 {
		t.Fatalf("%v", names)
	}
	if v := packets(t, names[0], "v"); len(v) != 100 {
		t.Errorf("%d pictures", len(v))
	}
}

// TestGranted: what the decision hook grants stands above the configuration.
func TestGranted(t *testing.T) {
	for _, c := range []struct {
		granted []string
		want    int
	}{{nil, 1}, {[]string{}, 0}, {[]string{"second"}, 1}, {[]string{"main", "second", "none"}, 2}} {
		r := newRig(t, nil)
		r.granted = c.granted
		r.entries = append(r.entries, r.entry(func(c *Config) { c.Name, c.Start, c.File = "second", "manual", "second" }))
		r.send(r.publish("live/cam"), encode(t, 2, "320x180", 48000).frames, 0, 0)
		if names := r.whole(); len(names) != c.want {
			t.Errorf("%v: %v", c.granted, names)
		}
		if got := r.logged("asks for a recording"); (got == 1) != slices.Contains(c.granted, "none") {
			t.Errorf("%v: %d warnings", c.granted, got)
		}
	}
}

// TestChanged: a changed configuration holds for recordings that run: one that is gone stops, one that comes starts, and one
// with another directory goes on there at the next key frame.
func TestChanged(t *testing.T) {
	r := newRig(t, nil)
	sent := encode(t, 4, "320x180", 48000)
	p := r.publish("live/cam")
	r.send(p, sent.frames, 0, 0)
	r.wait(event.RecordingStart, 1)
	change := func(list ...Config) {
		r.mu.Lock()
		r.entries = list
		r.mu.Unlock()
		r.m.Changed()
	}
	change(r.entry(func(c *Config) { c.File = "other/{start}"; c.Keep.For = time.Hour }))
	r.send(p, sent.frames, 4*time.Second, 0)
	r.wait(event.RecordingDone, 1)
	e := r.wait(event.RecordingStart, 2)
	change(r.entry(func(c *Config) { c.Name = "new" }))
	r.wait(event.RecordingDone, 2)
	if e.Data["recording"] != "main" {
		t.Error(e.Data)
	}
	r.send(p, sent.frames, 8*time.Second, 0)
	if e := r.wait(event.RecordingStart, 3); e.Data["recording"] != "new" {
		t.Error(e.Data)
	}
	r.whole()
}

// catalog remembers what it was told.
type catalog struct {
	mu    sync.Mutex // guards below
	told  []string
	list  []File
	taken []string // names
}

func (c *catalog) note(what string, f File) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told, c.list = append(c.told, what), append(c.list, f)
	return nil
}

func (c *catalog) Begun(f File) error     { return c.note("begun", f) }
func (c *catalog) Done(f File) error      { return c.note("done", f) }
func (c *catalog) Failed(f File, _ error) { _ = c.note("failed", f) }
func (c *catalog) Repaired(f File) error  { return c.note("repaired", f) }

func (c *catalog) Taken(_, name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.taken, name)
}

// TestTakenName: a file does not get the name of one that is not here any more, but that the catalog has.
func TestTakenName(t *testing.T) {
	c := &catalog{taken: []string{"live/cam/day.mp4", "live/cam/day-3.mp4"}}
	r := newRig(t, func(c *Config) { c.File, c.Cut = "{path}/day", 2*time.Second }, func(o *Options) { o.Catalog = c })
	r.send(r.publish("live/cam"), encode(t, 4, "320x180", 48000).frames, 0, 0)
	r.whole()
	if got, want := files(t, r.dir), []string{"live/cam/day-2.mp4", "live/cam/day-4.mp4"}; !slices.Equal(got, want) {
		t.Errorf("%v instead of %v", got, want)
	}
	// Nor does one that is repaired.
	if err := os.Rename(filepath.Join(r.dir, "live/cam/day-2.mp4"), filepath.Join(r.dir, "live/cam/day.mp4.part")); err != nil {
		t.Fatal(err)
	}
	c.taken = append(c.taken, "live/cam/day-2.mp4")
	r.m.RepairAll(t.Context(), []string{r.dir})
	if got, want := files(t, r.dir), []string{"live/cam/day-4.mp4", "live/cam/day-5.mp4"}; !slices.Equal(got, want) {
		t.Errorf("%v instead of %v", got, want)
	}
}

// TestCatalog is told of each file, with its take, its times and the rule that it began with.
func TestCatalog(t *testing.T) {
	c := &catalog{}
	r := newRig(t, func(c *Config) {
		c.Cut = 2 * time.Second
		c.Keep = Keep{For: time.Hour, Total: 1 << 30, Free: "5%"}
		c.Upload = "main"
	},
		func(o *Options) { o.Catalog = c })
	sent := encode(t, 4, "320x180", 48000)
	p := r.publish("live/cam")
	before := time.Now()
	r.send(p, sent.frames, 0, time.Second)
	p.Close(nil)
	r.send(r.publish("live/cam"), sent.frames, 0, 15*time.Second)
	r.whole()
	slices.SortStableFunc(c.list, func(a, b File) int { return a.Start.Compare(b.Start) })
	if len(c.list) != 8 {
		t.Fatalf("%v", c.told)
	}
	for i := 1; i < len(c.list); i += 2 {
		f, begun := &c.list[i], &c.list[i-1]
		if f.ID != begun.ID || f.Stream != "live/cam" || f.Recording != "main" || f.Epoch != 77 || f.Format != "mp4" || f.Dir != r.dir ||
			f.Codecs != "avc1.64000c,mp4a.40.2" || f.Keep.Free != "5%" || f.Upload != "main" || f.Bytes == 0 {
			t.Errorf("%+v", f)
		}
		if d := f.Duration - 2*time.Second; d.Abs() > 50*time.Millisecond {
			t.Errorf("%v", f.Duration)
		}
	}
	a, b, d := c.list[1], c.list[3], c.list[5]
	if a.Take != b.Take || a.Take == d.Take || a.Take == "" {
		t.Errorf("takes %s, %s, %s", a.Take, b.Take, d.Take)
	}
	if gap := b.Start.Sub(a.Start.Add(a.Duration)); gap.Abs() > 50*time.Millisecond {
		t.Errorf("%v between two files of a take", gap)
	}
	if gap := d.Start.Sub(a.Start); (gap - 14*time.Second).Abs() > 200*time.Millisecond {
		t.Errorf("%v between two takes", gap)
	}
	if a.Start.Before(before.Add(-time.Minute)) || a.Start.After(time.Now().Add(time.Minute)) {
		t.Errorf("it began at %v", a.Start)
	}
}

// TestAligned (P9): aligned files begin at the first key frame from the mark on.
func TestAligned_P9(t *testing.T) {
	c := &catalog{}
	r := newRig(t, func(c *Config) { c.Cut, c.Aligned = 4*time.Second, true }, func(o *Options) { o.Catalog = c })
	r.send(r.publish("live/cam"), encode(t, 10, "320x180", 48000).frames, 0, 0)
	r.whole()
	slices.SortFunc(c.list, func(a, b File) int { return a.Start.Compare(b.Start) })
	starts := map[time.Time]bool{}
	for _, f := range c.list {
		starts[f.Start] = true
	}
	if len(starts) < 3 {
		t.Errorf("%d files", len(starts))
	}
	first := c.list[0].Start
	for at := range starts {
		if late := at.Sub(at.Truncate(4 * time.Second)); at != first && late > time.Second+50*time.Millisecond {
			t.Errorf("a file begins %v after the mark", late)
		}
	}
}

// TestManyStops has streams come and go: nothing is left behind.
func TestStreamsComeAndGo(t *testing.T) {
	r := newRig(t, nil)
	sent := encode(t, 2, "320x180", 48000)
	for range 5 {
		p := r.publish("live/cam")
		r.send(p, sent.frames, 0, 0)
		p.Close(stream.ErrClosed)
	}
	if names := r.whole(); len(names) != 5 {
		t.Errorf("%v", names)
	}
	if n := r.m.Running(); n != 0 || len(r.m.sets) != 0 {
		t.Errorf("%d run, %d streams are known", n, len(r.m.sets))
	}
}

// held is a disk on which some calls wait until they are let go.
type held struct {
	storage
	holds func(call, name string) bool
	let   chan struct{}
}

func (s held) wait(call, name string) {
	if s.holds(call, name) {
		<-s.let
	}
}

func (s held) Create(name string) (file, error) {
	s.wait("create", name)
	return s.storage.Create(name)
}

func (s held) Rename(from, to string) error {
	s.wait("rename", from)
	return s.storage.Rename(from, to)
}

// holding has calls of all disks wait.
func holding(holds func(call, name string) bool, let chan struct{}) func(*Options) {
	return func(o *Options) {
		o.openDir = func(dir string) (storage, error) {
			s, err := openDir(dir)
			return held{s, holds, let}, err
		}
	}
}

// TestWantedAgainWhileItEnds: a recording that is wanted again while its last file is still made whole begins again.
func TestWantedAgainWhileItEnds(t *testing.T) {
	let := make(chan struct{})
	r := newRig(t, nil, holding(func(call, _ string) bool { return call == "rename" }, let))
	sent := encode(t, 4, "320x180", 48000)
	p := r.publish("live/cam")
	r.send(p, sent.frames, 0, 0)
	r.wait(event.RecordingStart, 1)
	entries := r.entries
	for _, list := range [][]Config{nil, entries} {
		r.mu.Lock()
		r.entries = list
		r.mu.Unlock()
		r.m.Changed()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.m.Start(ctx, "live/cam", "main"); !errors.Is(err, context.Canceled) {
		t.Errorf("the API waits for the disk: %v", err)
	}
	close(let)
	r.send(p, sent.frames, 4*time.Second, 0)
	r.wait(event.RecordingStart, 2)
	r.whole()
}

// TestNothingAfterClose: a manager that is closed begins nothing.
func TestNothingAfterClose(t *testing.T) {
	r := newRig(t, nil)
	p := r.publish("live/cam")
	r.m.mu.Lock()
	r.m.closed = true
	r.m.mu.Unlock()
	if _, err := r.m.Stop(t.Context(), "live/cam", "main"); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := r.m.Start(t.Context(), "live/cam", "main"); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	p.Close(stream.ErrClosed)
}

// TestWorkersGo: a directory has workers only while files in it are written.
func TestWorkersGo(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Cut = 2 * time.Second })
	pools := func() (dirs []string) {
		r.m.mu.Lock()
		defer r.m.mu.Unlock()
		return slices.Collect(maps.Keys(r.m.pools))
	}
	sent := encode(t, 4, "320x180", 48000)
	p := r.publish("live/cam")
	r.send(p, sent.frames, 0, 0)
	r.wait(event.RecordingStart, 1)
	other := filepath.Join(r.dir, "other")
	r.mu.Lock()
	r.entries = []Config{r.entry(func(c *Config) { c.Dir = other })}
	r.mu.Unlock()
	r.m.Changed()
	r.send(p, sent.frames, 4*time.Second, 0)
	for end := time.Now().Add(20 * time.Second); !slices.Equal(pools(), []string{other}); {
		if time.Now().After(end) {
			t.Fatalf("pools of %v", pools())
		}
		time.Sleep(time.Millisecond)
	}
	r.end()
	r.m.workers.Wait()
	if list := pools(); len(list) != 0 {
		t.Errorf("pools of %v", list)
	}
}

// TestBeginsHoldUpNoWrites: however many files are begun or made whole, and however long that takes, what is recorded already is written.
func TestBeginsHoldUpNoWrites(t *testing.T) {
	let := make(chan struct{})
	r := newRig(t, nil, holding(func(_, name string) bool { return strings.HasPrefix(name, "live/new") }, let))
	sent := encode(t, 4, "320x180", 48000)
	p := r.publish("live/cam")
	r.send(p, sent.frames, 0, 0)
	r.wait(event.RecordingStart, 1)
	for i := range 10 {
		r.send(r.publish(fmt.Sprint("live/new", i)), sent.frames, 0, 0)
	}
	size := func() int64 {
		list, err := r.m.List("live/cam")
		if err != nil {
			t.Fatal(err)
		}
		return list[0].Bytes
	}
	before := size()
	for i := range 3 {
		r.send(p, sent.frames, time.Duration(i+1)*4*time.Second, 0)
	}
	for end := time.Now().Add(20 * time.Second); size() < 3*before; {
		if time.Now().After(end) {
			t.Fatalf("%d bytes were written before, and %d later", before, size())
		}
		time.Sleep(time.Millisecond)
	}
	close(let)
	r.whole()
}

// TestBeginsAreBounded: no more files wait to be begun than may; one that was begun is written all the same.
func TestBeginsAreBounded(t *testing.T) {
	p := newPool(func(func()) {})
	for range maxBegins - 1 {
		p.wake(&line{}, begins)
	}
	frames := make([]av.Frame, 1)
	one, two, begun := &output{line: &line{}, pool: p}, &output{line: &line{}, pool: p}, &output{line: &line{}, pool: p, size: 1}
	if !one.put(job{frames: frames}) || two.put(job{frames: frames}) {
		t.Errorf("%d wait", len(p.ready[begins]))
	}
	if !begun.put(job{frames: frames}) || !two.put(job{last: true}) {
		t.Error("what is no beginning is refused")
	}
}
