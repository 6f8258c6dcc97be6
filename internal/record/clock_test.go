package record

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"weir/av"
	"weir/internal/event"
)

// wallClock moves the host's clock against the hub's, which never jumps.
type wallClock struct{ by atomic.Int64 }

func (c *wallClock) jump(by time.Duration) { c.by.Add(int64(by)) }

// option has a recording see the jumps.
func (c *wallClock) option(o *Options) {
	now := o.Now
	o.Now = func() time.Duration { return now() - time.Duration(c.by.Load()) }
}

// TestWallClock (C-418, P7): the host's clock may jump while a file is written: it is not cut, files follow one another by the stream's time,
// also in the index, and each has a name of its own.
func TestWallClock_C418_P7(t *testing.T) {
	for name, jump := range map[string]time.Duration{"an hour back": -time.Hour, "a day on": 24 * time.Hour, "smeared": -500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			host := &wallClock{}
			c := &catalog{}
			r := newRig(t, func(c *Config) { c.Cut = 4 * time.Second }, host.option, func(o *Options) { o.Catalog = c })
			sent := encode(t, 10, "320x180", 48000)
			p := r.publish("live/cam")
			half := slices.IndexFunc(sent.frames, func(f av.Frame) bool { return f.DTS > 5*time.Second })
			r.send(p, sent.frames[:half], 0, time.Second)
			r.wait(event.RecordingStart, 1)
			host.jump(jump)
			r.send(p, sent.frames[half:], 0, time.Second)
			names := r.whole()
			if len(names) != 3 {
				t.Fatalf("%v", names)
			}
			same(t, sent, "v", names...)
			same(t, sent, "a", names...)
			var list []File
			for i, what := range c.told {
				if what == "done" {
					list = append(list, c.list[i])
				}
			}
			for i := 1; i < len(list); i++ {
				if d := list[i].Start.Sub(list[i-1].Start) - 4*time.Second; d.Abs() > 50*time.Millisecond || list[i].Take != list[0].Take {
					t.Errorf("%v and %v: a file begins %v off", list[i-1].Start, list[i].Start, d)
				}
			}
		})
	}
	// When summer time ends the same local time comes again an hour later.
	t.Run("names of the hour that comes twice", func(t *testing.T) {
		zone, err := time.LoadLocation("Europe/Berlin")
		if err != nil {
			t.Fatal(err)
		}
		local := time.Local
		time.Local = zone //nolint:gosmopolitan // what local names go by is tested
		defer func() { time.Local = local }()
		host := &wallClock{}
		r := newRig(t, func(c *Config) { c.Time, c.File = "local", "{year}{month}{day}-{hour}{minute}" }, host.option)
		sent := encode(t, 2, "320x180", 48000)
		p := r.publish("live/cam")
		summer := time.Date(2026, 10, 25, 0, 30, 20, 0, time.UTC) // 02:30:20 in Berlin
		host.jump(time.Until(summer))
		r.send(p, sent.frames, 0, r.hub.Now())
		r.wait(event.RecordingStart, 1)
		begun := r.hub.Now()
		host.jump(time.Hour - 12*time.Second) // it is 02:30 again when the publisher has been away for 10 s
		r.send(p, sent.frames, 12*time.Second, begun)
		r.end()
		if got := files(t, r.dir); !slices.Equal(got, []string{"20261025-0230-2.mp4", "20261025-0230.mp4"}) {
			t.Errorf("%v", got)
		}
	})
}
