package http1

import (
	"testing"
	"time"
)

// TestDeadlinesAtTheBound: a deadline that is up to four seconds late stays; one that is early, or later, is set anew.
func TestDeadlinesAtTheBound(t *testing.T) {
	by := time.Unix(1000, 0)
	for off, want := range map[time.Duration]bool{-1: true, 0: false, 4 * time.Second: false, 4*time.Second + 1: true} {
		if got := due(by.Add(off), by); got != want {
			t.Errorf("%v after it: %v", off, got)
		}
	}
}
