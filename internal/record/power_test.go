package record

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/format/mp4"
	"weir/internal/stream"
)

// volatile is a disk whose power may be cut at any moment: it tells look what would be left of each file after everything that is
// done with it.
type volatile struct {
	mu    sync.Mutex // guards below
	files map[string]*volatileFile
	look  func(left map[string][][]byte)
}

// left returns by name what may be left of each file: all that was forced to the disk and nothing else, the same in the file's length with
// zeros behind it, and with every second of the later writes.
func (d *volatile) left() map[string][][]byte {
	all := map[string][][]byte{}
	for name, f := range d.files {
		if f.safe == nil && strings.HasSuffix(name, PartSuffix) {
			continue // not even its name was forced to the disk
		}
		zeros := make([]byte, len(f.now))
		copy(zeros, f.safe)
		holes := slices.Clone(zeros)
		for i, w := range f.later {
			if i%2 == 1 && w[1] <= int64(len(f.now)) {
				copy(holes[w[0]:w[1]], f.now[w[0]:w[1]])
			}
		}
		all[name] = [][]byte{f.safe, zeros, holes}
	}
	return all
}

// changed looks at what would be left. mu is held.
func (d *volatile) changed() { d.look(d.left()) }

func (d *volatile) open(string) (storage, error) { return d, nil }

func (d *volatile) Create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] != nil {
		return nil, fs.ErrExist
	}
	f := &volatileFile{disk: d}
	d.files[name] = f
	d.changed()
	return f, nil
}

func (d *volatile) Exists(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.files[name] != nil
}

// Rename is on the disk at once, whatever of the file is not: that is the worst of what file systems do.
func (d *volatile) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[to] = d.files[from]
	delete(d.files, from)
	d.changed()
	return nil
}

func (d *volatile) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
	d.changed()
	return nil
}

func (d *volatile) Lacks(name string) bool               { return !d.Exists(name) }
func (d *volatile) SyncFolder(string) error              { return nil }
func (d *volatile) Free() (free, total int64, err error) { return 1 << 40, 1 << 41, nil }
func (d *volatile) Close() error                         { return nil }

type volatileFile struct {
	disk      *volatile
	now, safe []byte
	later     [][2]int64 // what was written since safe
}

func (f *volatileFile) ReadAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return bytes.NewReader(f.now).ReadAt(b, at)
}

func (f *volatileFile) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if end := int(at) + len(b); end > len(f.now) {
		f.now = append(f.now, make([]byte, end-len(f.now))...)
	}
	copy(f.now[at:], b)
	f.later = append(f.later, [2]int64{at, at + int64(len(b))})
	f.disk.changed()
	return len(b), nil
}

func (f *volatileFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.now = append([]byte(nil), f.now[:min(size, int64(len(f.now)))]...)
	f.disk.changed()
	return nil
}

func (f *volatileFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.safe, f.later = append([]byte{}, f.now...), nil
	f.disk.changed()
	return nil
}

func (f *volatileFile) Stat() (fs.FileInfo, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return sizeOf(len(f.now)), nil
}

func (f *volatileFile) Close() error { return nil }

// sizeOf is what is known of a file in memory.
type sizeOf int64

func (s sizeOf) Name() string     { return "" }
func (s sizeOf) Size() int64      { return int64(s) }
func (sizeOf) Mode() fs.FileMode  { return 0o600 }
func (sizeOf) ModTime() time.Time { return time.Time{} }
func (sizeOf) IsDir() bool        { return false }
func (sizeOf) Sys() any           { return nil }

// rest is what is left of a file, for mp4.Finish.
type rest struct{ b []byte }

func (f *rest) ReadAt(b []byte, at int64) (int, error) { return bytes.NewReader(f.b).ReadAt(b, at) }
func (f *rest) Truncate(size int64) error              { f.b = f.b[:size]; return nil }
func (f *rest) Sync() error                            { return nil }
func (f *rest) WriteAt(b []byte, at int64) (int, error) {
	if end := int(at) + len(b); end > len(f.b) {
		f.b = append(f.b, make([]byte, end-len(f.b))...)
	}
	return copy(f.b[at:], b), nil
}

// recovered is how much of a file is there once it was repaired.
func recovered(b []byte) time.Duration {
	f := &rest{slices.Clone(b)}
	if err := mp4.Finish(f, int64(len(f.b))); err != nil {
		return 0
	}
	x, err := mp4.ReadIndex(f, int64(len(f.b)))
	if err != nil || len(x.Fragments) == 0 {
		return 0
	}
	last := &x.Fragments[len(x.Fragments)-1]
	return last.Time + last.Duration - x.Fragments[0].Time
}

// TestPowerCut (C-402): if the power fails, at whatever moment and whatever the disk kept of what it was not forced to, no more is lost than
// what came in 5 s and a fragment, and a file that has its final name is whole.
func TestPowerCut_C402(t *testing.T) {
	for _, format := range []string{"mp4", "flv", "ts"} {
		t.Run(format, func(t *testing.T) {
			sent := encode(t, 10, "320x180", 48000)
			synctest.Test(t, func(t *testing.T) {
				var sentUntil, most time.Duration
				looks := 0
				disk := &volatile{files: map[string]*volatileFile{}}
				disk.look = func(left map[string][][]byte) {
					looks++
					least := time.Duration(1 << 62)
					for variant := range 3 {
						there := time.Duration(0)
						for name, all := range left {
							b := all[variant]
							if !strings.HasSuffix(name, PartSuffix) && !bytes.Equal(b, disk.files[name].now) {
								t.Errorf("%s has its name, and %d bytes instead of %d, or others", name, len(b), len(disk.files[name].now))
							}
							if format == "mp4" {
								there += recovered(b)
							}
						}
						least = min(least, there)
					}
					most = max(most, sentUntil-least)
				}
				r := newRig(t, func(c *Config) { c.Sync, c.Cut, c.Format = "5s", 12*time.Second, format }, func(o *Options) { o.openDir = disk.open })
				p := r.publish("live/cam")
				at := time.Duration(0)
				for by := time.Duration(0); by < 40*time.Second; by += 10 * time.Second {
					for i := range sent.frames {
						f := sent.frames[i]
						f.DTS, f.PTS = f.DTS+by, f.PTS+by
						time.Sleep(f.DTS - at)
						at = max(at, f.DTS)
						disk.mu.Lock()
						sentUntil = at
						disk.mu.Unlock()
						if err := p.Write(&f); err != nil {
							t.Fatal(err)
						}
					}
				}
				p.Close(stream.ErrClosed)
				r.end()
				disk.mu.Lock()
				defer disk.mu.Unlock()
				if names := slices.Collect(maps.Keys(disk.files)); len(names) != 4 || looks < 40 {
					t.Errorf("%d files, %d moments: %v", len(names), looks, names)
				}
				if format == "mp4" && (most > 6500*time.Millisecond || most < 3*time.Second) {
					t.Errorf("up to %v are lost", most)
				}
				t.Logf("%d moments, up to %v lost", looks, most)
			})
		})
	}
}

var _ io.ReaderAt = (*rest)(nil)
