//go:build unix

package record

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"weir/av"
	"weir/internal/event"
	"weir/internal/stream"
)

// BenchmarkRecordings records 200 streams of 2.5 Mbit/s at once, in real time for ten seconds, and reports the CPU that takes beyond that of the
// streams, the memory of each recording, and the frames that are in no file.
func BenchmarkRecordings(b *testing.B) {
	const streams, seconds = 200, 10
	sent := encode(b, 2, "320x180", 48000)
	const size = 12500 // of a picture: 25 a second are 2.5 Mbit/s
	for i := range sent.frames {
		if f := &sent.frames[i]; f.Kind == av.Video && f.Type == av.Media && len(f.Payload) < size-8 {
			f.Payload = padded(f.Payload, size-len(f.Payload))
		}
	}
	run := func(start string) (cpu time.Duration, heap uint64, r *rig) {
		r = newRig(b, func(c *Config) { c.Start, c.Sync = start, "close" })
		var pubs []*stream.Publisher
		for i := range streams {
			pubs = append(pubs, r.publish(fmt.Sprint("live/", i)))
		}
		var before, after syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
		begin := time.Now()
		for round := time.Duration(0); round < seconds*time.Second; round += 2 * time.Second {
			for i := range sent.frames {
				f := sent.frames[i]
				f.DTS, f.PTS = f.DTS+round, f.PTS+round
				time.Sleep(time.Until(begin.Add(f.DTS)))
				for _, p := range pubs {
					x := f
					_ = p.Write(&x)
				}
			}
		}
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		took := func(u *syscall.Rusage) time.Duration { return time.Duration(u.Utime.Nano() + u.Stime.Nano()) }
		return took(&after) - took(&before), m.HeapInuse + m.StackInuse, r
	}
	for b.Loop() {
		idle, without, r := run("manual")
		r.end()
		busy, with, r := run("auto")
		r.end()
		core, each := float64(busy-idle)/float64(seconds*time.Second)*100, (float64(with)-float64(without))/streams/1024
		b.ReportMetric(core, "%core")
		b.ReportMetric(each, "KiB/recording")
		b.ReportMetric(float64(r.dropped), "dropped")
		if core > 100 || each > 256 || r.dropped > 0 { // the limits of bench/RESULTS.md
			b.Errorf("%.1f %% of a core, %.0f KiB a recording, %d frames dropped", core, each, r.dropped)
		}
		if n := r.count(event.RecordingDone); n != streams {
			b.Errorf("%d files", n)
		}
	}
}
