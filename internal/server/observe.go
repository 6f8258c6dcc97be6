package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"time"

	"weir/av"
	"weir/internal/admit"
	"weir/internal/config"
	"weir/internal/event"
	"weir/internal/ingest"
	"weir/internal/metrics"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/stream"
)

// sources returns the functions from which the metrics read.
func (s *Server) sources() metrics.Sources {
	return metrics.Sources{
		Streams: func() int { return s.hub.Len() },
		Sessions: func(yield func(protocol, role string, n int)) {
			for _, t := range s.sessions.Totals() {
				for role, n := range t.Roles {
					yield(t.Protocol, session.Role(role).String(), n)
				}
			}
		},
		Bytes: func(yield func(protocol string, received, sent uint64)) {
			for _, t := range s.sessions.Totals() {
				yield(t.Protocol, t.BytesIn, t.BytesOut)
			}
		},
		Frames: func(yield func(kind string, n uint64)) {
			t := s.hub.Totals()
			for _, k := range []av.Kind{av.Video, av.Audio, av.Data} {
				yield(k.String(), uint64(t.Frames[k]))
			}
		},
		Publishers: func() (p metrics.Publishers) {
			for _, st := range s.hub.List() {
				stats := st.Stats()
				p.Bitrate += stats.Bitrate
				p.Silence = max(p.Silence, stats.Silent)
				if stats.Stalled {
					p.Stalled++
				}
			}
			return p
		},
		Repairs: func(yield func(kind string, n uint64)) {
			t := s.hub.Totals()
			yield("clamped", uint64(t.Clamped))
			yield("jump", uint64(t.Jumps))
			yield("shifted", uint64(t.Shifted))
			yield("mislabeled", uint64(t.Mislabeled))
			yield("dropped", uint64(t.Dropped))
		},
		Skips: func() uint64 {
			var n uint64
			for _, t := range s.sessions.Totals() {
				n += t.Skips
			}
			return n
		},
		Workers: func(yield func(worker int, load float64, interval time.Duration)) {
			for i, w := range s.engine.Stats() {
				yield(i, w.Load, w.Interval)
			}
		},
		Recordings:    func() int { return s.records.Running() },
		Intake:        func() time.Duration { return s.pacer.Interval() },
		Queues:        func(yield func(hook string, n int)) { s.hooks.Queues(yield) },
		Pulls:         func(yield func(status string, n int)) { s.pulls.Count(yield) },
		PullsOnBackup: func() int { return s.pulls.OnBackup() },
		Removed:       func(yield func(why string, files uint64)) { s.archive.Removed(yield) },
		Uploads:       func() metrics.Uploads { return metrics.Uploads(s.archive.Uploads()) },
		Segments: func() int64 {
			n := int64(0)
			for _, f := range s.mediaBytes {
				n += f()
			}
			return n
		},
		Faults:    func(yield func(kind string, streams int)) { s.health.Kinds(yield) },
		Pushes:    func(yield func(service, state string, n int)) { s.push.Targets(yield) },
		Pushed:    func(yield func(service string, bytes int64)) { s.push.Sent(yield) },
		PerStream: s.perStream,
		Counted:   counted(),
		Traces:    s.traced,
	}
}

// observer logs and counts sessions.
func (s *Server) observer() session.Observer {
	return session.Observer{
		Promoted: func(x *session.Session) {
			s.tracker.Promoted(x)
			attrs := append(about(x), slog.String("stream", x.Stream()), slog.String("agent", x.UserAgent()))
			if x.Role() == session.Publish {
				s.log.Info("publisher started", attrs...)
				return
			}
			s.viewers.come()
			s.log.Debug("viewer came", attrs...)
		},
		Stopped: func(x *session.Session, e session.End) {
			s.traceRole(x, e)
			s.ended(x, e)
		},
		Closed: func(x *session.Session, e session.End) {
			s.metrics.SessionClosed(x.Protocol, e.Role.String(), e.Reason.String())
			s.traceSession(x, e)
			s.ended(x, e)
			s.tracker.Closed(x, e)
			if app, ok := x.Connected(); ok {
				s.tracker.Disconnected(x, app, e)
			}
		},
		Refused: func(info session.Info, reason error) {
			s.metrics.Rejected(session.ReasonOf(reason).String())
			s.reached(reason)
			s.log.Debug("connection refused", slog.String("protocol", info.Protocol),
				slog.String("remote", info.Remote.String()), slog.Any("err", reason))
		},
	}
}

