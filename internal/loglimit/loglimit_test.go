package loglimit

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestC253_LinesOfAKindAreBounded: of each kind there are so many lines in a while, the next one says how many
// there were not, and kinds do not stand in each other's way.
func TestC253_LinesOfAKindAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
		count := func(message string) (n int) {
			n = strings.Count(out.String(), "msg="+message)
			out.Reset()
			return n
		}
		for i := range 5 * lines {
			log.Info("one", slog.Int("i", i))
			log.With(slog.Int("peer", i)).WithGroup("g").Info("one")
		}
		if n := count("one"); n != lines {
			t.Errorf("%d lines, want %d", n, lines)
		}
		log.Warn("other")
		if n := count("other"); n != 1 {
			t.Errorf("another kind: %d lines", n)
		}
		time.Sleep(window - time.Nanosecond)
		log.Info("one")
		if n := count("one"); n != 0 {
			t.Errorf("%d lines before the time is over", n)
		}
		time.Sleep(time.Nanosecond)
		log.Info("one")
		if got, want := out.String(), fmt.Sprintf("suppressed=%d\n", 10*lines-lines+1); !strings.HasSuffix(got, want) {
			t.Errorf("%q, want %q at the end", got, want)
		}
		out.Reset()
		log.Info("one")
		if strings.Contains(out.String(), "suppressed") {
			t.Errorf("told twice: %s", out.String())
		}
		out.Reset()
		for range 2 * lines {
			log.Debug("each")
		}
		if n := count("each"); n != 2*lines {
			t.Errorf("%d lines for those who debug", n)
		}
	})
}

// TestKindsAreBounded: what is kept does not grow with the number of messages.
func TestKindsAreBounded(t *testing.T) {
	var out bytes.Buffer
	h := New(slog.NewTextHandler(&out, nil))
	for i := range 3 * maxKinds {
		slog.New(h).Info(fmt.Sprint("message ", i))
	}
	if n := len(h.kinds.all); n != maxKinds+1 {
		t.Errorf("%d kinds", n)
	}
	if n := strings.Count(out.String(), "\n"); n != maxKinds+lines {
		t.Errorf("%d lines", n)
	}
}
