package hls

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// TestPagesReturn: files are lent up to the bound, and come back when nobody refers to them.
func TestPagesReturn(t *testing.T) {
	p := &pages{most: 3}
	for range 3 {
		if p.open() == nil {
			t.Fatal("there should be one")
		}
	}
	for begun := time.Now(); p.used.Load() > 0; runtime.GC() {
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("%d did not come back", p.used.Load())
		}
		time.Sleep(time.Millisecond)
	}
	kept := []*os.File{p.open(), p.open(), p.open()}
	if p.open() != nil {
		t.Error("more than the bound")
	}
	if n := newPages().most; n < 1 {
		t.Errorf("the bound is %d", n)
	}
	runtime.KeepAlive(kept)
}
