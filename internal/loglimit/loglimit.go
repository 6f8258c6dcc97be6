// Package loglimit keeps peers from writing the log: of each kind of line, which is its message, so
// many are logged in a while, and the next one says how many were not.
package loglimit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// lines of a kind are logged in each window: enough for many encoders that begin at once.
	lines  = 100
	window = 10 * time.Second
	// maxKinds bounds the kinds that are told apart; all others are one. Messages are constants
	// of the program.
	maxKinds = 1000
)

// Handler passes lines on to another handler, within limits. Lines below LevelInfo have none:
// they are logged for those who want to see each.
type Handler struct {
	next  slog.Handler
	kinds *kinds
}

// kinds is shared by the handlers with other attributes or groups.
type kinds struct {
	mu  sync.Mutex // guards below; a leaf
	all map[string]*kind
}

type kind struct {
	since      time.Time
	lines      int
	suppressed int
}

// New returns a handler before next.
func New(next slog.Handler) *Handler { return &Handler{next, &kinds{all: map[string]*kind{}}} }

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.next.WithAttrs(attrs), h.kinds}
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.next.WithGroup(name), h.kinds}
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		suppressed, ok := h.kinds.allow(r.Message, r.Time)
		if !ok {
			return nil
		}
		if suppressed > 0 {
			r = r.Clone()
			r.AddAttrs(slog.Int("suppressed", suppressed))
		}
	}
	return h.next.Handle(ctx, r)
}

// allow reports whether a line may be logged and, if so, how many of its kind were not since the last one.
func (k *kinds) allow(message string, now time.Time) (suppressed int, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	of := k.all[message]
	if of == nil {
		if len(k.all) >= maxKinds {
			message = ""
		}
		if of = k.all[message]; of == nil {
			of = &kind{}
			k.all[message] = of
		}
	}
	if now.Sub(of.since) >= window {
		of.since, of.lines = now, 0
	}
	if of.lines >= lines {
		of.suppressed++
		return 0, false
	}
	of.lines++
	suppressed, of.suppressed = of.suppressed, 0
	return suppressed, true
}
