package record

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
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
	"weir/internal/stream"
)

// faulty is a disk that goes wrong.
type faulty struct {
	mu       sync.Mutex // guards below
	calls    int
	from     int // the first call that fails; 0: none
	err      error
	until    int // the first that goes well again
	block    chan struct{}
	failed   int // calls, but for those that only look
	appended int // pieces of media that were written to a file behind an error
}

// call counts something that writes, and says whether it fails.
func (d *faulty) call() error { return d.count(1) }

// look counts something that only looks.
func (d *faulty) look() error { return d.count(0) }

func (d *faulty) count(failure int) error {
	d.mu.Lock()
	d.calls++
	n, block := d.calls, d.block
	err := d.err
	fails := d.from > 0 && n >= d.from && (d.until == 0 || n < d.until)
	if fails {
		d.failed += failure
	}
	d.mu.Unlock()
	if block != nil {
		<-block
	}
	if fails {
		return err
	}
	return nil
}

func (d *faulty) open(dir string) (storage, error) {
	s, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	if err := d.call(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &faultyStorage{s, d}, nil
}

type faultyStorage struct {
	storage
	disk *faulty
}

func (s *faultyStorage) Create(name string) (file, error) {
	if err := s.disk.call(); err != nil {
		return nil, err
	}
	f, err := s.storage.Create(name)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file: f, disk: s.disk}, nil
}

func (s *faultyStorage) Rename(from, to string) error {
	if err := s.disk.call(); err != nil {
		return err
	}
	return s.storage.Rename(from, to)
}

// faultyFile is one of one writer.
type faultyFile struct {
	file
	disk   *faulty
	end    int64 // of what was written well
	failed bool
}

// call is faulty.call, which is noted.
func (f *faultyFile) call() error {
	err := f.disk.call()
	f.failed = f.failed || err != nil
	return err
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	mp4 := bytes.Contains(b[:min(len(b), 16)], []byte("moof"))
	if f.failed && at >= f.end && (mp4 || b[0] == 0x47 || b[0] == 8 || b[0] == 9) { // a fragment, a packet of TS, a tag of FLV
		f.disk.mu.Lock()
		f.disk.appended++
		f.disk.mu.Unlock()
	}
	if err := f.call(); err != nil {
		n, _ := f.file.WriteAt(b[:len(b)/2], at) // a full disk takes some
		return n, err
	}
	f.end = max(f.end, at+int64(len(b)))
	return f.file.WriteAt(b, at)
}

func (f *faultyFile) Sync() error {
	return f.call() // what is on the disk once the power has failed is another test's
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.call(); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

func (f *faultyFile) Stat() (fs.FileInfo, error) {
	if err := f.disk.look(); err != nil {
		return nil, err
	}
	return f.file.Stat()
}

// Close closes the file in any case, as the system does.
func (f *faultyFile) Close() error { return errors.Join(f.file.Close(), f.call()) }

// faults are the errors of disks.
var faults = []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.ESTALE, syscall.EDQUOT, syscall.EMFILE}

// formats are those of files.
var formats = []string{"mp4", "flv", "ts"}

// inOrder reports where the pictures of files are in what was sent: each file has those that follow one another from a key frame on, and none is in two.
// It returns the place behind the last one, and how many there are.
func inOrder(t *testing.T, sent []packet, names []string) (end, count int) {
	t.Helper()
	for _, name := range names {
		v := packets(t, name, "v")
		count += len(v)
		if len(v) == 0 || !v[0].key {
			t.Errorf("%s has %d pictures, or does not begin with a key frame", name, len(v))
			continue
		}
		if strings.HasSuffix(strings.TrimSuffix(name, PartSuffix), ".ts") { // which is not made of the same packets
			end += len(v)
			continue
		}
		at := end
		for at < len(sent) && sent[at].hash != v[0].hash {
			at++
		}
		if at+len(v) > len(sent) || !slices.EqualFunc(sent[at:at+len(v)], v, func(a, b packet) bool { return a.hash == b.hash }) {
			t.Errorf("%s: its %d pictures do not follow one another as they were sent", name, len(v))
		}
		end = at + len(v)
	}
	return end, count
}

