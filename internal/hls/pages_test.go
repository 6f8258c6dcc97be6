package hls

import (
	"bytes"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/stream"
)

// TestStore: a segment has the same bytes wherever its parts are, and as few pieces as may be.
func TestStore(t *testing.T) {
	for name, c := range map[string]struct {
		lender *pages
		fails  int // the part that the kernel has no room for, -1 for none
		pieces int
	}{
		"our own memory": {nil, -1, 4},
		"none left":      {&pages{}, -1, 4},
		"in memory":      {&pages{most: 1}, -1, 1},
		"full meanwhile": {&pages{most: 1}, 2, 3},
	} {
		if c.lender != nil && c.lender.most > 0 && runtime.GOOS != "linux" {
			continue
		}
		s := &segment{}
		var want []byte
		for i := range 4 {
			b := bytes.Repeat([]byte{'a' + byte(i)}, 1000*(i+1))
			want = append(want, b...)
			pages := s.pages
			if i == c.fails {
				s.pages = nil
			}
			s.parts = append(s.parts, &part{data: s.store(b, c.lender)})
			if i == c.fails {
				s.pages = pages
			}
			s.size += len(b)
		}
		if got := s.pieces(); len(got) != c.pieces || !bytes.Equal(bytesOf(t, got), want) {
			t.Errorf("%s: %d pieces, want %d, the same bytes: %v", name, len(got), c.pieces, bytes.Equal(bytesOf(t, got), want))
		}
		if !s.isStored() {
			t.Error(name, "is not stored")
		}
	}
}

// TestHeld: what segments take in memory is known, and bounded by what is listed and a little
// more; with a directory it is less, and after the end nothing.
func TestHeld(t *testing.T) {
	held := map[string]int64{}
	for _, dir := range []string{"", t.TempDir()} {
		set := Default()
		set.Window, set.Directory = 20, dir
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, set, stream.Default())
			w := what{fps: 25, gop: 2 * time.Second, audio: 1}
			r.publish(w)
			r.send(w, 4100*time.Millisecond, nil)
			r.open()
			r.send(w, 60*time.Second, r.check)
			size := int64(0)
			for _, s := range r.p.Rendition("main").segments {
				size += int64(s.size)
			}
			held[dir] = r.set.Memory()
			if dir == "" && held[dir] != size {
				t.Errorf("%d bytes are held, segments have %d", held[dir], size)
			}
			r.set.Close()
			if n := r.set.Memory(); n != 0 {
				t.Errorf("%d bytes are held at the end", n)
			}
		})
		if dir != "" && held[dir] > held[""]/2 {
			t.Errorf("%d bytes are held with a directory, %d without", held[dir], held[""])
		}
	}
}
