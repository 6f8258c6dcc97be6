package hls

import (
	"bytes"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/stream"
)

func bytesOf(t *testing.T, pieces []Piece) (all []byte) {
	t.Helper()
	for _, p := range pieces {
		b, err := io.ReadAll(p.Reader())
		if err != nil {
			t.Error(err)
		}
		all = append(all, b...)
	}
	return all
}

// segmentBytes is what a viewer is sent of a segment; nil if there is none.
func segmentBytes(t *testing.T, p *Packager, n Name) (b []byte, onDisk bool) {
	t.Helper()
	m, err := p.Media(t.Context(), n)
	if err != nil {
		return nil, false
	}
	if m.File == "" {
		return bytesOf(t, m.Pieces), false
	}
	if b, err = os.ReadFile(m.File); err != nil {
		t.Error(err)
	}
	return b, true
}

// TestDisk: old segments are on disk alone, with the same bytes, and nothing is left there
// in the end.
func TestDisk(t *testing.T) {
	set := Default()
	set.Directory = t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, set, stream.Default())
		w := what{fps: 25, gop: 2 * time.Second, audio: 1}
		r.publish(w)
		r.send(w, 4100*time.Millisecond, nil)
		r.open()
		seen := map[string][]byte{}
		fromDisk := 0
		r.send(w, 60*time.Second, func() {
			r.check()
			if r.last["main"] == nil {
				return
			}
			for i := range r.last["main"].Segments {
				uri := r.last["main"].Segments[i].URI
				n, ok := ParseName(uri)
				if !ok {
					continue
				}
				b, onDisk := segmentBytes(t, r.p, n)
				if before, ok := seen[uri]; ok && !bytes.Equal(before, b) || len(b) == 0 {
					t.Fatalf("%s has %d bytes, had %d", uri, len(b), len(before))
				}
				seen[uri] = b
				if onDisk {
					fromDisk++
				}
			}
		})
		files, err := os.ReadDir(r.p.disk.dir)
		if err != nil || len(files) < set.Window || len(files) > 2*set.Window+4 {
			t.Errorf("%d files, %v", len(files), err)
		}
		if fromDisk == 0 {
			t.Error("everything stays in memory")
		}
		r.set.Close()
		if left, err := os.ReadDir(set.Directory); err != nil || len(left) > 0 {
			t.Errorf("left on disk: %v, %v", left, err)
		}
	})
}
