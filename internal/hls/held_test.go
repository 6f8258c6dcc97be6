package hls

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/format/m3u8"
	"weir/internal/stream"
)

// live returns a rig that has been packaging for a while, and where its main playlist ends: the
// number of the open segment and how many parts it has.
func live(t *testing.T, w what, set Settings) (r *rig, main *Rendition, number uint64, parts int) {
	t.Helper()
	r = newRig(t, set, stream.Default())
	r.publish(w)
	r.send(w, 4100*time.Millisecond, nil)
	r.open()
	r.send(w, 30*time.Second+500*time.Millisecond, r.check)
	main = r.p.Rendition("main")
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	s := main.openSegment()
	if s == nil || len(s.parts) == 0 {
		t.Fatal("no segment is open")
	}
	return r, main, s.number, len(s.parts)
}

var steady = what{fps: 25, gop: 2 * time.Second, audio: 1}

// TestC223_FarNumbers: what is further than the next two segments, or than three seconds of parts, is
// refused at once; what is nearer is waited for.
func TestC223_FarNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, main, open, parts := live(t, steady, Default())
		last := open - 1 // the last whole segment
		for _, c := range []struct {
			name string
			at   Position
			want error
		}{
			{"C-223 last+3", Position{last + 3, -1}, ErrFar},
			{"last+3, its first part", Position{last + 3, 0}, ErrFar},
			{"the largest number", Position{1<<63 - 1, -1}, ErrFar},
			{"last+2", Position{last + 2, -1}, ErrNothing},
			{"last+1", Position{open, -1}, ErrNothing},
			{"the next part", Position{open, parts}, ErrNothing},
			{"three seconds of parts", Position{open, parts + 14}, ErrNothing},
			{"more than those", Position{open, parts + 15}, ErrFar},
			{"last", Position{last, -1}, nil},
			{"the newest part", Position{open, parts - 1}, nil},
			{"long ago", Position{0, 0}, nil},
			{"behind a segment's last part", Position{last, 1000}, nil},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := main.Wait(ctx, c.at); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
		}
	})
}

// TestC224_WaitersLeave: ten thousand requests wait for a part that does not come. When their peers
// are gone nothing waits any longer.
func TestC224_WaitersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, main, open, parts := live(t, steady, Default())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var left atomic.Int32
		for range 10000 {
			wg.Go(func() {
				if err := main.Wait(ctx, Position{open, parts}); !errors.Is(err, ErrNothing) {
					t.Error(err)
				}
				left.Add(1)
			})
		}
		synctest.Wait()
		if n := left.Load(); n != 0 {
			t.Errorf("%d did not wait", n)
		}
		begun := time.Now()
		cancel()
		wg.Wait()
		if d := time.Since(begun); d != 0 {
			t.Errorf("they left after %v", d)
		}
	})
}

// TestC225_PublisherStops: who waits when the publisher stops is answered when the stream has
// ended, with EXT-X-ENDLIST, or at the latest when its own time is over.
func TestC225_PublisherStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, main, open, parts := live(t, steady, Default())
		r.pub.Close(nil)
		begun := time.Now()
		if err := main.Wait(t.Context(), Position{open + 1, 3}); !errors.Is(err, ErrNothing) {
			t.Error(err)
		}
		if d := time.Since(begun); d != 3*2*time.Second {
			t.Errorf("held for %v", d)
		}
		for range 3 { // until the grace is over
			if err := main.Wait(t.Context(), Position{open + 1, parts}); err != nil && !errors.Is(err, ErrNothing) {
				t.Error(err)
			}
		}
		text, err := main.Playlist(Whole)
		if err != nil || !text.Ended {
			t.Errorf("%v\n%s", err, text.Plain)
		}
		r.check()
	})
}

// TestC226_DeltaUpdates: a delta update leaves out what lies before the skip boundary, and
// together with the playlist before it is the whole one; where there is nothing to leave out it is
// whole.
func TestC226_DeltaUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := Default()
		set.Window = 20
		r, main, _, _ := live(t, steady, set)
		parse := func(skip Skip) *m3u8.Media {
			text, err := main.Playlist(skip)
			if err != nil {
				t.Fatal(err)
			}
			p, err := m3u8.ParseMedia(text.Plain)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		before := parse(Whole)
		r.send(steady, 400*time.Millisecond, r.check)
		whole := parse(Whole)
		for name, skip := range map[string]Skip{"YES": SkipSegments, "v2": SkipDateRanges} {
			delta := parse(skip)
			if delta.Skip == nil || delta.Skip.Segments == 0 || len(delta.Segments) >= len(whole.Segments) {
				t.Fatalf("%s: %s", name, delta.Append(nil))
			}
			full, err := delta.Complete(before)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(full.Segments) != len(whole.Segments) || full.MediaSequence != whole.MediaSequence {
				t.Errorf("%s: %d segments from %d, want %d from %d", name, len(full.Segments), full.MediaSequence, len(whole.Segments), whole.MediaSequence)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		r.publish(steady)
		r.send(steady, 4100*time.Millisecond, nil)
		r.open()
		r.send(steady, 4*time.Second, r.check)
		young := r.p.Rendition("main")
		text, err := young.Playlist(SkipSegments)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := m3u8.ParseMedia(text.Plain); err != nil || p.Skip != nil {
			t.Errorf("a short playlist is not whole: %v\n%s", err, text.Plain)
		}
	})
}

// TestC231_BadDisk: where segments cannot be written they stay in memory, and it is told once.
func TestC231_BadDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := Default()
		set.Directory = "/dev/null/hls" // no directory can be made there
		r, _, _, _ := live(t, steady, set)
		r.send(steady, 10*time.Second, r.check)
		if n := len(durations(r.main())); n != set.Window {
			t.Errorf("%d segments", n)
		}
		told := 0
		for _, w := range r.warnings {
			if strings.Contains(w, "stay in memory") {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told %d times: %q", told, r.warnings)
		}
	})
}

// TestEndedIsForgotten: what has ended is not kept for somebody who asks for it again and again.
func TestEndedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _, _ := live(t, steady, Default())
		r.pub.Close(nil)
		time.Sleep(time.Minute)
		if !r.p.Ended() || r.set.Get(r.p.ID(), "live/a") == nil {
			t.Fatal("it has not ended, or is gone at once")
		}
		for range 60 {
			time.Sleep(10 * time.Second)
			r.set.Get(r.p.ID(), "live/a")
		}
		if r.set.Get(r.p.ID(), "live/a") != nil {
			t.Error("it is kept for who asks for it")
		}
	})
}
