package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestHangupOfAClosedTerminal: a hangup ends a server whose terminal is gone, and does not have it read its configuration.
func TestHangupOfAClosedTerminal(t *testing.T) {
	ctx, end := context.WithCancelCause(t.Context())
	defer end(nil)
	hangups := make(chan os.Signal, 1)
	hangups <- syscall.SIGHUP
	reloadOnHangup(ctx, hangups, end, nil, &console{Err: io.Discard, Terminal: true})
	if cause := context.Cause(ctx); cause == nil || cause.Error() != "SIGHUP was received, and the terminal is gone" {
		t.Error(cause)
	}
}

// TestLogValues: durations are written alike in both forms of the log, and errors that were joined are one line.
func TestLogValues(t *testing.T) {
	for format, want := range map[string]string{
		"json": `"dur":"10.8s","group":{"in":"200ms"},"err":"one; two","text":"a\nb","n":3}`,
		"text": `dur=10.8s group.in=200ms err="one; two" text="a\nb" n=3`,
	} {
		var b bytes.Buffer
		log := newLogger(format, slog.LevelInfo, &console{Err: &b})
		log.Info("x", slog.Duration("dur", 10800*time.Millisecond), slog.Group("group", slog.Any("in", 200*time.Millisecond)),
			slog.Any("err", errors.Join(errors.New("one"), errors.New("two"))), slog.String("text", "a\nb"), slog.Int("n", 3))
		if got := strings.TrimSpace(b.String()); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s, want %s", format, got, want)
		}
	}
}
