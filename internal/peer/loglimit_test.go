package peer

import (
	"testing"
	"time"
)

func TestC253_LogLimitCountsWhatItSuppresses(t *testing.T) {
	var l LogLimit
	now := time.Unix(1000, 0)
	for i := range 1000 {
		if ok, n := l.Allow(now); ok != (i < logLines) || n != 0 {
			t.Fatal(i, ok, n)
		}
	}
	if ok, n := l.Allow(now.Add(logWindow)); !ok || n != 1000-logLines {
		t.Fatal(ok, n)
	}
}