// ended logs that a session no longer does what it did. Publishers are few, and each is worth a
// line. Viewers come by the thousand: they have a summary. Sessions that did neither were refused,
// which has been logged, or are health checks and port scans.
func (s *Server) ended(x *session.Session, e session.End) {
	s.tracker.Ended(x, e)
	if e.Role == session.Publish && e.Reason == session.Limit {
		s.reached(e.Err)
	}
	level, message := slog.LevelDebug, "session ended"
	switch e.Role {
	case session.Publish:
		level, message = slog.LevelInfo, "publisher ended"
	case session.Play:
		s.viewers.leave(e.Reason)
		message = "viewer left"
	}
	if e.Reason == session.Internal {
		level = slog.LevelError
	}
	attrs := append(about(x), slog.String("stream", e.Stream), slog.String("reason", e.Reason.String()),
		slog.Duration("dur", e.Duration.Round(time.Millisecond)), slog.Uint64("received", x.BytesIn.Load()), slog.Uint64("sent", x.BytesOut.Load()))
	if e.Role == session.Publish {
		attrs = append(attrs, slog.Uint64("frames", x.Frames.Load()))
	}
	if n := x.Skips.Load(); n > 0 {
		attrs = append(attrs, slog.Uint64("skips", n))
	}
	if e.Err != nil && !e.Reason.Normal() {
		attrs = append(attrs, slog.String("err", session.ErrorText(e.Err, maxLogged)))
	}
	s.log.Log(context.Background(), level, message, attrs...) //nolint:sloglint // one of three constants
}

// tooMany is called for an HTTP connection that a limit refused.
func (s *Server) tooMany(remote net.Addr, limit string) {
	s.metrics.Rejected(session.Limit.String())
	s.reach("limits."+limit, 0)
	s.log.Warn("HTTP connection refused: the limit is reached", slog.String("limit", "limits."+limit), slog.String("remote", remote.String()))
}

// refused passes on that a peer does not get what it asked for.
func (s *Server) refused(r *admit.Request, path string, refusal *session.Refusal) {
	s.reached(refusal)
	if r.Role == session.Publish {
		s.tracker.Refused(described(r), path, refusal)
	}
}

// allowed passes on that a service which waits for the end has let a peer in.
func (s *Server) allowed(r *admit.Request, path string) {
	who := described(r)
	if who.Shown = r.Shown(); !s.hooks.Queries() {
		who.Shown = &session.Shown{Base: who.Shown.Base}
	}
	s.tracker.Allowed(who, r.Role, path)
}

// leftUnanswered passes on that such a service has let a peer in that had gone meanwhile.
func (s *Server) leftUnanswered(r *admit.Request) {
	if r.Connects() {
		s.tracker.NeverConnected(described(r), r.Path)
		return
	}
	s.allowed(r, r.Told())
	s.tracker.Gone(r.ID(), r.Role, session.EOF)
}

// described returns what events say of who makes a request.
func described(r *admit.Request) *event.Session {
	remote := r.Remote.String()
	if r.InProcess {
		remote = r.Protocol
	}
	return event.Peer(r.ID(), r.Protocol, r.Role, remote, r.UserAgent, r.Via, r.TLS)
}

// segments tells of segments of media as events.
type segments struct{ s *Server }

// Wanted implements protocol.Segments.
func (t segments) Wanted() bool { return t.s.events.Wanted(event.SegmentDone) }

// Done implements protocol.Segments.
func (t segments) Done(d protocol.Segment) {
	data := map[string]any{
		"protocol": d.Protocol, "rendition": d.Rendition, "number": d.Number, "url": d.URL, "playlist": d.Playlist,
		"duration": d.Duration.Round(time.Millisecond).Seconds(), "size": d.Size, "begin": d.Begin.UTC().Round(time.Millisecond), "discontinuous": d.Discontinuous,
	}
	if d.File != "" {
		data["file"] = d.File
	}
	t.s.tracker.Segment(d.Path, data)
}

// limitErrors are the keys of the limits that other errors than *session.LimitError stand for.
var limitErrors = []struct {
	err error
	key string
}{
	{stream.ErrTooManyStreams, "limits.streams"},
	{stream.ErrTooManyPlayers, "play.max_players"},
}

