package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

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
