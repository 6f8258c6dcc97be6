package record

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/event"
	"weir/internal/stream"
)

// tight is a disk with so much room.
type tight struct {
	mu   sync.Mutex // guards below
	room int64
	used int64
}

func (d *tight) open(dir string) (storage, error) {
	s, err := openDir(dir)
	return &tightStorage{s, d}, err
}

type tightStorage struct {
	storage
	disk *tight
}

func (s *tightStorage) Free() (free, total int64, err error) {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	return s.disk.room - s.disk.used, s.disk.room, nil
}

func (s *tightStorage) Create(name string) (file, error) {
	f, err := s.storage.Create(name)
	return &tightFile{f, s.disk}, err
}

type tightFile struct {
	file
	disk *tight
}

// WriteAt takes what there is room for, as a disk does.
func (f *tightFile) WriteAt(b []byte, at int64) (int, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	more := max(at+int64(len(b))-info.Size(), 0)
	if f.disk.used+more > f.disk.room {
		return 0, syscall.ENOSPC
	}
	f.disk.used += more
	return f.file.WriteAt(b, at)
}

// TestRoomToFinish: a disk that becomes full without min_free leaves the file what it needs to become whole.
func TestRoomToFinish(t *testing.T) {
	disk := &tight{room: 1<<20 + 300<<10}
	r := newRig(t, func(c *Config) { c.MinFree = "" }, func(o *Options) { o.openDir = disk.open })
	r.send(r.publish("live/cam"), encode(t, 10, "640x360", 48000).frames, 0, 0)
	e := r.wait(event.RecordingFailed, 1)
	if e.Data["reason"] != "full" || !strings.Contains(e.Data["text"].(string), "what the file needs to become whole") {
		t.Errorf("%v", e.Data)
	}
	names := r.whole()
	if len(names) != 1 {
		t.Fatalf("%v", names)
	}
	if b, err := os.ReadFile(names[0]); err != nil || !strings.Contains(string(b[:128]), "mdat") || len(b) < 200<<10 {
		t.Errorf("%d bytes, or not finished; %v", len(b), err)
	}
	if v := packets(t, names[0], "v"); len(v) < 20 || !v[0].key {
		t.Errorf("%d pictures", len(v))
	}
}

// TestFullBeforeTheNextFile: what no file could be begun for is missing as what a file has lost is, and the log does not say that it can be played.
func TestFullBeforeTheNextFile(t *testing.T) {
	disk, told := &tight{room: 1 << 30}, &catalog{}
	sent := encode(t, 10, "320x180", 48000)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.MinFree, c.Cut = "", 2*time.Second }, func(o *Options) { o.openDir, o.Catalog = disk.open, told })
		defer r.end()
		has := func(room int64) {
			disk.mu.Lock()
			defer disk.mu.Unlock()
			disk.room = room
		}
		p := r.publish("live/cam")
		n := slices.IndexFunc(sent.frames, func(f av.Frame) bool { return f.Kind == av.Video && f.Type == av.Media && f.DTS >= 2*time.Second })
		r.send(p, sent.frames[:n], 0, 0)
		p.Close(nil)
		time.Sleep(5 * time.Second) // the file is whole
		synctest.Wait()
		p = r.publish("live/cam")
		has(1)
		r.send(p, sent.frames[:n], 0, 0)
		time.Sleep(time.Minute)
		synctest.Wait()
		has(1 << 30)
		r.send(p, sent.frames, time.Minute, 0)
		time.Sleep(time.Minute)
		r.end()
		synctest.Wait()
		if r.logged("could not be begun") != 1 || r.logged("what was written before can be played") != 0 {
			t.Error("the log says something else")
		}
		told.mu.Lock()
		defer told.mu.Unlock()
		first := told.list[0]
		next := slices.IndexFunc(told.list, func(f File) bool { return f.ID != first.ID && strings.HasSuffix(f.Name, ".mp4") })
		if next < 0 || first.Missing != "" || told.list[next].Missing != MissingFailed {
			t.Errorf("%+v", told.list)
		}
	})
}