// counted is what metrics count from the start.
func counted() metrics.Counted {
	c := metrics.Counted{Protocols: ProtocolNames(), Limits: append(session.LimitNames(), "stream_bitrate")}
	for _, r := range session.Reasons() {
		c.Reasons = append(c.Reasons, r.String())
	}
	for _, l := range limitErrors {
		_, name, _ := strings.Cut(l.key, ".")
		c.Limits = append(c.Limits, name)
	}
	return c
}

// reached passes on that a limit was reached, if err says so.
func (s *Server) reached(err error) {
	if l, ok := errors.AsType[*session.LimitError](err); ok {
		s.reach("limits."+l.Key(), l.Max)
		return
	}
	if b, ok := errors.AsType[*ingest.BitrateError](err); ok {
		if !b.Own {
			s.reach("limits.stream_bitrate", int(b.Max))
		}
		return
	}
	for _, l := range limitErrors {
		if errors.Is(err, l.err) {
			s.reach(l.key, 0)
			return
		}
	}
}

// reach counts that a limit was reached, and passes it on. key is the limit's in the configuration, and most its
// value, 0 if it is not known here.
func (s *Server) reach(key string, most int) {
	_, name, _ := strings.Cut(key, ".")
	s.metrics.Limited(name)
	s.tracker.Limit(key, most)
}

// reloaded passes on that a change of the configuration is in force.
func (s *Server) reloaded(c *Change) {
	changed := []string{}
	for _, k := range c.Changed {
		if k.When != config.Restart {
			changed = append(changed, k.Path)
		}
	}
	s.events.Publish(event.Event{Type: event.ConfigReloaded, Data: map[string]any{"changed": changed, "restart": append([]string{}, c.Waiting...)}})
}

// maxLogged bounds what a peer can make a log line hold.
const maxLogged = 512

func about(x *session.Session) []any {
	return []any{
		slog.String("protocol", x.Protocol), slog.String("session", x.ID), slog.String("remote", x.From()),
	}
}

// repairText says what was wrong with a publisher's frames, and what becomes of them.
var repairText = map[stream.Repair]string{
	stream.Clamped:    "a timestamp went back a little, and is held at the one before",
	stream.Jump:       "the clock jumped, and the timeline goes on without a gap",
	stream.Shifted:    "a track began far from the others, and was moved to them",
	stream.Mislabeled: "a frame is marked as a key frame and is none, or the other way round, and is marked by what it holds",
	stream.Dropped:    "frames are left out: there are more than 16 tracks of a kind, the metadata is over 64 KB, or video came before a new publisher's first key frame",
}

// notify logs the events of streams, but those that are faults: see healthChanged.
func (s *Server) notify(e stream.Event) {
	s.tracker.Stream(e)
	at := slog.String("stream", e.Path)
	switch e.Kind {
	case stream.Started:
		s.log.Info("stream started", at)
	case stream.Waiting:
		grace := s.streamConfig(e.Path).Publish.Grace
		if e.Unpublished {
			grace = s.streamConfig(e.Path).Publish.GraceAfterStop
		}
		s.log.Info("publisher left: waiting for it to return", at, slog.Bool("unpublished", e.Unpublished), slog.Duration("grace", grace))
	case stream.Resumed:
		s.metrics.Reconnected()
		s.log.Info("stream goes on with a new publisher", at)
	case stream.Ended:
		s.log.Info("stream ended", at)
	case stream.NoKeyFrames:
		s.log.Warn("no key frame for so long that new players get no picture until the next one: "+
			"set the encoder's key-frame interval to 2 seconds (OBS: Keyframe Interval; ffmpeg: -g)", at)
	case stream.Fighting:
		s.log.Warn("several publishers keep taking over this stream: the current one keeps it for 30 s; give each its own name", at)
	case stream.Repaired:
		s.log.Warn("repairing the publisher's frames; further repairs of this kind are only counted",
			at, slog.String("repair", e.Repair.String()), slog.String("what", repairText[e.Repair]))
	}
	if e.Kind == stream.Started || e.Kind == stream.Resumed {
		s.record(e)
	}
	if e.Kind == stream.Retracked {
		for _, f := range s.retracked {
			f(e.Path)
		}
	}
	s.push.Stream(e)
	if s.opt.Notify != nil {
		s.opt.Notify(e)
	}
}
