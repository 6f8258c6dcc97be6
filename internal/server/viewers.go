package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"weir/internal/fanout"
	"weir/internal/metrics"
	"weir/internal/peer"
	"weir/internal/session"
)

// summaryEvery is how often viewers have a line in the log, if anything has changed.
const summaryEvery = time.Minute

// viewers counts the viewers that came and left since the last summary.
type viewers struct {
	mu   sync.Mutex // guards below; a leaf
	came int
	left map[session.Reason]int
}

func (v *viewers) come() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.came++
}

func (v *viewers) leave(why session.Reason) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.left == nil {
		v.left = map[session.Reason]int{}
	}
	v.left[why]++
}

// take returns what has been counted, and begins anew.
func (v *viewers) take() (came int, left map[session.Reason]int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	came, left = v.came, v.left
	v.came, v.left = 0, nil
	return came, left
}

// summarize logs what viewers do until ctx ends.
func (s *Server) summarize(ctx context.Context) error {
	tick := time.NewTicker(summaryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.summary()
		}
	}
}

// summary logs one summary if anything has changed.
func (s *Server) summary() {
	came, left := s.viewers.take()
	if came == 0 && len(left) == 0 {
		return
	}
	now, all := []any{}, 0
	for _, t := range s.sessions.Totals() {
		if n := t.Roles[session.Play]; n > 0 {
			all += n
			now = append(now, slog.Int(t.Protocol, n))
		}
	}
	why, gone := []any{}, 0
	for _, r := range session.Reasons() {
		if n := left[r]; n > 0 {
			gone += n
			why = append(why, slog.Int(r.String(), n))
		}
	}
	s.log.Info("viewers", slog.Int("now", all), slog.Int("came", came), slog.Int("left", gone),
		slog.Group("by_protocol", now...), slog.Group("by_reason", why...))
}

// firstSent counts how long a player waited for its first frame.
func (s *Server) firstSent(o fanout.Observer, took time.Duration) {
	id := ""
	if p, ok := o.(*peer.Player); ok {
		id = p.Session().ID
	}
	s.metrics.FirstFrame(id, took)
}

// sampleLags counts how far players are behind until ctx ends.
func (s *Server) sampleLags(ctx context.Context) error {
	tick := time.NewTicker(metrics.LagEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.engine.Lags(s.metrics.Lag)
		}
	}
}
