package record

import (
	"testing"
	"time"

	"weir/av"
)

// TestGapOfRareFrames (P4): a file ends where nothing came for longer than max_gap, or than twice the time between the two pictures before it, which counts as
// 10 s at most.
func TestGapOfRareFrames_P4(t *testing.T) {
	all := encode(t, 8, "160x90", 48000).frames
	var slides, configs []av.Frame // a picture of its own each
	for i := range all {
		switch f := all[i]; {
		case f.Kind == av.Video && f.Type == av.Config:
			configs = append(configs, f)
		case f.Kind == av.Video && f.IsKey():
			f.PTS = f.DTS
			slides = append(slides, f)
		}
	}
	for name, c := range map[string]struct {
		gaps  []time.Duration // between the slides
		files []int           // the pictures of each
	}{
		"max_gap":                      {[]time.Duration{2000, 2000, 2000}, []int{4}},
		"more":                         {[]time.Duration{1000, 2001, 1000}, []int{2, 2}},
		"twice the one before":         {[]time.Duration{1000, 1900, 3800, 1000}, []int{5}},
		"more than that":               {[]time.Duration{1000, 1900, 3801, 1000}, []int{3, 2}},
		"a picture in three seconds":   {[]time.Duration{3000, 3000, 3000, 3000}, []int{1, 4}},
		"it becomes rarer":             {[]time.Duration{1900, 3700, 7300, 14500, 19900}, []int{6}},
		"no more than 20 s":            {[]time.Duration{1900, 3700, 7300, 14500, 20001}, []int{5, 1}},
		"a picture in fifteen seconds": {[]time.Duration{15000, 15000, 15000}, []int{1, 3}},
		"a picture in 21 seconds":      {[]time.Duration{21000, 21000, 21000}, []int{1, 1, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			p := r.publish("live/cam")
			r.send(p, configs, 0, time.Second)
			at := time.Duration(0)
			for i := range len(c.gaps) + 1 {
				if i > 0 {
					at += c.gaps[i-1] * time.Millisecond
				}
				f := slides[i]
				f.DTS, f.PTS = at, at
				r.send(p, []av.Frame{f}, 0, time.Second)
			}
			names := r.whole()
			var got []int
			for _, name := range names {
				got = append(got, len(packets(t, name, "v")))
			}
			if len(got) != len(c.files) {
				t.Fatalf("files of %v pictures instead of %v", got, c.files)
			}
			for i := range got {
				if got[i] != c.files[i] {
					t.Errorf("files of %v pictures instead of %v", got, c.files)
				}
			}
		})
	}
}
