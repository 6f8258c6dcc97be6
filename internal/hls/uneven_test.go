package hls

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// uneven publishes pictures at uneven times for d, a key frame every gop, and sound at even ones.
func (r *rig) uneven(random *rand.Rand, d, gop time.Duration, steps []time.Duration) {
	begin, origin := time.Now(), r.at
	next, key, sound := time.Duration(0), time.Duration(0), 0
	for at := time.Duration(0); at < d; {
		time.Sleep(time.Until(begin.Add(at)))
		if at == next {
			f := av.Frame{Kind: av.Video, Codec: av.H264, DTS: origin + at, PTS: origin + at, Payload: r.inter}
			if at >= key {
				f.Flags, f.Payload = av.Key, r.key
				key = at + gop
			}
			r.write(&f)
			next += steps[random.IntN(len(steps))]
		}
		soundAt := func() time.Duration {
			return (time.Duration(sound) * 1024 * time.Second / 48000).Round(time.Millisecond)
		}
		for ; soundAt() <= at; sound++ {
			r.write(&av.Frame{Kind: av.Audio, Codec: av.AAC, DTS: origin + soundAt(), PTS: origin + soundAt(), Payload: r.sound})
		}
		r.check()
		at = min(next, soundAt())
	}
	time.Sleep(time.Until(begin.Add(d)))
	r.at += d
}

// TestC228_UnevenFrames: parts keep to their bounds when pictures come at uneven times, as those
// of cameras and phones do.
func TestC228_UnevenFrames(t *testing.T) {
	alone(t)
	ms := func(list ...int) (d []time.Duration) {
		for _, n := range list {
			d = append(d, time.Duration(n)*time.Millisecond)
		}
		return d
	}
	for name, steps := range map[string][]time.Duration{
		"a hiccup":       ms(40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 140),
		"dim light":      ms(33, 34, 66, 100),
		"anything":       ms(10, 20, 33, 40, 66, 100, 140, 180),
		"with holes":     ms(33, 33, 33, 40, 250, 700),
		"at the bound":   ms(100, 199, 200, 201),
		"long at once":   ms(40, 40, 40, 40, 40, 40, 40, 40, 2600),
		"now and then":   ms(500, 900, 1200),
		"nearly regular": ms(39, 40, 41),
	} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%s %d", name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, Default(), stream.Default())
					r.publish(what{fps: 25, audio: 1})
					random := rand.New(rand.NewPCG(1, seed))
					r.uneven(random, 2500*time.Millisecond, 2*time.Second, steps)
					r.open()
					r.uneven(random, 40*time.Second, 2*time.Second, steps)
					r.pub.Close(nil)
					time.Sleep(time.Minute)
					r.check()
					if p := r.main(); !p.EndList || len(durations(p)) < 3 {
						t.Errorf("%s", p.Append(nil))
					}
				})
			})
		}
	}
}
