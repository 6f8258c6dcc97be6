package server

import (
	"context"
	"log/slog"
	"time"

	"weir/internal/health"
	"weir/internal/metrics"
	"weir/internal/session"
)

// healthChanged logs that something is wrong with a stream, or is no more, once each, and passes it on.
func (s *Server) healthChanged(c health.Change) {
	f := &c.Finding
	attrs := []any{slog.String("stream", c.Path), slog.String("fault", f.Kind)}
	if f.Track != "" {
		attrs = append(attrs, slog.String("track", f.Track))
	}
	if c.Healthy {
		s.tracker.Health(c.Path, true, nil)
	}
	if c.Over {
		s.log.Info("a fault of the publisher's stream is over", append(attrs,
			slog.Duration("dur", time.Since(f.Since).Round(time.Second)), slog.Bool("healthy", c.Healthy))...)
		return
	}
	s.tracker.Health(c.Path, false, map[string]any{"finding": f.Kind, "sentence": f.Sentence, "setting": f.Setting, "track": f.Track})
	s.log.Warn("the publisher's stream has a fault", append(attrs, slog.String("what", f.Sentence), slog.String("setting", f.Setting))...)
}

// Health returns what is to be said now of the stream at path.
func (s *Server) Health(path string) []health.Finding { return s.health.Findings(path) }

// FrameRate returns how many pictures a second the stream at path has; 0 if that cannot be said.
func (s *Server) FrameRate(path string) float64 { return s.health.FrameRate(path) }

// perStream yields the figures of each stream that has a publisher, if the configuration asks for them.
func (s *Server) perStream(yield func(metrics.Stream)) (on bool) {
	if !s.current.Load().conf.Metrics.PerStream {
		return false
	}
	for _, st := range s.health.Statuses() {
		yield(metrics.Stream{
			Path: st.Path, Bitrate: st.Bitrate, FrameRate: st.FrameRate, KeyInterval: st.KeyInterval,
			Width: st.Width, Height: st.Height, Players: st.Players, Faults: st.Faults,
		})
	}
	return true
}

// measure measures what is sent: that of each stream, and of all together while limits.egress_bitrate asks for it. At the same pace
// it looks for viewers that were let in and never came.
func (s *Server) measure(ctx context.Context) error {
	t := time.NewTicker(session.MeasureEvery)
	defer t.Stop()
	of := time.NewTicker(session.RatesEvery)
	defer of.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-of.C:
			s.sessions.MeasureStreams(now)
			s.tracker.Review(now, func(id string) bool { return s.sessions.Get(id) != nil })
		case now := <-t.C:
			if s.current.Load().conf.Limits.EgressBitrate > 0 {
				s.sessions.Measure(now)
			}
		}
	}
}
