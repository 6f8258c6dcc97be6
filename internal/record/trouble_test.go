package record

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/event"
	"weir/internal/stream"
)

// TestRetry: after a failure a new file is tried every 10 s, and begins at the next key frame once there is room.
func TestRetry_C415(t *testing.T) {
	sent := encode(t, 10, "320x180", 48000)
	synctest.Test(t, func(t *testing.T) {
		disk, told := &faulty{from: 4, err: syscall.ENOSPC}, &catalog{}
		r := newRig(t, func(c *Config) { c.Sync = "close" }, func(o *Options) { o.openDir, o.Catalog = disk.open, told })
		p := r.publish("live/cam")
		at := time.Duration(0)
		feed := func(frames []av.Frame, by time.Duration) { // in real time
			for i := range frames {
				f := frames[i]
				f.DTS, f.PTS = f.DTS+by, f.PTS+by
				time.Sleep(f.DTS - at)
				at = max(at, f.DTS)
				if err := p.Write(&f); err != nil {
					t.Fatal(err)
				}
			}
		}
		feed(sent.frames, 0)
		feed(sent.frames, 10*time.Second)
		synctest.Wait()
		if n := r.count(event.RecordingFailed); n != 1 {
			t.Errorf("%d events", n)
		}
		if list, err := r.m.List("live/cam"); err != nil || list[0].State != "failing" || !strings.Contains(list[0].Error, "no space") {
			t.Errorf("%+v, %v", list, err)
		}
		disk.mu.Lock()
		tries := disk.calls
		disk.from = 0
		disk.mu.Unlock()
		if tries > 12 {
			t.Errorf("%d calls in 20 s", tries)
		}
		feed(sent.frames, 20*time.Second)
		synctest.Wait()
		if list, err := r.m.List("live/cam"); err != nil || list[0].State != "recording" || list[0].Error != "" {
			t.Errorf("%+v, %v", list, err)
		}
		if r.logged("recording stops until") != 1 || r.logged("recording goes on") != 1 {
			t.Error("it was not logged once")
		}
		p.Close(stream.ErrClosed)
		r.end()
		// The files that could not even be made hide nothing of why something is missing before the next one.
		if first, last := told.list[0], told.list[len(told.list)-1]; first.Missing != "" || last.Missing != MissingFailed || first.ID == last.ID || first.Take == last.Take {
			t.Errorf("what is missing before the first file: %q, before the last one: %q", first.Missing, last.Missing)
		}
	})
}

// TestTooBusy: where the server was too busy to keep up with a stream, a file ends, and the next one begins at a key frame and says why.
func TestTooBusy(t *testing.T) {
	sent := encode(t, 10, "320x180", 48000).frames
	synctest.Test(t, func(t *testing.T) {
		told, start := &catalog{}, time.Now()
		r := newRig(t, nil, func(o *Options) { o.Catalog = told })
		r.maxLag = time.Second
		p := r.publish("live/cam")
		begin := time.Now()
		for i := range time.Duration(5) {
			for _, f := range sent {
				f.DTS, f.PTS = f.DTS+i*10*time.Second, f.PTS+i*10*time.Second
				if i%2 == 0 || f.DTS < i*10*time.Second+5*time.Second { // else it comes at once, and a second of it is kept
					time.Sleep(time.Until(begin.Add(f.DTS)))
				}
				f.Arrived = begin.Sub(start) + f.DTS
				if err := p.Write(&f); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Until(begin.Add((i + 1) * 10 * time.Second)))
		}
		names := r.whole()
		if len(names) != 3 || r.logged("too busy") != 2 || r.count(event.RecordingFailed) != 2 {
			t.Fatalf("%v", names)
		}
		for i, name := range names {
			v := packets(t, name, "v")
			if !v[0].key {
				t.Errorf("%s begins without a key frame", name)
			}
			times := make([]float64, len(v))
			for k := range v {
				times[k] = v[k].pts
			}
			slices.Sort(times)
			for k := 1; k < len(times); k++ {
				if d := times[k] - times[k-1]; math.Abs(d-0.04) > 0.002 {
					t.Errorf("%s: %.3f s between two pictures", name, d)
				}
			}
			if f := &told.list[2*i+1]; (f.Missing == MissingSlow) != (i > 0) {
				t.Errorf("what is missing before %s: %q", name, f.Missing)
			}
		}
	})
}

