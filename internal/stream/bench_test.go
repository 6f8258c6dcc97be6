package stream

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkWriteBesideFollowers measures what a publisher waits for a Write at a frame each
// millisecond, while followers read in goroutines of their own: the median and the 99th
// percentile, and their ratio to those without followers.
func BenchmarkWriteBesideFollowers(b *testing.B) {
	var alone [2]float64
	for _, followers := range []int{0, 100, 1000} {
		b.Run(fmt.Sprint(followers), func(b *testing.B) {
			took := writeBeside(b, followers)
			slices.Sort(took)
			var at [2]float64
			for i, q := range [2]int{50, 99} {
				at[i] = float64(took[len(took)*q/100])
				if followers == 0 {
					alone[i] = at[i]
				}
				b.ReportMetric(at[i], fmt.Sprintf("p%d-ns", q))
				b.ReportMetric(at[i]/alone[i], fmt.Sprintf("p%d-ratio", q))
			}
		})
	}
}

// writeBeside writes b.N frames, and returns how long each Write took.
func writeBeside(b *testing.B, followers int) (took []time.Duration) {
	h := New(Options{})
	p, err := h.Publish("live/a", Info{})
	if err != nil {
		b.Fatal(err)
	}
	_ = p.Write(vcfg())
	_ = p.Write(keyFrame(0))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer h.Close(errors.New("over"))
	for range followers {
		f := p.Stream().Follow(FollowOptions{})
		wg.Go(func() {
			defer f.Close()
			for {
				if _, err := f.Next(b.Context()); err != nil {
					return
				}
			}
		})
	}
	beat := time.NewTicker(time.Millisecond)
	defer beat.Stop()
	took = make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		f := inter(i)
		if i%60 == 0 {
			f = keyFrame(i)
		}
		<-beat.C
		t := time.Now()
		if err := p.Write(f); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(t))
	}
	b.StopTimer()
	return took
}

func BenchmarkWrite(b *testing.B) {
	h := New(Options{})
	p, err := h.Publish("live/a", Info{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close(errors.New("over"))
	_ = p.Write(vcfg())
	f, k := inter(0), keyFrame(0)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		x := f
		if i%60 == 0 {
			x = k
		}
		x.DTS = ms(33 * i)
		x.PTS, x.Arrived = x.DTS, x.DTS+1
		if err := p.Write(x); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
