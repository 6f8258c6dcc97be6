package rtmp

import (
	"context"
	"errors"
	"log/slog"

	"weir/amf"
	"weir/format/flv"
	"weir/internal/hops"
	"weir/internal/ingest"
	"weir/internal/peer"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

// Publish implements rtmp.Handler.
func (p *Protocol) Publish(ctx context.Context, rs *rtmp.ServerSession, r *rtmp.PublishRequest) (rtmp.Publication, error) {
	c := connectionOf(ctx)
	s, err := c.publisher(p, rs)
	if err != nil {
		return nil, refuse(rtmp.CodePublishFailed, err)
	}
	pub, err := p.env.Publish(ctx, s, c.ask(r.Path, r.RawQuery), func(cause error) { rs.Close(endOfPublisher(cause)) })
	if err != nil {
		if s != c.session {
			s.CloseWith(err)
		}
		code := rtmp.CodePublishDenied
		switch session.ReasonOf(err) {
		case session.Path, session.Conflict:
			code = rtmp.CodePublishBadName
		case session.Limit:
			code = rtmp.CodePublishFailed
		}
		return nil, refuse(code, err)
	}
	b := &publication{p: p, conn: c, session: s, pub: pub, path: pub.Stream().Path(), unpaced: func() {}}
	b.feed = ingest.NewFLV(pub, ingest.Options{
		Now: p.env.Hub.Now, Bitrate: p.env.BitrateOf(s),
		Dropped: func(reason string) { p.env.Metrics.Dropped(p.env.Name, reason) },
	})
	if c.tcp != nil {
		pacer := p.env.Pacer
		if pub.Stream().Settings().Low {
			pacer = nil
		}
		b.unpaced = c.tcp.Publishing(pacer)
		if c.tls != nil {
			c.tls.Publishing()
		}
	}
	return b, nil
}

// publisher returns the session of a stream that is to be published: the connection's own or, while that is about
// another stream, one of the stream's own, so that its grant, limits and counters are its own.
func (c *connection) publisher(p *Protocol, rs *rtmp.ServerSession) (*session.Session, error) {
	if c.session.Role() == session.Pending {
		return c.session, nil
	}
	s, err := p.env.Sessions.Open(session.Info{
		Protocol: p.env.Name, Remote: c.session.Remote, UserAgent: c.session.UserAgent(), TLS: c.session.TLS(), Via: c.via, Cancel: rs.Close,
	})
	if err == nil {
		s.SetNetwork(c.session.Network)
	}
	return s, err
}

// refuse returns err with the status that tells the peer of it. A peer that is sent elsewhere is told so by the status
// of RTMP's redirection, whatever it has asked for.
func refuse(code string, err error) error {
	st := &rtmp.StatusError{Level: rtmp.LevelError, Code: code, Description: session.PeerText(err)}
	switch reason := session.ReasonOf(err); reason {
	case session.Loop, session.Takeover, session.Conflict: // which a server must know from other refusals
		st.Properties = amf.Object{{Key: hops.Reason, Value: reason.String()}}
	}
	if r, ok := errors.AsType[*session.Refusal](err); ok && r.Redirect != "" {
		st.Code = rtmp.CodeConnectRejected
		st.Properties = amf.Object{{Key: "ex", Value: amf.Object{{Key: "code", Value: 302.0}, {Key: "redirect", Value: r.Redirect}}}}
	}
	return session.Because(session.ReasonOf(err), errors.Join(st, err))
}

// endOfPublisher returns the cause of a publisher that the hub ends, with the status for the peer if it was taken over.
func endOfPublisher(cause error) error {
	end := peer.EndOfPublisher(cause)
	if errors.Is(cause, stream.ErrTakenOver) {
		return refuse(rtmp.CodePublishFailed, end)
	}
	return end
}

// publication is a stream being published.
type publication struct {
	p       *Protocol
	conn    *connection
	session *session.Session // the connection's, or its own
	pub     *stream.Publisher
	feed    *ingest.FLV
	path    string
	// unpaced undoes the connection's Publishing.
	unpaced func()
}

// Message implements rtmp.Publication.
func (b *publication) Message(m *rtmp.Message) error {
	b.session.BytesIn.Add(uint64(len(m.Payload)))
	b.session.Frames.Add(1)
	err := b.feed.Tag(flv.TagType(m.Type), m.Timestamp, m.Payload)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, stream.ErrTakenOver):
		return endOfPublisher(err)
	case errors.As(err, new(*ingest.BitrateError)):
		return session.Because(session.ReasonOf(err), errors.Join(&rtmp.StatusError{
			Level: rtmp.LevelError, Code: rtmp.CodePublishRejected, Description: err.Error(),
		}, err))
	case errors.Is(err, ingest.ErrMalformed), errors.Is(err, ingest.ErrUnusable):
		return session.Because(session.ReasonOf(err), &rtmp.StatusError{
			Level: rtmp.LevelError, Code: rtmp.CodePublishFailed, Description: err.Error(),
		})
	}
	return err
}

// Close implements rtmp.Publication.
func (b *publication) Close(cause error) {
	var end error // nil: the connection broke, and the stream waits for the publisher's return
	switch {
	case session.ReasonOf(cause).Final():
		end = cause
	case errors.Is(cause, rtmp.ErrUnpublished):
		end = stream.ErrUnpublished
	}
	b.pub.Close(end)
	b.unpaced()
	unpublished := errors.Is(cause, rtmp.ErrUnpublished)
	if unpublished {
		b.p.env.Log.Info("unpublished", slog.String("session", b.session.ID), slog.String("remote", b.session.From()), slog.String("stream", b.path))
	}
	switch {
	case b.session != b.conn.session:
		b.session.CloseWith(endOfSession(cause))
	case unpublished:
		b.session.Promote(session.Pending, "")
	}
}
