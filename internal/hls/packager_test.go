package hls

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/format/m3u8"
	"weir/internal/stream"
)

// TestC227_C228_KeyFrameIntervals packages streams of many frame rates and key-frame
// intervals. Every playlist, after every frame, is held to the rules: EXTINF rounds to no
// more than the target, which is constant, and parts are no longer than theirs and at
// least 85 % of it.
func TestC227_C228_KeyFrameIntervals(t *testing.T) {
	alone(t)
	irregular := []time.Duration{700 * time.Millisecond, 2 * time.Second, 1300 * time.Millisecond, 4 * time.Second, 400 * time.Millisecond}
	for _, container := range []Container{FMP4, TS} {
		for name, c := range map[string]struct {
			what
			target   int
			segments string // the playlist's first at the end
		}{
			"C-227 0.5 s":     {what{fps: 25, gop: 500 * time.Millisecond, audio: 1}, 2, "2s 2s 2s"},
			"C-227 2 s":       {what{fps: 30, gop: 2 * time.Second, audio: 1}, 2, "2s 2s 2s"},
			"C-227 12 s":      {what{fps: 25, gop: 12 * time.Second, audio: 1}, 10, ""},
			"C-227 irregular": {what{fps: 25, gops: irregular, audio: 1}, 3, ""},
			"29.97":           {what{fps: 30000.0 / 1001, gop: 2002 * time.Millisecond, audio: 1}, 2, "2.002s"},
			"24":              {what{fps: 24, gop: 2 * time.Second}, 2, "2s 2s"},
			"60":              {what{fps: 60, gop: time.Second, audio: 1}, 2, "2s 2s"},
			"3 a second":      {what{fps: 3, gop: 2 * time.Second, audio: 1}, 2, "2s 2s"},
			"C-158 audio":     {what{audio: 1}, 2, "1.98"},
			"several audio":   {what{fps: 25, gop: 2 * time.Second, audio: 3}, 2, "2s 2s"},
		} {
			for _, low := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s container=%d low=%v", name, container, low), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						set := Default()
						set.Container, set.LowLatency = container, low
						r := newRig(t, set, stream.Default())
						r.publish(c.what)
						first, length := 4*time.Second, 20*time.Second
						if c.target > 2 {
							first, length = 100*time.Millisecond, 60*time.Second
						}
						r.send(c.what, first, nil)
						r.open()
						r.send(c.what, length, r.check)
						p := r.main()
						if p.TargetDuration != c.target {
							t.Errorf("target %d, want %d", p.TargetDuration, c.target)
						}
						if got := strings.Join(durations(p), " "); !strings.HasPrefix(got, c.segments) {
							t.Errorf("segments of %s", got)
						}
						if (p.PartTarget > 0) != low || p.PartTarget > 200*time.Millisecond && c.fps > 5 {
							t.Error("part target", p.PartTarget)
						}
						if n := len(durations(p)); n != 7 {
							t.Errorf("%d whole segments", n)
						}
						if c.audio == 3 && len(r.last) != 4 {
							t.Errorf("playlists %d", len(r.last))
						}
						m, err := r.p.Multivariant(func(n string) string { return n + "?v=1" })
						if err != nil {
							t.Fatal(err)
						}
						multi, err := m3u8.ParseMultivariant(m)
						if err != nil {
							t.Fatal(err)
						}
						if err := multi.Validate(); err != nil {
							t.Errorf("%v\n%s", err, m)
						}
						if v := multi.Variants[0]; c.fps > 0 && (v.FrameRate < c.fps*0.98 || v.FrameRate > c.fps*1.02) {
							t.Errorf("frame rate %v", v.FrameRate)
						}
					})
				})
			}
		}
	}
}

// TestTargetKnowsThePast: of a stream that was live before somebody asked for HLS, the longest group of
// pictures so far tells the target, so that no segment has to be cut without a key frame.
func TestTargetKnowsThePast(t *testing.T) {
	alone(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		w := what{fps: 25, audio: 1, gops: []time.Duration{700 * time.Millisecond, 2 * time.Second, 5 * time.Second, 1300 * time.Millisecond}}
		r.publish(w)
		r.send(w, 9500*time.Millisecond, nil)
		r.open()
		r.send(w, time.Minute, r.check)
		if p := r.main(); p.TargetDuration != 5 || !p.IndependentSegments || len(r.warnings) > 0 {
			t.Errorf("target %d, independent segments %v, %q", p.TargetDuration, p.IndependentSegments, r.warnings)
		}
	})
}

