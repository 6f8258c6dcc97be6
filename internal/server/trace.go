package server

import (
	"log/slog"
	"time"

	"weir/internal/admit"
	"weir/internal/metrics"
	"weir/internal/session"
	"weir/internal/trace"
	"weir/internal/version"
)

// newTraces returns what sends traces, nil if there is no collector.
func (s *Server) newTraces() (*trace.Exporter, error) {
	c := &s.conf.Tracing
	if c.URL == "" || c.Percent == 0 {
		return nil, nil
	}
	return trace.New(trace.Options{
		URL: c.URL, Authorization: c.Authorization, Percent: c.Percent, Instance: s.self.ID, Version: version.Get().Version, Log: s.log,
	})
}

// traced returns how many spans were sent, and how many were lost.
func (s *Server) traced() (sent, lost uint64) {
	if s.traces == nil {
		return 0, 0
	}
	return s.traces.Sent(), s.traces.Dropped()
}

// traceDecision traces how long a decision about a session took.
func (s *Server) traceDecision(r *admit.Request, begin time.Time, result string) {
	if s.traces == nil || r.Session == "" {
		return
	}
	about := []slog.Attr{slog.String("role", r.Role.String()), slog.String("result", result)}
	if result != metrics.Allowed { // else the session has it, perhaps by another name
		about = append(about, slog.String("stream", session.Printable(r.Told(), maxLogged)))
	}
	s.traces.Add(trace.Span{Session: r.Session, Name: "decide", Start: begin, End: time.Now(), Attributes: about})
}

// traceRole traces for how long a session that goes on published or played.
func (s *Server) traceRole(x *session.Session, e session.End) {
	if s.traces == nil {
		return
	}
	now := time.Now()
	s.traces.Add(trace.Span{
		Session: x.ID, Name: e.Role.String(), Start: now.Add(-e.Duration), End: now,
		Attributes: []slog.Attr{slog.String("stream", e.Stream), slog.String("reason", e.Reason.String())},
	})
}

// traceSession traces a session that has ended.
func (s *Server) traceSession(x *session.Session, e session.End) {
	if s.traces == nil {
		return
	}
	span := trace.Span{
		Session: x.ID, Name: trace.Whole, Start: x.Started, End: x.Started.Add(e.Duration),
		Attributes: []slog.Attr{
			slog.String("protocol", x.Protocol), slog.String("role", e.Role.String()), slog.String("stream", e.Stream),
			slog.String("reason", e.Reason.String()), slog.String("client.address", x.From()), slog.String("user_agent.original", x.UserAgent()),
			slog.Uint64("received", x.BytesIn.Load()), slog.Uint64("sent", x.BytesOut.Load()), slog.Uint64("frames", x.Frames.Load()),
			slog.Uint64("skips", x.Skips.Load()),
		},
	}
	if t := x.Terms(); t.User != "" || t.KeyID != "" {
		span.Attributes = append(span.Attributes, slog.String("user", t.User), slog.String("key_id", t.KeyID))
	}
	if e.Err != nil && !e.Reason.Normal() {
		span.Err = session.ErrorText(e.Err, maxLogged)
	}
	s.traces.Add(span)
}