// TestSlowDisk (C-416): a disk that hangs costs the recording frames, which are counted and told, and no more memory than the queue's; the
// publisher never waits, and a new file begins at a key frame when the disk is back.
func TestSlowDisk_C416(t *testing.T) {
	disk := &faulty{}
	r := newRig(t, func(c *Config) { c.Sync = "close" }, func(o *Options) { o.openDir = disk.open })
	sent := encode(t, 10, "320x180", 48000)
	p := r.publish("live/cam")
	r.send(p, sent.frames, 0, 0)
	r.wait(event.RecordingStart, 1)
	blocked := make(chan struct{})
	disk.mu.Lock()
	disk.block = blocked
	disk.mu.Unlock()
	// Payloads are made large, so that the bound is reached soon.
	big := slices.Clone(sent.frames)
	for i := range big {
		if f := &big[i]; f.Kind == av.Video && f.Type == av.Media {
			f.Payload = padded(f.Payload, 200<<10)
		}
	}
	begin := time.Now()
	r.send(p, big, 10*time.Second, 0)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the publisher waited %v", took)
	}
	r.wait(event.RecordingFailed, 1)
	list, err := r.m.List("live/cam")
	if err != nil {
		t.Fatal(err)
	}
	r.m.mu.Lock()
	var waiting int64
	for _, x := range r.m.sets {
		for _, rec := range x.running {
			rec.line.mu.Lock()
			waiting += rec.line.bytes
			rec.line.mu.Unlock()
		}
	}
	r.m.mu.Unlock()
	if waiting > maxQueueBytes {
		t.Errorf("%d MB wait", waiting>>20)
	}
	disk.mu.Lock()
	disk.block = nil
	disk.mu.Unlock()
	close(blocked)
	for {
		if l, _ := r.m.List("live/cam"); len(l) == 1 && l[0].Dropped > 0 {
			break
		}
		time.Sleep(time.Millisecond) // the recording counts when it wakes up
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("no frames were counted: %+v", list)
		}
	}
	for i := range 4 { // the disk has caught up by one of these
		r.send(p, sent.frames, time.Duration(20+10*i)*time.Second, 0)
		if r.count(event.RecordingStart) > 1 {
			break
		}
		time.Sleep(3 * beat)
	}
	names := r.whole()
	if len(names) != 2 {
		t.Fatalf("%v", names)
	}
	for _, name := range names {
		if v := packets(t, name, "v"); !v[0].key {
			t.Errorf("%s begins without a key frame", name)
		}
	}
	if r.logged("the disk is too slow") != 1 {
		t.Error("it was not logged once")
	}
}

// TestFolderGone (C-417): a directory that is deleted is made again for the next file.
func TestFolderGone_C417(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Cut = 2 * time.Second })
	sent := encode(t, 10, "320x180", 48000)
	p := r.publish("live/cam")
	r.send(p, sent.frames[:len(sent.frames)/4], 0, 0)
	r.wait(event.RecordingStart, 1)
	if err := os.RemoveAll(r.dir); err != nil {
		t.Fatal(err)
	}
	r.send(p, sent.frames[len(sent.frames)/4:], 0, 0)
	r.end()
	if r.count(event.RecordingFailed) == 0 {
		t.Error("no event tells of it")
	}
	left := files(t, r.dir)
	if len(left) == 0 {
		t.Error("the directory was not made again")
	}
	for _, name := range left {
		if v := packets(t, filepath.Join(r.dir, name), "v"); !v[0].key {
			t.Errorf("%s begins without a key frame", name)
		}
	}
}

// TestMinFree: below min_free no file begins.
func TestMinFree(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MinFree = "99.9%" })
	r.send(r.publish("live/cam"), encode(t, 2, "320x180", 48000).frames, 0, 0)
	e := r.wait(event.RecordingFailed, 1)
	if e.Data["reason"] != "full" {
		t.Errorf("%v", e.Data)
	}
	if names := r.whole(); len(names) != 0 {
		t.Errorf("%v", names)
	}
}

