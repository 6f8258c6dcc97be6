package record

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// late has the frames of a kind, and their configuration, come a time later than the others; those before are not sent.
func late(frames []av.Frame, kind av.Kind, by time.Duration) []av.Frame {
	var config *av.Frame
	list := slices.DeleteFunc(slices.Clone(frames), func(f av.Frame) bool {
		if f.Kind == kind && f.Type == av.Config {
			config = &f
		}
		return f.Type == av.Script || f.Kind == kind && f.DTS < by
	})
	i := slices.IndexFunc(list, func(f av.Frame) bool { return f.Kind == kind })
	now := *config
	now.DTS, now.PTS = list[i].DTS, list[i].DTS
	return slices.Insert(list, i, now)
}

// live sends frames in real time.
func (r *rig) live(p *stream.Publisher, frames []av.Frame) {
	r.Helper()
	begin, first := time.Now(), frames[0].DTS
	for i := range frames {
		f := frames[i]
		time.Sleep(time.Until(begin.Add(f.DTS - first)))
		if err := p.Write(&f); err != nil {
			r.Fatal(err)
		}
	}
}

// TestTracksThatComeLate: a file waits some seconds for the tracks that are still to come, at the stream's first beginning and when its publisher
// returns; nothing is lost, and files of one recording do not overlap.
func TestTracksThatComeLate(t *testing.T) {
	sent := encode(t, 8, "320x180", 48000).frames
	whole := slices.DeleteFunc(slices.Clone(sent), func(f av.Frame) bool { return f.Type == av.Script })
	for _, c := range []struct {
		name   string
		first  []av.Frame
		second []av.Frame // after a gap
		files  int
	}{
		{"sound", late(sent, av.Audio, 1500*time.Millisecond), nil, 1},
		{"sound when it returns", whole, late(sent, av.Audio, 1500*time.Millisecond), 2},
		{"sound each time", late(sent, av.Audio, 1500*time.Millisecond), late(sent, av.Audio, 2500*time.Millisecond), 2},
		{"pictures when it returns", whole, late(sent, av.Video, 2*time.Second), 2},
		{"sound too late", late(sent, av.Audio, 5500*time.Millisecond), nil, 2},
		{"pictures alone", slices.DeleteFunc(slices.Clone(whole), func(f av.Frame) bool { return f.Kind == av.Audio }), nil, 1},
	} {
		for _, format := range []string{"mp4", "flv", "ts"} {
			t.Run(c.name+" "+format, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := &catalog{}
					r := newRig(t, func(c *Config) { c.Format, c.Sync = format, "close" }, func(o *Options) { o.Catalog = k })
					p := r.publish("live/cam")
					r.live(p, c.first)
					if c.second != nil {
						p.Close(nil)
						time.Sleep(6 * time.Second)
						p = r.publish("live/cam")
						r.live(p, c.second)
					}
					p.Close(stream.ErrClosed)
					names := r.whole()
					if len(names) != c.files {
						t.Fatalf("%d files instead of %d: %v", len(names), c.files, names)
					}
					for _, kind := range []av.Kind{av.Video, av.Audio} {
						n := 0
						for _, name := range names {
							n += len(packets(t, name, map[av.Kind]string{av.Video: "v", av.Audio: "a"}[kind]))
						}
						if want := media(c.first, kind) + media(c.second, kind); n != want {
							t.Errorf("%d frames of %v instead of %d", n, kind, want)
						}
					}
					apart(t, k)
				})
			})
		}
	}
}

// apart checks that the files that a catalog was told of do not overlap.
func apart(t *testing.T, k *catalog) {
	t.Helper()
	var done []File
	for i, what := range k.told {
		if what == "done" {
			done = append(done, k.list[i])
		}
	}
	for i := 1; i < len(done); i++ {
		a, b := &done[i-1], &done[i]
		gap := b.Start.Sub(a.Start.Add(a.Duration))
		if gap < -60*time.Millisecond || a.Take == b.Take && gap > 60*time.Millisecond {
			t.Errorf("%v between %s and %s, of one take: %v", gap, a.Name, b.Name, a.Take == b.Take)
		}
	}
}

// TestAnotherEncoder: what another encoder sends, after less than max_gap, is in a file of its own, sound and pictures; the time between
// is in neither, and no file is missing there.
func TestAnotherEncoder(t *testing.T) {
	one, two := encode(t, 4, "320x180", 48000).frames, encode(t, 4, "160x90", 48000).frames
	for _, format := range []string{"mp4", "flv", "ts"} {
		t.Run(format, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &catalog{}
				r := newRig(t, func(c *Config) { c.Format, c.Sync = format, "close" }, func(o *Options) { o.Catalog = k })
				p := r.publish("live/cam")
				r.live(p, one)
				p.Close(nil)
				time.Sleep(800 * time.Millisecond)
				p = r.publish("live/cam")
				r.live(p, two)
				p.Close(stream.ErrClosed)
				names := r.whole()
				if len(names) != 2 {
					t.Fatalf("%v", names)
				}
				for i, sent := range [][]av.Frame{one, two} {
					if v, a := len(packets(t, names[i], "v")), len(packets(t, names[i], "a")); v != media(sent, av.Video) || a != media(sent, av.Audio) {
						t.Errorf("file %d: %d pictures of %d, %d frames of sound of %d", i, v, media(sent, av.Video), a, media(sent, av.Audio))
					}
				}
				a, b := &k.list[1], &k.list[3]
				if a.Take == b.Take || (a.Duration-4*time.Second).Abs() > 150*time.Millisecond || (b.Start.Sub(a.Start)-4800*time.Millisecond).Abs() > 150*time.Millisecond {
					t.Errorf("%v from %v, then %v from %v; takes %s", a.Duration, a.Start, b.Duration, b.Start, fmt.Sprint(a.Take == b.Take))
				}
			})
		})
	}
}