// TestPartIsThereInTime: a part is there as soon as the frame after its last one is.
func TestPartIsThereInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		w := what{fps: 25, gop: 2 * time.Second, audio: 1}
		r.publish(w)
		r.send(w, 2100*time.Millisecond, nil)
		r.open()
		late := time.Duration(0)
		r.send(w, 10*time.Second, func() {
			r.check()
			main := r.p.Rendition("main")
			r.p.mu.Lock()
			defer r.p.mu.Unlock()
			if n := len(main.open); n > 0 {
				late = max(late, main.open[n-1].at-main.open[0].at)
			}
		})
		if p := r.main(); late >= p.PartTarget {
			t.Errorf("%v wait for a part of %v", late, p.PartTarget)
		}
	})
}

// TestC229_Republish has the publisher return three times.
func TestC229_Republish(t *testing.T) {
	for _, container := range []Container{FMP4, TS} {
		synctest.Test(t, func(t *testing.T) {
			set := Default()
			set.Container = container
			r := newRig(t, set, stream.Default())
			w := what{fps: 25, gop: 2 * time.Second, audio: 1}
			r.publish(w)
			r.send(w, 4100*time.Millisecond, nil)
			r.open()
			jumps := map[uint64]bool{}
			each := func() {
				r.check()
				if p := r.last["main"]; p != nil {
					for i := range p.Segments {
						if p.Segments[i].Discontinuity {
							jumps[p.MediaSequence+uint64(i)] = true
						}
					}
				}
			}
			for i := range 4 {
				r.send(w, 9*time.Second, each)
				if i == 3 {
					break
				}
				r.pub.Close(nil)
				time.Sleep(3 * time.Second)
				w.from = 0
				r.publish(w)
			}
			if len(jumps) != 3 {
				t.Errorf("discontinuities at %v", jumps)
			}
			if p := r.main(); p.DiscontinuitySequence == 0 || p.EndList {
				t.Errorf("%s", p.Append(nil))
			}
			r.pub.Close(nil)
			time.Sleep(10 * time.Second) // within grace
			r.check()
			if r.main().EndList {
				t.Error("it ended although the publisher may return")
			}
			time.Sleep(10 * time.Second)
			r.check()
			if p := r.main(); !p.EndList || len(p.PreloadHints) > 0 {
				t.Errorf("%s", p.Append(nil))
			}
			time.Sleep(90 * time.Second)
			if r.set.Get(r.p.ID(), "live/a") == nil {
				t.Error("what has ended was forgotten at once")
			}
			time.Sleep(4 * time.Minute)
			if r.set.Get(r.p.ID(), "live/a") != nil {
				t.Error("what has ended is kept for ever")
			}
		})
	}
}

// TestIdle: a packager stops after a minute without requests, and goes on with numbers, names and
// target when there is one.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		w := what{fps: 25, gop: 2 * time.Second, audio: 1}
		r.publish(w)
		r.send(w, 4100*time.Millisecond, nil)
		r.open()
		r.send(w, 20*time.Second, r.check)
		before := r.main()
		r.send(w, 65*time.Second, nil)
		if r.isRunning() || !r.p.isEmpty() {
			t.Error("it runs on for nobody")
		}
		id := r.p.ID()
		if r.p = r.set.Get(id, "live/a"); r.p == nil || r.set.Get(id, "live/b") != nil {
			t.Fatal("it cannot be found")
		}
		clear(r.history) // nobody has seen the last playlist for a minute
		clear(r.last)
		r.send(w, 20*time.Second, r.check)
		if p := r.main(); p.MediaSequence <= before.MediaSequence || p.TargetDuration != before.TargetDuration || p.DiscontinuitySequence != 1 {
			t.Errorf("%s\nbefore:\n%s", p.Append(nil), before.Append(nil))
		}
	})
}

