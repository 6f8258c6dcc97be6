package bench

import (
	"math"
	"math/bits"
	"time"
)

// Values are counted in units of 1.024 µs: the first 128 exactly, then 64 steps for each
// doubling, so that a quantile is known to 1.6 %.
const (
	histUnit  = 10
	histSteps = 64
	histSize  = histSteps * 32 // up to 72 minutes
)

// histogram counts durations. Its zero value is empty.
type histogram struct {
	counts [histSize]uint64
	total  uint64
	max    int64
}

// add counts a duration of ns nanoseconds; a negative one counts as 0.
func (h *histogram) add(ns int64) {
	ns = max(ns, 0)
	h.max = max(h.max, ns)
	h.total++
	h.counts[histIndex(uint64(ns)>>histUnit)]++
}

func histIndex(v uint64) int {
	if v < 2*histSteps {
		return int(v)
	}
	e := bits.Len64(v) - 7 // v>>e is in [64, 128)
	return min(e*histSteps+int(v>>e), histSize-1)
}

// histLow is the least value that index i counts, in units.
func histLow(i int) float64 {
	if i < 2*histSteps {
		return float64(i)
	}
	e := i/histSteps - 1
	return math.Ldexp(float64(i-e*histSteps), e)
}

// merge adds what o counted.
func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.max = max(h.max, o.max)
}

// quantile returns the duration that the share q of all does not exceed; 0 if nothing
// was counted.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.total)))
	for i, n := range h.counts {
		if n == 0 {
			continue
		}
		if rank <= n {
			low, high := histLow(i), histLow(i+1)
			v := (low + (high-low)*(float64(rank)-0.5)/float64(n)) * (1 << histUnit)
			return time.Duration(min(int64(v), h.max))
		}
		rank -= n
	}
	return time.Duration(h.max)
}

// Spread sums durations up, in milliseconds.
type Spread struct {
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	Max   float64 `json:"max_ms"`
	Count uint64  `json:"count"` // how many there were; the rest is 0 if none
}

// spread returns what the histogram says.
func (h *histogram) spread() Spread {
	if h.total == 0 {
		return Spread{}
	}
	return Spread{P50: millis(h.quantile(0.5)), P99: millis(h.quantile(0.99)), Max: millis(time.Duration(h.max)), Count: h.total}
}

// millis returns d in milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e3 }
