package server

import (
	"bytes"
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
		var out bytes.Buffer
		s := &Server{log: slog.New(slog.NewTextHandler(&out, nil)), sessions: session.New(session.Limits{}, session.Observer{})}
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
		for _, want := range []string{
			"", "msg=viewers now=3 came=3 left=1 by_protocol.hls=1 by_protocol.rtmp=2 by_reason.slow=1\n", "",
		} {
			synctest.Wait()
			if got := out.String(); (got == "") != (want == "") || !strings.HasSuffix(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
			out.Reset()
			<-time.After(summaryEvery)
		}
	})
}
