package hls

import (
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// TestConfigurationComesAgain: HLS begins, and goes on without discontinuities where nothing that
// matters changes, however often the configuration comes.
func TestConfigurationComesAgain(t *testing.T) {
	alone(t)
	for _, container := range []Container{FMP4, TS} {
		for name, c := range map[string]struct {
			before func(r *rig, n int) []*av.Frame // what comes before key frame n
			jumps  bool
		}{
			"the same": {func(r *rig, _ int) []*av.Frame {
				return []*av.Frame{{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: r.conf}}
			}, false},
			"an end before it": {func(r *rig, _ int) []*av.Frame {
				return []*av.Frame{{Kind: av.Video, Type: av.End, Codec: av.H264}, {Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: r.conf}}
			}, false},
			"the level wobbles": {func(r *rig, n int) []*av.Frame {
				conf := append([]byte(nil), r.conf...)
				conf[3] += byte(n % 2)   // AVCLevelIndication
				conf[8+3] += byte(n % 2) // level_idc
				return []*av.Frame{{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: conf}}
			}, false},
			"another picture size each time": {func(r *rig, n int) []*av.Frame {
				name := [2]string{"h264-high", "h264-main-1080i"}[n%2]
				r.key = read(r.t, name+".key")
				return []*av.Frame{{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: read(r.t, name+".config")}}
			}, true},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					set := Default()
					set.Container = container
					r := newRig(t, set, stream.Default())
					w := what{fps: 25, gop: time.Second, audio: 1}
					r.publish(w)
					n := 0
					second := func() {
						for _, f := range c.before(r, n) {
							f.DTS, f.PTS = r.at, r.at
							r.write(f)
						}
						n++
						r.send(w, time.Second, r.check)
					}
					for range 3 {
						second()
					}
					r.open()
					for range 4 {
						second()
					}
					jumps, seen := map[uint64]bool{}, 0
					for range 8 {
						second()
						p := r.main()
						seen = len(p.Segments)
						for i := range p.Segments {
							if p.Segments[i].Discontinuity {
								jumps[p.MediaSequence+uint64(i)] = true
							}
						}
					}
					if seen < 4 || c.jumps != (len(jumps) > 0) {
						t.Errorf("%d segments, discontinuities at %v", seen, jumps)
					}
				})
			})
		}
	}
}

// TestTracksThatComeLater: a track that is known by its first frame alone, behind the first picture, is
// in the first segment, and nothing changes after it.
func TestTracksThatComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		r.publish(what{fps: 25})
		r.send(what{fps: 25, gop: time.Second}, 100*time.Millisecond, nil)
		r.open() // HLS is asked for before there is sound
		sound := read(t, "ac3-48000-6.key")
		begin := time.Now()
		for i, f := range r.frames(what{fps: 25, gop: time.Second}, 8*time.Second) {
			time.Sleep(time.Until(begin.Add(f.DTS)))
			f.DTS, f.PTS = f.DTS+r.at, f.PTS+r.at
			r.write(&f)
			if i%4 == 0 {
				r.write(&av.Frame{Kind: av.Audio, Codec: av.AC3, DTS: f.DTS, PTS: f.DTS, Payload: sound})
			}
			r.check()
		}
		p := r.main()
		for i := range p.Segments {
			if p.Segments[i].Discontinuity || p.Segments[i].Map != nil && i > 0 {
				t.Fatalf("%s", p.Append(nil))
			}
		}
		r.p.mu.Lock()
		defer r.p.mu.Unlock()
		if n := len(r.p.renditions[0].tracks); n != 2 {
			t.Errorf("%d tracks", n)
		}
	})
}
