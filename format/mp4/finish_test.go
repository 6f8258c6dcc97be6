package mp4

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/av"
	"weir/format/fmp4"
)

// memory is a file in memory that fails from a call on.
type memory struct {
	b     []byte
	calls int // that change it, so far
	fail  int // the number of the first that fails; 0: none
	torn  bool
}

var errDisk = errors.New("the disk is gone")

func (m *memory) call() bool { m.calls++; return m.fail == 0 || m.calls < m.fail }

func (m *memory) ReadAt(b []byte, at int64) (int, error) { return bytes.NewReader(m.b).ReadAt(b, at) }

func (m *memory) WriteAt(b []byte, at int64) (int, error) {
	if !m.call() {
		if !m.torn || len(b) <= freeSize { // which is not torn
			return 0, errDisk
		}
		b = b[:len(b)/2]
	}
	if n := int(at) + len(b); n > len(m.b) {
		m.b = append(m.b, make([]byte, n-len(m.b))...)
	}
	copy(m.b[at:], b)
	if m.fail > 0 && m.calls >= m.fail {
		return len(b), errDisk
	}
	return len(b), nil
}

func (m *memory) Truncate(size int64) error {
	if !m.call() {
		return errDisk
	}
	m.b = m.b[:size]
	return nil
}

func (m *memory) Sync() error {
	if !m.call() {
		return errDisk
	}
	return nil
}

// TestFileInEachForm has ffprobe and ffmpeg read a file while it is written, with the moov box behind it, and finished: all
// have the frames that were sent, the length, and the same time between picture and sound.
func TestFileInEachForm(t *testing.T) {
	m := record(t)
	name := filepath.Join(t.TempDir(), "a.mp4")
	x := m.write(t, name)
	fragmented := read(t, name)
	between := &memory{b: slices.Clone(fragmented), fail: 3} // after the moov box and the first sync
	if err := Finish(between, int64(len(between.b))); !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	finished := &memory{b: slices.Clone(fragmented)}
	if err := Finish(finished, int64(len(finished.b))); err != nil {
		t.Fatal(err)
	}
	if finished.calls != 5 {
		t.Errorf("%d calls, not truncate, write, sync, write, sync", finished.calls)
	}
	index, err := ReadIndex(bytes.NewReader(fragmented), int64(len(fragmented)))
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string][2][]string{}
	for _, s := range []string{"0:v", "0:a"} {
		wanted[s] = [2][]string{hashes(t, m.file, s, false), hashes(t, m.file, s, true)}
	}
	for form, b := range map[string][]byte{"fragmented": fragmented, "between": between.b, "finished": finished.b} {
		t.Run(form, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "a.mp4")
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			p := probeStarts(t, name)
			late := 0.0 // by as much as the first picture is decoded before it is shown
			if form != "finished" {
				late = min(p.streams[0].firstShow, p.streams[1].firstShow)
			}
			if math.Abs(p.duration-late-x.Duration().Seconds()) > 0.001 || late > 0.1 || math.Abs(p.duration-late-6) > 0.1 {
				t.Errorf("it lasts %v s, and the muxer says %v", p.duration, x.Duration())
			}
			if offset := p.streams[0].firstShow - p.streams[1].firstShow; math.Abs(offset-m.offset()) > 0.001 {
				t.Errorf("the picture begins %.4f s after the sound, and at the publisher %.4f", offset, m.offset())
			}
			if p.streams[0].Rate != "30/1" || p.streams[0].Average != "30/1" {
				t.Errorf("frame rate %s, on average %s", p.streams[0].Rate, p.streams[0].Average)
			}
			for s, want := range wanted {
				for i, decoded := range []bool{false, true} {
					if got := hashes(t, name, s, decoded); len(got) == 0 || strings.Join(want[i], " ") != strings.Join(got, " ") {
						t.Errorf("%s, decoded %v: %d frames, want %d, or others", s, decoded, len(got), len(want[i]))
					}
				}
			}
			got, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(index, got); diff != "" {
				t.Error(diff)
			}
			again := &memory{b: slices.Clone(b)}
			if err := Finish(again, int64(len(b))); err != nil || !bytes.Equal(again.b, finished.b) {
				t.Errorf("finishing it gives another file, or %v", err)
			}
			if form == "finished" && again.calls > 0 {
				t.Error("a finished file was touched")
			}
		})
	}
	if index.Path != "live/cam" || index.Epoch != 77 || string(index.Note) != "note" || index.Start.Sub(start).Abs() > 2*time.Millisecond || len(index.Fragments) != len(m.pieces()) {
		t.Errorf("the index is %+v", index)
	}
	for i, f := range index.Fragments {
		if want := m.pieces()[i].frames[0].IsKey(); f.Key != want {
			t.Errorf("fragment %d: key %v", i, f.Key)
		}
	}
}