// TestFinishedLater: a file that could not be made whole is, once the disk takes the next file of the recording; the catalog is told.
func TestFinishedLater(t *testing.T) {
	c := &catalog{}
	disk := &tight{room: 1 << 30}
	r := newRig(t, func(c *Config) { c.MinFree, c.Cut = "", 2*time.Second }, func(o *Options) { o.openDir, o.Catalog = disk.open, c })
	sent := encode(t, 10, "320x180", 48000)
	p := r.publish("live/cam")
	r.send(p, sent.frames[:len(sent.frames)/10], 0, 0)
	r.wait(event.RecordingStart, 1)
	first := filepath.Join(r.dir, files(t, r.dir)[0])
	if err := os.WriteFile(strings.TrimSuffix(first, PartSuffix), nil, 0o600); err != nil { // it cannot get its name
		t.Fatal(err)
	}
	r.send(p, sent.frames[len(sent.frames)/10:], 0, 0)
	r.wait(event.RecordingFailed, 1)
	done := r.wait(event.RecordingDone, 1)
	if done.Data["repaired"] != true || !strings.HasSuffix(done.Data["file"].(string), "-2.mp4") {
		t.Errorf("%v", done.Data)
	}
	if v := packets(t, filepath.Join(r.dir, done.Data["file"].(string)), "v"); len(v) != 50 || !v[0].key {
		t.Errorf("%d pictures", len(v))
	}
	r.end()
	for _, name := range files(t, r.dir) {
		if strings.HasSuffix(name, PartSuffix) {
			t.Errorf("%s is left", name)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, what := range c.told {
		if what == "repaired" && c.list[i].ID != "" && c.list[i].Stream == "live/cam" {
			return
		}
	}
	t.Errorf("the catalog was told %v", c.told)
}

// ebbing is a disk on which each file that is open takes a MiB more than was written.
type ebbing struct{ storage }

func (s ebbing) Create(name string) (file, error) {
	f, err := s.storage.Create(name)
	if err != nil {
		return nil, err
	}
	t := f.(*tightFile) //nolint:forcetypeassert // it is on a tight disk
	t.disk.mu.Lock()
	t.disk.used += 1 << 20
	t.disk.mu.Unlock()
	return &ebbingFile{t}, nil
}

type ebbingFile struct{ *tightFile }

func (f *ebbingFile) Close() error {
	f.disk.mu.Lock()
	f.disk.used -= 1 << 20
	f.disk.mu.Unlock()
	return f.tightFile.Close()
}

// TestFullDiskIsLeftAlone: a recording that has ended because of min_free does not begin again with the room that its own end has given back, and
// what is to stay free does.
func TestFullDiskIsLeftAlone(t *testing.T) {
	sent := encode(t, 10, "640x360", 48000).frames
	synctest.Test(t, func(t *testing.T) {
		disk := &tight{room: 26 << 20}
		r := newRig(t, func(c *Config) { c.MinFree = "24MiB" }, func(o *Options) {
			o.openDir = func(dir string) (storage, error) {
				s, err := disk.open(dir)
				return ebbing{s}, err
			}
		})
		p := r.publish("live/cam")
		for i := range time.Duration(6) {
			again := slices.Clone(sent)
			for k := range again {
				again[k].DTS, again[k].PTS = again[k].DTS+i*10*time.Second, again[k].PTS+i*10*time.Second
			}
			r.live(p, again)
		}
		synctest.Wait()
		if n := r.count(event.RecordingFailed); n != 1 {
			t.Errorf("%d failures", n)
		}
		list, err := r.m.List("live/cam")
		if err != nil || list[0].State != "failing" || !strings.Contains(list[0].Error, "(24MiB): ") || !strings.Contains(list[0].Error, "MiB are free, of which 25.3 are to stay so") {
			t.Errorf("%+v, %v", list, err)
		}
		disk.mu.Lock()
		if free := disk.room - disk.used; free < 24<<20 {
			t.Errorf("%d bytes are free", free)
		}
		disk.room *= 2
		disk.mu.Unlock()
		r.live(p, func() []av.Frame {
			again := slices.Clone(sent)
			for k := range again {
				again[k].DTS, again[k].PTS = again[k].DTS+time.Minute, again[k].PTS+time.Minute
			}
			return again
		}())
		p.Close(stream.ErrClosed)
		r.end()
		if n := r.count(event.RecordingStart); n != 2 {
			t.Errorf("%d files have begun", n)
		}
	})
}
