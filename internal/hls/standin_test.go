package hls

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/format/fmp4"
	"weir/format/mpegts"
	"weir/internal/stream"
)

// follower keeps all segments of the main playlist as they come.
type follower struct {
	r     *rig
	bytes map[uint64][]byte
	init  []byte
	jumps map[uint64]bool
	first uint64
	last  uint64
	date  time.Time // of the first
	total time.Duration

	changed time.Time
	stalled time.Duration // the longest time without a change of the playlist
	text    *Text
}

func follow(r *rig) *follower {
	return &follower{r: r, bytes: map[uint64][]byte{}, jumps: map[uint64]bool{}, changed: time.Now()}
}

// check is called after every frame.
func (f *follower) check() {
	f.r.check()
	p := f.r.last["main"]
	if p == nil {
		return
	}
	if t := f.r.text["main"]; t != f.text {
		if f.text != nil {
			f.stalled = max(f.stalled, time.Since(f.changed))
		}
		f.text, f.changed = t, time.Now()
	}
	for i := range p.Segments {
		s := &p.Segments[i]
		if s.Map != nil && f.init == nil {
			f.init = f.get(s.Map.URI)
		}
		n := p.MediaSequence + uint64(i)
		if s.Discontinuity {
			f.jumps[n] = true
		}
		if !s.Whole() || f.bytes[n] != nil {
			continue
		}
		if len(f.bytes) == 0 {
			f.first, f.date = n, s.ProgramDateTime
		}
		if off := s.ProgramDateTime.Sub(f.date.Add(f.total)); off.Abs() > 50*time.Millisecond {
			f.r.t.Errorf("segment %d begins %v away from the end of the one before", n, off)
		}
		f.last = n
		f.total += s.Duration
		f.bytes[n] = f.get(s.URI)
	}
}

func (f *follower) get(uri string) []byte {
	n, ok := ParseName(uri)
	if !ok {
		f.r.t.Fatal(uri)
	}
	m, err := f.r.p.Media(f.r.t.(*testing.T).Context(), n)
	if err != nil {
		f.r.t.Fatal(err)
	}
	return bytesOf(f.r.t.(*testing.T), m.Pieces)
}

// frames reads all segments as one.
func (f *follower) frames(container Container) (list []av.Frame) {
	f.r.t.Helper()
	all := bytes.Clone(f.init)
	for n := f.first; n <= f.last; n++ {
		all = append(all, f.bytes[n]...)
	}
	if container == TS {
		d := new(mpegts.Demuxer)
		list = d.Flush(d.Demux(nil, all))
	} else {
		r, err := fmp4.NewReader(bytes.NewReader(all), int64(len(all)))
		if err != nil {
			f.r.t.Fatal(err)
		}
		for fr, err := r.Next(); err == nil; fr, err = r.Next() {
			list = append(list, *fr)
		}
	}
	return slices.DeleteFunc(list, func(fr av.Frame) bool { return fr.Type != av.Media || fr.Kind == av.Data })
}

// longestGap is the longest time between two frames of a kind, and when it begins; first and last
// are the times of its first and last frames.
func longestGap(frames []av.Frame, k av.Kind) (gap, at, first, last time.Duration) {
	first = -1
	for i := range frames {
		f := &frames[i]
		if f.Kind != k {
			continue
		}
		if first < 0 {
			first = f.DTS
		} else if d := f.DTS - last; d > gap {
			gap, at = d, last
		}
		last = f.DTS
	}
	return gap, at, first, last
}