// TestFirstVersion: an index of the first version, which has no note, is read.
func TestFirstVersion(t *testing.T) {
	want := &Index{Path: "live/cam", Epoch: 77, Start: start, Init: []byte("init"), Fragments: []Fragment{{Time: time.Second, Duration: time.Second, Offset: 100, Size: 200, Key: true}}}
	b := appendIndex(nil, want)
	const behindPath = 8 + 16 + 1 + 8 + 8 + 2 + len("live/cam")
	b[8+16] = 1
	b = slices.Delete(b, behindPath, behindPath+2)
	b[3] = byte(len(b))
	got, err := readIndexBox(bytes.NewReader(b), fmp4.Box{Type: "uuid", Body: 8, End: int64(len(b))})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i := range len(b) - 8 { // cut off anywhere
		if _, err := readIndexBox(bytes.NewReader(b[:i+8]), fmp4.Box{Type: "uuid", Body: 8, End: int64(i + 8)}); !errors.Is(err, ErrForeign) {
			t.Fatalf("%d bytes: %v", i, err)
		}
	}
}

// offset is how long after the sound the picture begins.
func (m *media) offset() float64 {
	var first [2]float64
	seen := [2]bool{}
	for i := range m.frames {
		if f := &m.frames[i]; !seen[f.Kind] {
			seen[f.Kind], first[f.Kind] = true, f.PTS.Seconds()
		}
	}
	return first[0] - first[1]
}

// TestFinishInterrupted (C-401) breaks off finishing at each call, with nothing and with half of a write done: the file can be
// read then, a second try makes the same of it as an undisturbed one, and a third changes nothing.
func TestFinishInterrupted_C401(t *testing.T) {
	t.Run("moov behind", func(t *testing.T) { testInterrupted(t, 0) })
	t.Run("moov in front", func(t *testing.T) { testInterrupted(t, 64<<10) })
}

func testInterrupted(t *testing.T, reserve int) {
	m := record(t)
	m.reserve = reserve
	name := filepath.Join(t.TempDir(), "a.mp4")
	m.write(t, name)
	cut := append(read(t, name), "\x00\x01\x00\x00moof and a bit"...) // and a torn fragment
	whole := &memory{b: slices.Clone(cut)}
	if err := Finish(whole, int64(len(cut))); err != nil {
		t.Fatal(err)
	}
	want, err := ReadIndex(bytes.NewReader(whole.b), int64(len(whole.b)))
	if err != nil {
		t.Fatal(err)
	}
	for fail := 1; fail <= whole.calls; fail++ {
		for _, torn := range []bool{false, true} {
			t.Run(fmt.Sprint(fail, torn), func(t *testing.T) {
				f := &memory{b: slices.Clone(cut), fail: fail, torn: torn}
				if err := Finish(f, int64(len(cut))); !errors.Is(err, errDisk) {
					t.Fatal(err)
				}
				got, err := ReadIndex(bytes.NewReader(f.b), int64(len(f.b)))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
				if n := pictures(t, f.b); n != 180 {
					t.Errorf("%d pictures can be read", n)
				}
				f.fail, f.calls = 0, 0
				if err := Finish(f, int64(len(f.b))); err != nil || !bytes.Equal(f.b, whole.b) {
					t.Errorf("the second try: %v, or another file", err)
				}
				f.calls = 0
				if err := Finish(f, int64(len(f.b))); err != nil || f.calls > 0 {
					t.Errorf("the third try: %v, %d calls", err, f.calls)
				}
			})
		}
	}
}

