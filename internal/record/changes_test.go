package record

import (
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// TestChangesAreBounded: a publisher that changes its codec configuration all the time makes few files; what is in none is counted, and told once. What it
// sends once it has settled is recorded.
func TestChangesAreBounded(t *testing.T) {
	kinds := [][]av.Frame{encode(t, 2, "320x180", 48000).frames, encode(t, 2, "160x90", 48000).frames}
	for i := range kinds {
		kinds[i] = slices.DeleteFunc(slices.Clone(kinds[i]), func(f av.Frame) bool { return f.Kind != av.Video })
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		p := r.publish("live/cam")
		sent := 0
		at := time.Duration(0)
		send := func(frames []av.Frame, n int) { // each picture 40 ms after the other
			for _, f := range frames {
				if f.Type == av.Media {
					if n--; n < 0 {
						return
					}
					time.Sleep(40 * time.Millisecond)
					at += 40 * time.Millisecond
					sent++
				}
				f.DTS, f.PTS = at, at
				if err := p.Write(&f); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range 25 * 20 {
			send(kinds[i%2], 1)
		}
		for range 10 {
			send(kinds[1], 50)
		}
		synctest.Wait()
		list, err := r.m.List("live/cam")
		if err != nil {
			t.Fatal(err)
		}
		p.Close(stream.ErrClosed)
		names := r.whole()
		if n := len(names); n < maxChanges || n > maxChanges+20/5+2 {
			t.Errorf("%d files", n)
		}
		kept := 0
		for _, name := range names {
			kept += len(packets(t, name, "v"))
		}
		if kept+int(list[0].Dropped) != sent {
			t.Errorf("%d pictures of %d are in files, and %d were counted", kept, sent, list[0].Dropped)
		}
		if n := len(packets(t, names[len(names)-1], "v")); n < 350 {
			t.Errorf("%s has %d pictures", filepath.Base(names[len(names)-1]), n)
		}
		if n := r.logged("changes its codecs"); n != 1 {
			t.Errorf("it was told %d times", n)
		}
	})
}
