package record

import (
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// TestMemoryOfHours: a recording of one file takes no more memory after hours than after ten minutes, and none is left once it has ended.
func TestMemoryOfHours(t *testing.T) {
	long := 2 * time.Hour
	switch {
	case os.Getenv("WEIR_TEST_LARGE") != "": // make test-large
		long = 24 * time.Hour
	case testing.Short(): // with the race detector
		long = 30 * time.Minute
	}
	all := encode(t, 8, "160x90", 48000).frames
	var sent []av.Frame // of a second: five small pictures, and the sound beside each
	for i := range all {
		if f := &all[i]; f.DTS < time.Second && (f.Type == av.Config || f.Type == av.Media && i%4 == 0 || f.Kind == av.Video && f.IsKey()) {
			x := *f
			if x.PTS = x.DTS; x.Type == av.Media {
				x.Payload = x.Payload[:min(len(x.Payload), 400)]
			}
			sent = append(sent, x)
		}
	}
	for _, format := range formats {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Format, c.Sync = format, "close" })
			r.maxLag = time.Minute
			p := r.publish("live/cam")
			heap := func() int64 {
				synctest.Wait()
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return int64(m.HeapAlloc)
			}
			var early int64
			for at := time.Duration(0); at < long; at += time.Second {
				again := append([]av.Frame(nil), sent...)
				for k := range again {
					again[k].DTS, again[k].PTS = again[k].DTS+at, again[k].PTS+at
				}
				begin := time.Now()
				r.send(p, again, 0, 0)
				time.Sleep(time.Until(begin.Add(time.Second)))
				if at == 10*time.Minute {
					early = heap()
				}
			}
			late := heap()
			p.Close(stream.ErrClosed)
			names := r.whole()
			if len(names) != 1 {
				t.Fatalf("%v", names)
			}
			if more := late - early; more > 64<<10 {
				t.Errorf("%s: %d KiB more after %v than after ten minutes", format, more>>10, long)
			} else {
				t.Logf("%s: %d KiB more after %v than after ten minutes, of %d KiB", format, more>>10, long, early>>10)
			}
			if d := probed(t, names[0]); d < long.Seconds()-2 {
				t.Errorf("%s: it lasts %v s", format, d)
			}
		})
	}
}