// disk is a file in memory that remembers what was changed between two calls of Sync, for which a disk may choose any order.
type disk struct {
	memory
	epochs [][]func(b []byte) []byte
}

func (d *disk) changed(f func(b []byte) []byte) {
	d.epochs[len(d.epochs)-1] = append(d.epochs[len(d.epochs)-1], f)
	d.b = f(d.b)
}

func (d *disk) WriteAt(b []byte, at int64) (int, error) {
	b = slices.Clone(b)
	d.changed(func(file []byte) []byte {
		file = append(file, make([]byte, max(int(at)+len(b)-len(file), 0))...)
		copy(file[at:], b)
		return file
	})
	return len(b), nil
}

func (d *disk) Truncate(size int64) error {
	d.changed(func(file []byte) []byte {
		return append(file[:min(size, int64(len(file)))], make([]byte, max(size-int64(len(file)), 0))...)
	})
	return nil
}

func (d *disk) Sync() error {
	d.epochs = append(d.epochs, nil)
	return nil
}

// TestPowerCut_C401: whatever part of what was not yet forced to the disk is on it after a power cut, the file can be read, and is finished by
// another try.
func TestPowerCut_C401(t *testing.T) {
	for _, reserve := range []int{0, 64 << 10} {
		m := record(t)
		m.reserve = reserve
		name := filepath.Join(t.TempDir(), "a.mp4")
		m.write(t, name)
		before := append(read(t, name), "\x00\x01\x00\x00moof and a bit"...)
		d := &disk{memory: memory{b: slices.Clone(before)}, epochs: make([][]func([]byte) []byte, 1)}
		if err := Finish(d, int64(len(before))); err != nil {
			t.Fatal(err)
		}
		want, err := ReadIndex(bytes.NewReader(d.b), int64(len(d.b)))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(d.epochs); n < 3 || len(d.epochs[n-1]) > 0 {
			t.Errorf("%d times it is forced to the disk, the last change is not", n-1)
		}
		for _, epoch := range d.epochs {
			for some := range 1 << len(epoch) {
				b := slices.Clone(before)
				for i, f := range epoch {
					if some&(1<<i) != 0 {
						b = f(b)
					}
				}
				got, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
				if err != nil {
					t.Fatalf("%b of %d changes: %v", some, len(epoch), err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
				if n := pictures(t, b); n != 180 {
					t.Errorf("%b of %d changes: %d pictures", some, len(epoch), n)
				}
				again := &memory{b: b}
				if err := Finish(again, int64(len(b))); err != nil || !bytes.Equal(again.b, d.b) {
					t.Errorf("%b of %d changes: another try: %v, or another file", some, len(epoch), err)
				}
			}
			for _, f := range epoch {
				before = f(before)
			}
		}
	}
}

// pictures counts those that a reader finds.
func pictures(t *testing.T, b []byte) (n int) {
	t.Helper()
	r, err := fmp4.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind == av.Video && f.Type == av.Media {
			n++
		}
	}
}

// TestFaststart: with room in front the moov box of a finished file stands there, alone; players that cannot go back play it as it comes. What does not fit
// stays behind.
func TestFaststart(t *testing.T) {
	m := record(t)
	plain := filepath.Join(t.TempDir(), "plain.mp4")
	m.write(t, plain)
	f := &memory{b: read(t, plain)}
	if err := Finish(f, int64(len(f.b))); err != nil {
		t.Fatal(err)
	}
	h, err := readHead(f, int64(len(f.b)))
	if err != nil {
		t.Fatal(err)
	}
	box, err := fmp4.ReadBox(f, h.mdatEnd, int64(len(f.b)))
	if err != nil {
		t.Fatal(err)
	}
	size := int(box.End - box.Begin)
	for _, c := range []struct {
		reserve int
		front   bool
	}{{size, true}, {size + 17, true}, {size + 1, false}, {size + freeSize, false}, {size - 1, false}, {64 << 10, true}, {1023, false}, {100, false}} {
		t.Run(fmt.Sprint(c.reserve-size), func(t *testing.T) {
			m := record(t)
			m.reserve = c.reserve
			name := filepath.Join(t.TempDir(), "a.mp4")
			m.write(t, name)
			f := &memory{b: read(t, name)}
			before, err := ReadIndex(f, int64(len(f.b)))
			if err != nil {
				t.Fatal(err)
			}
			if err := Finish(f, int64(len(f.b))); err != nil {
				t.Fatal(err)
			}
			var boxes []string
			for at := int64(0); at < int64(len(f.b)); {
				b, err := fmp4.ReadBox(f, at, int64(len(f.b)))
				if err != nil {
					t.Fatal(err)
				}
				boxes, at = append(boxes, b.Type), b.End
			}
			boxes = slices.DeleteFunc(boxes, func(s string) bool { return s == "free" })
			want := []string{"ftyp", "mdat", "moov", "uuid"}
			if c.front {
				want = []string{"ftyp", "moov", "mdat", "uuid"}
			}
			if !slices.Equal(boxes, want) {
				t.Errorf("%v", boxes)
			}
			after, err := ReadIndex(f, int64(len(f.b)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Error(diff)
			}
			if n := pictures(t, f.b); n != 180 {
				t.Errorf("%d pictures", n)
			}
			if c.front {
				cmd := exec.Command("ffmpeg", "-v", "error", "-i", "pipe:0", "-map", "0:v", "-c", "copy", "-f", "framemd5", "-")
				cmd.Stdin = bytes.NewReader(f.b)
				out, err := cmd.Output()
				if n := strings.Count(string(out), "\n0,"); err != nil || n != 180 {
					t.Errorf("ffmpeg reads %d pictures from a pipe: %v", n, err)
				}
			}
		})
	}
}

// TestTornAnywhere cuts a file off at any byte: what is whole of it stays, and nothing else.
func TestTornAnywhere(t *testing.T) {
	m := record(t)
	name := filepath.Join(t.TempDir(), "a.mp4")
	m.write(t, name)
	b := read(t, name)
	index, err := ReadIndex(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	ends := []int64{}
	for _, f := range index.Fragments {
		ends = append(ends, f.Offset+f.Size)
	}
	for size := 0; size < len(b); size += 1 + size/97 {
		f := &memory{b: slices.Clone(b[:size])}
		err := Finish(f, int64(size))
		whole := 0
		for whole < len(ends) && ends[whole] <= int64(size) {
			whole++
		}
		if whole == 0 {
			if !errors.Is(err, ErrEmpty) {
				t.Fatalf("%d bytes: %v", size, err)
			}
			continue
		}
		got, indexErr := ReadIndex(bytes.NewReader(f.b), int64(len(f.b)))
		if err != nil || indexErr != nil || len(got.Fragments) != whole {
			t.Fatalf("%d bytes: %v, %v; want %d fragments", size, err, indexErr, whole)
		}
	}
}

// TestForeignFiles are refused, and left as they are.
func TestForeignFiles(t *testing.T) {
	m := record(t)
	other := filepath.Join(t.TempDir(), "other.mp4")
	run(t, "ffmpeg", "-nostdin", "-v", "error", "-i", m.file, "-c", "copy", "-movflags", "frag_keyframe+empty_moov", other)
	for _, b := range [][]byte{read(t, other), read(t, m.file), []byte("\x00\x00\x00\x08ftyp\x00\x00\x00\x08moov"), bytes.Repeat([]byte{0}, 100)} {
		f := &memory{b: slices.Clone(b)}
		if err := Finish(f, int64(len(b))); !errors.Is(err, ErrForeign) && !errors.Is(err, ErrEmpty) || f.calls > 0 {
			t.Errorf("%v, %d calls", err, f.calls)
		}
	}
}

// TestReadErrorsCutNothing: a disk that cannot be read is no torn file.
func TestReadErrorsCutNothing(t *testing.T) {
	m := record(t)
	name := filepath.Join(t.TempDir(), "a.mp4")
	m.write(t, name)
	f := &unreadable{memory{b: read(t, name)}, int64(len(read(t, name)) / 2)}
	if err := Finish(f, int64(len(f.b))); !errors.Is(err, errDisk) || f.calls > 0 {
		t.Errorf("%v, %d calls", err, f.calls)
	}
}

// unreadable cannot be read from a place on.
type unreadable struct {
	memory
	from int64
}

func (u *unreadable) ReadAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > u.from {
		return 0, errDisk
	}
	return u.memory.ReadAt(b, at)
}

// TestRangesOfFinishedFile (C-404): the fragments of a finished file, behind the initialization segment of its index, are decoded as
// what was sent.
func TestRangesOfFinishedFile_C404(t *testing.T) {
	m := record(t)
	name := filepath.Join(t.TempDir(), "a.mp4")
	m.write(t, name)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Recover(f); err != nil {
		t.Fatal(err)
	}
	info, _ := f.Stat()
	index, err := ReadIndex(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	ranges := bytes.Clone(index.Init)
	for _, x := range index.Fragments {
		b := make([]byte, x.Size)
		if _, err := io.ReadFull(io.NewSectionReader(f, x.Offset, x.Size), b); err != nil {
			t.Fatal(err)
		}
		ranges = append(ranges, b...)
	}
	joined := filepath.Join(t.TempDir(), "joined.mp4")
	if err := os.WriteFile(joined, ranges, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"0:v", "0:a"} {
		if want, got := hashes(t, m.file, s, true), hashes(t, joined, s, true); len(want) == 0 || strings.Join(want, " ") != strings.Join(got, " ") {
			t.Errorf("%s: %d frames, want %d, or others", s, len(got), len(want))
		}
	}
}

// TestMdatHead: a size that 32 bits can tell is told so, which leaves the other 8 bytes to the content; a larger one by 64 bits.
func TestMdatHead(t *testing.T) {
	for size, want := range map[int64]string{
		16: "\x00\x00\x00\x10mdat\x00\x00\x00\x00\x00\x00\x00\x00", 1<<32 - 1: "\xff\xff\xff\xffmdat\x00\x00\x00\x00\x00\x00\x00\x00",
		1 << 32: "\x00\x00\x00\x01mdat\x00\x00\x00\x01\x00\x00\x00\x00",
	} {
		if got := string(mdatHead(size)); got != want {
			t.Errorf("%d: %q", size, got)
		}
	}
}

// TestBeyond4GiB (C-403) has fragments on both sides of 4 GiB, in a file with a hole: its tables and its mdat box have 64 bits, and ffmpeg
// reads all of it.
func TestBeyond4GiB_C403(t *testing.T) {
	m := record(t)
	dir := t.TempDir()
	name := filepath.Join(dir, "a.mp4")
	x, err := NewMuxer(Head{Path: "live/cam", Start: start, Tracks: m.tracks})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := int64(0)
	for i, p := range m.pieces() {
		if i == 2 { // a free box of 4.5 GiB
			const hole = 9 << 29
			head := append([]byte{0, 0, 0, 1}, "free\x00\x00\x00\x01\x20\x00\x00\x00"...)
			if _, err := f.WriteAt(head, at); err != nil {
				t.Fatal(err)
			}
			at += hole
		}
		b, err := x.AppendFragment(nil, p.frames, p.end)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
		at += int64(len(b))
	}
	if err := Finish(f, at); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 128)
	if _, err := f.ReadAt(head, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(head, []byte("\x00\x00\x00\x01mdat\x00\x00\x00\x01")) {
		t.Errorf("the mdat box has no 64 bits: %q", head)
	}
	for _, s := range []string{"0:v", "0:a"} {
		if want, got := hashes(t, m.file, s, false), hashes(t, name, s, false); len(want) == 0 || strings.Join(want, " ") != strings.Join(got, " ") {
			t.Errorf("%s: %d packets, want %d, or others", s, len(got), len(want))
		}
	}
	// A seek goes beyond the hole.
	out := run(t, "ffprobe", "-v", "error", "-select_streams", "v", "-read_intervals", "4.5%+#1", "-show_entries", "packet=pts_time,pos", "-of", "csv=p=0", name)
	var pts float64
	var pos int64
	if _, err := fmt.Sscanf(strings.TrimSpace(out), "%f,%d", &pts, &pos); err != nil || pos < 9<<29 || math.Abs(pts-4) > 0.1 {
		t.Errorf("a seek to 4 s: %q, %v", out, err)
	}
}
