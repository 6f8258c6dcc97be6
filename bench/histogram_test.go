package bench

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestHistogram_Quantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Minute)), 1, 200).Draw(t, "values")
		var h, other histogram
		for i, v := range values {
			if i%2 == 0 {
				h.add(v)
			} else {
				other.add(v)
			}
		}
		h.merge(&other)
		slices.Sort(values)
		for _, q := range []float64{0.5, 0.99, 1} {
			want := float64(values[int(math.Ceil(q*float64(len(values))))-1])
			got := float64(h.quantile(q))
			if diff := math.Abs(got - want); diff > want/50+2048 {
				t.Errorf("quantile %v: got %v, want %v", q, got, want)
			}
		}
		if h.max != values[len(values)-1] || h.total != uint64(len(values)) {
			t.Errorf("max %d, total %d", h.max, h.total)
		}
	})
}

func TestHistogram_Edges(t *testing.T) {
	var h histogram
	if got := h.spread(); got != (Spread{}) {
		t.Errorf("of nothing: %+v", got)
	}
	h.add(-5)
	h.add(math.MaxInt64)
	if h.total != 2 || h.quantile(0.5) > time.Microsecond {
		t.Errorf("total %d, median %v", h.total, h.quantile(0.5))
	}
	for i := 1; i < histSize; i++ {
		if histIndex(uint64(histLow(i))) != i || histIndex(uint64(histLow(i))-1) != i-1 {
			t.Fatalf("step %d is not where it begins", i)
		}
	}
}

func BenchmarkTally(b *testing.B) {
	r := newRun()
	p := newTestPlayer(r)
	p.rec.window = 0
	frame := audioFrame(audioBytes)
	b.ReportAllocs()
	var n uint32
	for b.Loop() {
		s := stamp{seq: n, sent: 1}
		s.put(frame[stampAudio:])
		p.media(audio, frame[:stampWithin], len(frame), s.tail())
		n++
	}
}
