package server

import "testing"

func TestEndsOfWaves(t *testing.T) {
	var w wave
	for i, step := range []struct {
		n    uint64
		want bool
	}{
		{5, false}, {5, false}, // too little
		{300, false}, {900, false}, // not over
		{905, true}, {905, false}, // once
		{950, false}, {990, false}, {1004, false}, {1005, true}, // many small steps
		{1005, false},
	} {
		if got := w.over(step.n); got != step.want {
			t.Errorf("step %d: at %d %v, want %v", i, step.n, got, step.want)
		}
	}
}