// TestSilentTrack: segments go on while one track is silent, with the whole of the other and something
// that stands in for the silent one, at the right times. When it comes back it is there again.
func TestSilentTrack(t *testing.T) {
	alone(t)
	for _, container := range []Container{FMP4, TS} {
		for _, low := range []bool{true, false} {
			for _, kind := range []av.Kind{av.Video, av.Audio} {
				t.Run(fmt.Sprintf("%s container=%d low=%v", kind, container, low), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						set := Default()
						set.Container, set.LowLatency = container, low
						r := newRig(t, set, stream.Default())
						w := what{fps: 25, gop: time.Second, audio: 1, silent: map[av.Kind][2]time.Duration{kind: {10 * time.Second, 26 * time.Second}}}
						r.publish(w)
						r.send(w, 2500*time.Millisecond, nil)
						r.open()
						f := follow(r)
						r.send(w, 30*time.Second, f.check)
						frames := f.frames(container)
						limit := 600 * time.Millisecond // two parts, and an uneven frame of sound
						if !low {
							limit = 2600 * time.Millisecond
						}
						if limit += 1500 * time.Millisecond; f.stalled > limit {
							t.Errorf("the playlist did not change for %v, want at most %v", f.stalled, limit)
						}
						if len(f.jumps) != 0 {
							t.Errorf("discontinuities at %v", f.jumps)
						}
						var ends [2]time.Duration
						for k, most := range map[av.Kind]time.Duration{av.Video: time.Second, av.Audio: 110 * time.Millisecond} {
							gap, at, first, last := longestGap(frames, k)
							if gap > most+10*time.Millisecond {
								t.Errorf("no %s for %v at %v of %v to %v", k, gap, at, first, last)
							}
							ends[k] = last
						}
						if d := (ends[av.Video] - ends[av.Audio]).Abs(); d > 150*time.Millisecond {
							t.Errorf("video ends at %v, audio at %v", ends[av.Video], ends[av.Audio])
						}
						if len(r.warnings) != 1 || !strings.Contains(r.warnings[0], "stopped") {
							t.Errorf("%q", r.warnings)
						}
					})
				})
			}
		}
	}
}

// TestPauses: video that goes on after a pause without a key frame has paused, not stopped: it is waited
// for longer the next time.
func TestPauses(t *testing.T) {
	alone(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		w := what{fps: 25, gop: 2 * time.Second, audio: 1}
		r.publish(w)
		r.send(w, 4100*time.Millisecond, nil)
		r.open()
		r.send(w, 4*time.Second, r.check)
		// Slides: a picture every three seconds, a key frame with each tenth.
		slides := what{fps: 1.0 / 3, gop: 30 * time.Second, audio: 1}
		r.send(slides, 60*time.Second, r.check)
		s := r.p.standIns[trackKey{av.Video, 0}]
		if s == nil || s.active || s.patience(av.Video) < 6*time.Second {
			t.Errorf("%+v", s)
		}
	})
}

// TestAbsentTrack: a track that is announced and never comes holds up nothing; once it comes it is there.
func TestAbsentTrack(t *testing.T) {
	alone(t)
	for _, kind := range []av.Kind{av.Video, av.Audio} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Default(), stream.Default())
				w := what{fps: 25, gop: time.Second, audio: 1, silent: map[av.Kind][2]time.Duration{kind: {0, 20 * time.Second}}}
				r.publish(w)
				r.send(w, 2500*time.Millisecond, nil)
				r.open()
				r.send(w, 10*time.Second, r.check)
				if n := len(durations(r.main())); n < 2 {
					t.Errorf("%d segments without %s", n, kind)
				}
				if !r.p.IsReady() { // as the first viewer asks
					t.Error("not ready")
				}
				r.send(w, 20*time.Second, r.check)
				r.p.mu.Lock()
				tracks := len(r.p.renditions[0].tracks)
				r.p.mu.Unlock()
				if tracks != 2 {
					t.Errorf("%d tracks once all have come", tracks)
				}
			})
		})
	}
}

// TestFirstViewerWhileSilent: HLS begins although the video is silent just then.
func TestFirstViewerWhileSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		w := what{fps: 25, gop: time.Second, audio: 1, silent: map[av.Kind][2]time.Duration{av.Video: {5 * time.Second, time.Hour}}}
		r.publish(w)
		r.send(w, 9*time.Second, nil)
		r.open()
		r.send(w, 6*time.Second, r.check)
		if n := len(durations(r.main())); n < 2 {
			t.Errorf("%d segments", n)
		}
	})
}
