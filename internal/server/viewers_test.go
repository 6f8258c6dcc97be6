package server

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/session"
)

// TestSummaryOfViewers: it comes each minute in which something has changed, with what has changed in it.
func TestSummaryOfViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := make(chan string, 3)
		s := &Server{log: slog.New(slog.NewTextHandler(lineWriter(lines), nil)), sessions: session.New(session.Limits{}, session.Observer{})}
		for _, protocol := range []string{"rtmp", "rtmp", "hls"} {
			x, err := s.sessions.Open(session.Info{Protocol: protocol})
			if err != nil {
				t.Fatal(err)
			}
			x.Promote(session.Play, "live/a")
			s.viewers.come()
		}
		s.viewers.leave(session.Slow)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.summarize(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		start := time.Now()
		want := "msg=viewers now=3 came=3 left=1 by_protocol.hls=1 by_protocol.rtmp=2 by_reason.slow=1\n"
		if got := <-lines; !strings.HasSuffix(got, want) || time.Since(start) != time.Minute {
			t.Errorf("after %v: %q, want %q after a minute", time.Since(start), got, want)
		}
		select {
		case got := <-lines:
			t.Errorf("nothing has changed: %q", got)
		case <-time.After(3 * time.Minute):
		}
	})
}

// lineWriter sends each line that a log writes.
type lineWriter chan<- string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}