// TestC161_ConfigurationChange changes the picture's size in mid-stream.
func TestC161_ConfigurationChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		w := what{fps: 25, gop: 2 * time.Second, audio: 1}
		r.publish(w)
		r.send(w, 4100*time.Millisecond, nil)
		r.open()
		r.send(w, 8*time.Second, r.check)
		r.conf, r.key = read(t, "h264-main-1080i.config"), read(t, "h264-main-1080i.key")
		f := r.frames(w, time.Millisecond)[0]
		f.Payload, f.Type, f.DTS, f.PTS = r.conf, 1, r.at, r.at
		r.write(&f)
		r.send(w, 8*time.Second, r.check)
		p := r.main()
		maps, jumps := 0, 0
		for i := range p.Segments {
			if p.Segments[i].Map != nil {
				maps++
			}
			if p.Segments[i].Discontinuity {
				jumps++
			}
		}
		if maps != 2 || jumps != 1 {
			t.Errorf("%s", p.Append(nil))
		}
	})
}

// TestClocks holds the packager to the rules while the publisher's clock misbehaves.
func TestClocks(t *testing.T) {
	alone(t)
	normal := what{fps: 25, gop: 2 * time.Second, audio: 1}
	for name, c := range map[string]struct {
		what
		jump time.Duration
	}{
		"C-185 wrap":           {what: what{from: (1<<32 - 10000) * time.Millisecond}},
		"C-188 an hour ahead":  {jump: time.Hour},
		"C-188 an hour back":   {jump: -time.Hour, what: what{from: 2 * time.Hour}},
		"C-189 a little back":  {jump: -200 * time.Millisecond},
		"C-192 begins far off": {what: what{from: 3000000 * time.Second}},
		"C-191 all 0":          {what: what{still: true}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := normal
				w.from, w.still = c.from, c.still
				r := newRig(t, Default(), stream.Default())
				r.publish(w)
				r.send(w, 2100*time.Millisecond, nil)
				r.open()
				r.send(w, 15*time.Second, r.check)
				r.at += c.jump
				r.send(w, 15*time.Second, r.check)
				if n := len(durations(r.main())); n < 4 {
					t.Errorf("%d segments: %q", n, r.warnings)
				}
			})
		})
	}
}

// TestNoKeyFrames: there is no playlist, and the reason is told.
func TestNoKeyFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		w := what{fps: 25, gop: time.Hour, noKey: true, audio: 1}
		r.publish(w)
		r.send(w, 40*time.Second, nil)
		r.open()
		r.send(w, 10*time.Second, r.check)
		ctx, cancel := contextWithTimeout(t, time.Second)
		defer cancel()
		for range 2 {
			if err := r.p.Ready(ctx); err != ErrNoKeyFrames {
				t.Error(err)
			}
		}
		if len(r.warnings) != 1 || !strings.Contains(r.warnings[0], "key-frame interval") {
			t.Errorf("%q", r.warnings)
		}
	})
}

// TestFirstNumber: hls.js loads the parts of a segment with the number 0 again and again.
func TestFirstNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		w := what{fps: 25, gop: time.Second}
		r.publish(w)
		r.send(w, 4100*time.Millisecond, nil)
		r.open()
		r.send(w, 4*time.Second, r.check)
		if p := r.main(); p.MediaSequence != 1 || p.DiscontinuitySequence != 0 || p.Segments[0].Discontinuity {
			t.Errorf("%+v", p)
		}
	})
}

// TestC232_SystemClockLeaps: dates are of one reading of the machine's clock.
func TestC232_Dates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		w := what{fps: 25, gop: 2 * time.Second}
		r.publish(w)
		begin := time.Now()
		r.send(w, 4100*time.Millisecond, nil)
		r.open()
		r.send(w, 10*time.Second, r.check)
		p := r.main()
		for i := range p.Segments {
			at := p.Segments[i].ProgramDateTime.Sub(begin)
			if off := at - time.Duration(int(p.MediaSequence)+i+1)*2*time.Second; off.Abs() > 150*time.Millisecond {
				t.Errorf("segment %d is dated %v", i, at)
			}
		}
	})
}