// TestFullDisk (C-415, P15): whatever call fails, whatever with, the stream goes on, and what was written before can be played; nothing is written behind an
// error, and it is told. The disk stays as it is until the end.
func TestFullDisk_C415_P15(t *testing.T) {
	sent := encode(t, 4, "160x90", 48000)
	want := packets(t, sent.file, "v")
	for k, fault := range faults {
		for n := 1; n <= 50; n++ {
			format := formats[(n+k)%len(formats)]
			synctest.Test(t, func(t *testing.T) {
				disk := &faulty{from: n, err: fault}
				r := newRig(t, func(c *Config) { c.Sync, c.Cut, c.Format = "always", 2*time.Second, format }, func(o *Options) { o.openDir = disk.open })
				r.send(r.publish("live/cam"), sent.frames, 0, 0)
				r.end()
				if got, lost := r.count("recording.failed"), disk.failed > 0; lost != (got > 0) {
					t.Errorf("call %d, %v, %s: %d events of %d failures", n, fault, format, got, disk.failed)
				}
				if disk.appended > 0 {
					t.Errorf("call %d, %v, %s: %d pieces were written behind an error", n, fault, format, disk.appended)
				}
				var names []string
				for _, name := range files(t, r.dir) {
					names = append(names, filepath.Join(r.dir, name))
				}
				if _, count := inOrder(t, want, names); disk.failed == 0 && count != len(want) || count > len(want) {
					t.Errorf("call %d, %v, %s: %d pictures of %d", n, fault, format, count, len(want))
				}
			})
			if t.Failed() {
				return
			}
		}
	}
}

// TestDiskIsWellAgain (C-415, P15): whatever call fails, once or a few times, the recording goes on when the disk is well again, with a new file that
// begins at a key frame, and ends with the stream; the file before it has all that was written well. It is told once.
func TestDiskIsWellAgain_C415_P15(t *testing.T) {
	sent := encode(t, 40, "160x90", 48000)
	want := packets(t, sent.file, "v")
	for n := 1; n <= 50; n++ {
		fault, format, calls := faults[n%len(faults)], formats[n%len(formats)], 1+n%4%3
		synctest.Test(t, func(t *testing.T) {
			disk := &faulty{from: n, until: n + calls, err: fault}
			r := newRig(t, func(c *Config) { c.Sync, c.Format = "1s", format }, func(o *Options) { o.openDir = disk.open })
			p := r.publish("live/cam")
			frames := sent.frames
			if n%4 == 0 { // pictures alone, which wait for sound first
				frames = slices.DeleteFunc(slices.Clone(frames), func(f av.Frame) bool { return f.Kind == av.Audio })
			}
			r.live(p, frames)
			p.Close(stream.ErrClosed)
			r.end()
			var names []string
			for _, name := range files(t, r.dir) {
				names = append(names, filepath.Join(r.dir, name))
			}
			slices.SortFunc(names, func(a, b string) int { return modified(t, a).Compare(modified(t, b)) })
			end, count := inOrder(t, want, names)
			if disk.appended > 0 {
				t.Errorf("call %d: %d pieces were written behind an error", n, disk.appended)
			}
			if got := r.count("recording.failed"); got > 1 || disk.failed > 0 != (got == 1) {
				t.Errorf("call %d, %v: %d events of %d failures", n, fault, got, disk.failed)
			}
			// A file is tried 10 s after the last one, and up to 3 times in vain; each time the next key frame is waited for.
			if count < len(want)-25*14*calls || disk.failed == 0 && count != len(want) || format != "ts" && end != len(want) {
				t.Errorf("call %d, %v, %d times, %s: %d pictures of %d are in %v, the last one at %d", n, fault, calls, format, count, len(want), names, end)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// modified is when a file was written to last.
func modified(t *testing.T, name string) time.Time {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

// TestOnTheDisk (C-400): of a stream nothing is missing on the disk at any time but the fragment that is being made, of a second or so, what the order of
// picture and sound waits for, and what has come since the recording looked last.
func TestOnTheDisk_C400(t *testing.T) {
	sent := encode(t, 10, "160x90", 48000).frames
	for _, format := range formats {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Format, c.Cut = format, 4*time.Second })
			p := r.publish("live/cam")
			begin, next, pictures, most := time.Now(), time.Duration(0), 0, 0
			for i := range sent {
				f := sent[i]
				time.Sleep(time.Until(begin.Add(f.DTS)))
				if err := p.Write(&f); err != nil {
					t.Fatal(err)
				}
				if f.Kind == av.Video && f.Type == av.Media {
					pictures++
				}
				if f.DTS < next {
					continue
				}
				next += 100 * time.Millisecond
				synctest.Wait() // a file may be about to be renamed
				kept := 0
				for _, name := range files(t, r.dir) {
					kept += len(packets(t, filepath.Join(r.dir, name), "v"))
				}
				most = max(most, pictures-kept)
			}
			const fragment, waits = 25, 13 // pictures of the first; of what the order and the rests may take: half a second
			if t.Log(fmt.Sprint(format, ": at most ", most, " pictures are not on the disk")); most > fragment+waits || most < 5 {
				t.Errorf("%s: %d pictures are not on the disk", format, most)
			}
			p.Close(stream.ErrClosed)
			r.end()
		})
	}
}
