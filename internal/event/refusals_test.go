package event

import (
	"fmt"
	"testing"
	"time"
)

// TestRefusalsAreBounded: one address is told of ten times a second, all together two hundred times, and what was left
// out is counted once.
func TestRefusalsAreBounded(t *testing.T) {
	var r refusals
	at := time.Date(2026, 1, 2, 3, 4, 5, 600e6, time.UTC)
	tell := func(addr string, times int) (told int) {
		for i := range times {
			if left, ok := r.admit(fmt.Sprintf("%s:%d", addr, 1000+i), at); ok {
				told++
				if left != 0 {
					t.Errorf("%d were left out before", left)
				}
			}
		}
		return told
	}
	if n := tell("192.0.2.1", 11); n != 10 {
		t.Errorf("%d of one address", n)
	}
	r.left = 0
	if n := tell("192.0.2.2", 10); n != 10 {
		t.Errorf("%d of the next", n)
	}
	all := 20
	for i := range 40 {
		all += tell(fmt.Sprintf("198.51.100.%d", i), 5)
	}
	if all != 200 {
		t.Errorf("%d in all", all)
	}
	at = at.Add(time.Second)
	if left, ok := r.admit("192.0.2.1:1", at); !ok || left != 20 {
		t.Errorf("a second later: %v, %d left out", ok, left)
	}
	if left, ok := r.admit("192.0.2.1:2", at); !ok || left != 0 {
		t.Errorf("told twice of those that were left out: %v, %d", ok, left)
	}
	for range 300 {
		if _, ok := r.admit("program", at); !ok {
			t.Fatal("a peer within the program is left out")
		}
	}
}