// TestSameName (C-414): files of one name get -2 and so on, and nothing is overwritten.
func TestSameName_C414(t *testing.T) {
	r := newRig(t, func(c *Config) { c.File = "all" })
	old := filepath.Join(r.dir, "all.mp4")
	if err := os.WriteFile(old, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	sent := encode(t, 2, "320x180", 48000)
	r.send(r.publish("live/a"), sent.frames, 0, 0)
	r.send(r.publish("live/b"), sent.frames, 0, 0)
	r.end()
	if got := files(t, r.dir); !slices.Equal(got, []string{"all-2.mp4", "all-3.mp4", "all.mp4"}) {
		t.Errorf("%v", got)
	}
	if b, _ := os.ReadFile(old); string(b) != "mine" {
		t.Errorf("the old file is %q", b)
	}
}

// TestSymlink (C-413): a folder that is a symbolic link is not followed, wherever it leads.
func TestSymlink_C413(t *testing.T) {
	for _, inside := range []bool{true, false} {
		r := newRig(t, nil)
		to := t.TempDir()
		if inside {
			to = filepath.Join(r.dir, "other")
			if err := os.Mkdir(to, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(to, filepath.Join(r.dir, "live")); err != nil {
			t.Fatal(err)
		}
		r.send(r.publish("live/cam"), encode(t, 2, "320x180", 48000).frames, 0, 0)
		r.wait(event.RecordingFailed, 1)
		r.end()
		if got := files(t, to); len(got) != 0 {
			t.Errorf("%v", got)
		}
	}
}

// TestFileDeleted: a file that is deleted while it is recorded ends at once, which is told, and another one begins.
func TestFileDeleted(t *testing.T) {
	sent := encode(t, 10, "320x180", 48000).frames
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		p := r.publish("live/cam")
		r.live(p, sent[:len(sent)/2])
		if err := os.RemoveAll(filepath.Join(r.dir, "live")); err != nil {
			t.Fatal(err)
		}
		r.live(p, sent[len(sent)/2:])
		e := r.wait(event.RecordingFailed, 1)
		if e.Data["reason"] != "gone" || !strings.Contains(e.Data["text"].(string), "was deleted while") {
			t.Errorf("%v", e.Data)
		}
		for i := range time.Duration(2) {
			again := slices.Clone(sent)
			for k := range again {
				again[k].DTS, again[k].PTS = again[k].DTS+(i+1)*10*time.Second, again[k].PTS+(i+1)*10*time.Second
			}
			r.live(p, again)
		}
		p.Close(stream.ErrClosed)
		r.end()
		left := files(t, r.dir)
		if len(left) != 1 || len(packets(t, filepath.Join(r.dir, left[0]), "v")) < 200 {
			t.Errorf("%v", left)
		}
		if r.logged("what was written before can be played") != 0 || r.logged("was deleted, and with it") != 1 {
			t.Error("it is not told so")
		}
	})
}

// tough is a disk whose second write to a file fails, and which takes long to end that file.
type tough struct{ storage }

func (s tough) Create(name string) (file, error) {
	f, err := s.storage.Create(name)
	return &toughFile{file: f}, err
}

type toughFile struct {
	file
	writes int
}

func (f *toughFile) WriteAt(b []byte, at int64) (int, error) {
	if f.writes++; f.writes == 2 {
		return 0, syscall.EIO
	}
	return f.file.WriteAt(b, at)
}

func (f *toughFile) Truncate(size int64) error {
	time.Sleep(3 * time.Second)
	return f.file.Truncate(size)
}

// TestFailureIsToldHoweverLate: that a file has failed is told also if the recording knows it before the file has ended.
func TestFailureIsToldHoweverLate(t *testing.T) {
	sent := encode(t, 10, "320x180", 48000).frames
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil, func(o *Options) {
			o.openDir = func(dir string) (storage, error) {
				s, err := openDir(dir)
				return tough{s}, err
			}
		})
		p := r.publish("live/cam")
		r.live(p, sent)
		p.Close(stream.ErrClosed)
		r.end()
		if n := r.count(event.RecordingFailed); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}
