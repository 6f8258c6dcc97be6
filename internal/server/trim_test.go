package server

import (
	"testing"
	"time"
)

func TestEndsOfWaves(t *testing.T) {
	var w wave
	for i, step := range []struct {
		n    uint64
		want bool
	}{
		{5, false},
		{5, false}, // too little
		{300, false},
		{900, false}, // not over
		{905, true},
		{905, false}, // once
		{950, false},
		{990, false},
		{1004, false},
		{1005, true}, // many small steps
		{1005, false},
		{1100, false},
		{1104, false},
		{1105, true}, // a hundred since the last one
		{1300, false},
		{1310, false},
		{1319, true}, // with ten more a wave goes on, with nine it is over
	} {
		if got := w.over(step.n); got != step.want {
			t.Errorf("step %d: at %d %v, want %v", i, step.n, got, step.want)
		}
	}
}

// TestIdleness: garbage is collected every 15 seconds in which something was allocated and once
// more after that, and memory given back by a server that is quiet.
func TestIdleness(t *testing.T) {
	begin := time.Now()
	total := uint64(1000)
	d := idleness{at: begin, allocs: total}
	for i, c := range []struct {
		after            time.Duration
		allocs           uint64
		collect, release bool
	}{
		{15*time.Second - 1, 1 << 40, false, false}, // too early: counted at the next look
		{1, 0, true, false},
		{15 * time.Second, 128<<20 - 1, true, true},
		{15 * time.Second, 16<<20 - 1, true, true}, // again
		{15 * time.Second, 0, true, true},
		{15 * time.Second, 0, true, true},
		{15 * time.Second, 16<<20 - 1, true, true},
		{15 * time.Second, 16<<20 - 1, false, false},
		{15 * time.Second, 16 << 20, true, true},
		{15 * time.Second, 128 << 20, true, false},
	} {
		begin, total = begin.Add(c.after), total+c.allocs
		collect, release := d.due(begin, func() uint64 { return total })
		if collect != c.collect || release != c.release {
			t.Errorf("look %d: %v, %v", i, collect, release)
		}
	}
}
