package flv

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// finished is a file with pictures at these times, of which every keyEvery-th is a key frame, that FinishFile has finished, with room for so many
// key frames. It returns what the file says of its length, and the times of its index in milliseconds.
func finished(t *testing.T, room, keyEvery int, times ...uint32) (length time.Duration, keys []uint32) {
	t.Helper()
	tags := []Tag{{Type: TagScript, Body: BuildFileMetadata(nil, room, "")}, {Type: TagVideo, Body: []byte{0x17, 0, 0, 0, 0, 1}}}
	for i, at := range times {
		body := []byte{0x27, 1, 0, 0, 0, 1}
		if i%keyEvery == 0 {
			body[0] = 0x17
		}
		tags = append(tags, Tag{Type: TagVideo, Timestamp: at, Body: body})
	}
	b := writeAll(tags)
	f, err := os.Create(filepath.Join(t.TempDir(), "a.flv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it can be called again
		if err := FinishFile(f, int64(len(b))); err != nil {
			t.Fatal(err)
		}
	}
	m, err := ReadFileMetadata(f, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	meta, _, err := readFileMetadata(f, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	facts, end, err := index(f, meta.end, int64(len(b)), room)
	if err != nil || end != int64(len(b)) {
		t.Fatal(end, err)
	}
	for _, k := range facts.keys {
		keys = append(keys, k.time)
	}
	return m.Duration, keys
}

// TestLengthOfShortFiles: the last picture lasts as long as the one before it, and a lone one as long as at 25 a second: no file has no length.
func TestLengthOfShortFiles(t *testing.T) {
	for _, c := range []struct {
		times []uint32
		want  time.Duration
	}{
		{[]uint32{0}, 40 * time.Millisecond},
		{[]uint32{0, 33}, 66 * time.Millisecond},
		{[]uint32{0, 33, 66}, 99 * time.Millisecond},
		{[]uint32{0, 1000}, 2 * time.Second},
		{[]uint32{0, 1001}, 2001 * time.Millisecond},
	} {
		if got, _ := finished(t, 10, 1, c.times...); got != c.want {
			t.Errorf("%v: %v instead of %v", c.times, got, c.want)
		}
	}
}

// TestIndexIsThinned: of more key frames than there is room for every second one is left out, and more if need be: those that stay are evenly far apart.
func TestIndexIsThinned(t *testing.T) {
	var times []uint32
	for i := range uint32(40) {
		times = append(times, 100*i)
	}
	for room, step := range map[int]uint32{42: 100, 40: 200, 22: 200, 20: 400, 7: 800} {
		_, keys := finished(t, room, 1, times...)
		if len(keys) > room || len(keys) < room/3 {
			t.Errorf("room for %d: %d are kept", room, len(keys))
		}
		for i, at := range keys[1:] { // behind the configuration
			if want := step * uint32(i); at != want {
				t.Errorf("room for %d: number %d is at %d instead of %d: %d", room, i, at, want, keys)
				break
			}
		}
	}
}

// TestBoundsOfAFile: an index has 3,000 key frames at most, and a note 4 KiB.
func TestBoundsOfAFile(t *testing.T) {
	most := len(BuildFileMetadata(nil, 3000, ""))
	if n := len(BuildFileMetadata(nil, 3001, "")); n != most || n > MaxMetadata || len(BuildFileMetadata(nil, 2999, "")) >= most {
		t.Errorf("%d bytes for 3,001, %d for 3,000", n, most)
	}
	for n, want := range map[int]bool{4096: true, 4097: false} {
		if note := []byte(strings.Repeat("n", n)); bytes.Contains(BuildFileMetadata(nil, 1, string(note)), note) != want {
			t.Errorf("a note of %d bytes", n)
		}
	}
}
