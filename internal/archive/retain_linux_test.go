package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/record"
	"weir/internal/stream"
)

// TestP13FullDisk: ten streams of 2.5 Mbit/s record for an hour into a file system of 1 GiB, in a file each minute: it is never full, only the
// oldest files go, and at the end there is as much as fits.
func TestP13FullDisk(t *testing.T) {
	if !large {
		t.Skip("it writes 11 GB: make test-large")
	}
	r := newRig(t, func(o *Options) { o.Space = nil })
	if err := syscall.Mount("weir-test", r.dir, "tmpfs", 0, "size=1g"); err != nil {
		t.Fatal("only root can mount a file system: run the tests as root:", err)
	}
	t.Cleanup(func() {
		r.close()
		must(t, syscall.Unmount(r.dir, 0))
	})
	const streams, minutes, perSecond = 10, 60, 2_500_000 / 8
	piece := make([]byte, 10*perSecond)
	for m := range minutes {
		var open [streams]*os.File
		var rows [streams]record.File
		for i := range open {
			f := r.file(fmt.Sprintf("live/%d", i), fmt.Sprintf("%d/%03d.mp4", i, m), time.Duration(m)*time.Minute, time.Minute)
			f.Keep, f.Bytes = record.Keep{Free: "10%"}, int64(6*len(piece))
			full := filepath.Join(r.dir, f.Name)
			must(t, os.MkdirAll(filepath.Dir(full), 0o755))
			must(t, r.Begun(f))
			var err error
			open[i], err = os.Create(full + partial)
			must(t, err)
			rows[i] = f
		}
		for range 6 { // ten seconds each: as often as is looked
			for _, f := range open {
				if _, err := f.Write(piece); errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("the disk was full in minute %d", m)
				} else {
					must(t, err)
				}
			}
			r.clean(t.Context())
		}
		for i, f := range open {
			must(t, f.Close())
			full := filepath.Join(r.dir, rows[i].Name)
			must(t, os.Rename(full+partial, full))
			must(t, r.Done(rows[i]))
		}
		r.clean(t.Context())
	}
	for i := range streams {
		names := r.left(fmt.Sprintf("live/%d", i))
		if len(names) < 3 || filepath.Base(names[len(names)-1]) != fmt.Sprintf("%03d.mp4", minutes-1) {
			t.Errorf("%v", names)
		}
		for k := 1; k < len(names); k++ { // nothing in between went
			var a, b int
			_, _ = fmt.Sscanf(filepath.Base(names[k-1]), "%d.mp4", &a)
			if _, _ = fmt.Sscanf(filepath.Base(names[k]), "%d.mp4", &b); b != a+1 {
				t.Errorf("%s is followed by %s", names[k-1], names[k])
			}
		}
	}
}

// TestP13RecordersOnASmallDisk: recordings of two streams in all formats go on on a disk that is full four times over: nothing is dropped and no file fails, only the
// oldest files go, what is left has no gap, and a player of the streams lacks nothing.
func TestP13RecordersOnASmallDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("weir-test", dir, "tmpfs", 0, "size=48m"); errors.Is(err, syscall.EPERM) {
		t.Skip("only root can mount a file system")
	} else {
		must(t, err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	sent, err := published()
	must(t, err)
	var config, picture av.Frame
	for i := range sent {
		switch f := &sent[i]; {
		case f.Kind == av.Video && f.Type == av.Config:
			config = *f
		case f.Kind == av.Video && f.IsKey() && picture.Payload == nil:
			picture = *f
		}
	}
	const size = 8 << 10
	filler := make([]byte, size) // a NAL unit that decoders pass over
	filler[2], filler[3], filler[4] = (size-4)>>8, (size-4)&255, 12
	picture.Payload = append(picture.Payload[:len(picture.Payload):len(picture.Payload)], filler...)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) {
			o.Space = nil
			o.Places = func() []Place {
				return []Place{{dir, func(string) (string, record.Keep, string) { return "main", record.Keep{}, "" }}}
			}
		})
		x := newRecorder(t, dir, r, func(c *record.Config) { c.Cut, c.MinFree, c.Keep = 20*time.Second, "1%", record.Keep{Free: "15%"} })
		const streams, minutes, rate = 2, 12, 5
		var pubs [streams]*stream.Publisher
		var players [streams]chan int
		for i := range pubs {
			path := fmt.Sprint("live/", i)
			p, err := x.hub.Publish(path, stream.Info{})
			must(t, err)
			pubs[i], players[i] = p, make(chan int, 1)
			player := x.hub.Get(path).Follow(stream.FollowOptions{From: stream.FromNext})
			go func(played chan<- int) {
				defer player.Close()
				for n := 0; ; n++ {
					e, err := player.Next(t.Context())
					if err != nil {
						played <- n
						return
					}
					if e.Type != av.Media {
						n--
					}
				}
			}(players[i])
			f := config
			must(t, p.Write(&f))
		}
		least, begin := int64(1<<40), time.Now()
		const pictures = minutes * 60 * rate
		for i := range time.Duration(pictures) {
			at := i * time.Second / rate
			time.Sleep(time.Until(begin.Add(at)))
			for _, p := range pubs {
				f := picture
				f.DTS, f.PTS = at, at
				must(t, p.Write(&f))
			}
			free, _, err := record.Room(dir)
			must(t, err)
			least = min(least, free)
		}
		time.Sleep(time.Second)
		for _, p := range pubs {
			p.Close(stream.ErrClosed)
		}
		x.close()
		for i, played := range players {
			if n := <-played; n != pictures {
				t.Errorf("a player of stream %d got %d pictures of %d", i, n, pictures)
			}
		}
		if x.dropped.Load() > 0 || x.failed.Load() > 0 || least < 48<<20/100 {
			t.Errorf("%d frames were dropped, %d files failed, %d KiB were free at least", x.dropped.Load(), x.failed.Load(), least>>10)
		}
		counts := map[string]uint64{}
		r.Removed(func(why string, n uint64) { counts[why] = n })
		if n := counts[ByFree]; n < 100 || n != counts[ByFree]+counts[ByAge]+counts[ByTotal] {
			t.Errorf("removed: %v", counts)
		}
		l, err := r.List(t.Context(), Query{})
		must(t, err)
		for _, s := range l.Spans {
			if missing := begin.Add(minutes * time.Minute).Sub(s.To); missing > time.Second || s.To.Sub(s.From) < time.Minute || len(s.Parts) < 3 {
				t.Errorf("%s of %s: from %v to %v in %d files", s.Recording, s.Stream, s.From.Sub(begin), s.To.Sub(begin), len(s.Parts))
			}
		}
		if len(l.Spans) != 3*streams || len(l.Gaps) != 0 {
			t.Errorf("%d spans, %d gaps", len(l.Spans), len(l.Gaps))
		}
	})
}
