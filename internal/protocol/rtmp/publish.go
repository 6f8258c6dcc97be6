package rtmp

import (
	"context"
	"errors"
	"log/slog"

	"weir/format/flv"
	"weir/internal/ingest"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

// Publish implements rtmp.Handler.
func (p *Protocol) Publish(ctx context.Context, rs *rtmp.ServerSession, r *rtmp.PublishRequest) (rtmp.Publication, error) {
	pr := connectionOf(ctx)
	pub, err := p.env.Publish(ctx, pr.session, pr.ask(r.Path, r.RawQuery), func(cause error) { rs.Close(endOfPublisher(cause)) })
	if err != nil {
		code := rtmp.CodePublishDenied
		switch session.ReasonOf(err) {
		case session.Path, session.Conflict:
			code = rtmp.CodePublishBadName
		case session.Limit:
			code = rtmp.CodePublishFailed
		}
		return nil, refuse(code, err)
	}
	b := &publication{p: p, peer: pr, pub: pub, path: pub.Stream().Path(), unpaced: func() {}}
	b.feed = ingest.NewFLV(pub, ingest.Options{
		Now: p.env.Hub.Now, Bitrate: p.env.BitrateOf(pr.session),
		Dropped: func(reason string) { p.env.Metrics.Dropped(p.env.Name, reason) },
	})
	if pr.conn != nil {
		pacer := p.env.Pacer
		if pub.Stream().Settings().Low {
			pacer = nil
		}
		b.unpaced = pr.conn.Publishing(pacer)
		if pr.tls != nil {
			pr.tls.Publishing()
		}
	}
	return b, nil
}

// refuse returns err with the status that tells the peer of it.
func refuse(code string, err error) error {
	return session.Because(session.ReasonOf(err), errors.Join(&rtmp.StatusError{
		Level: rtmp.LevelError, Code: code, Description: session.PeerText(err),
	}, err))
}

// endOfPublisher returns the cause, with the status for the peer, of a publisher that the hub ends.
func endOfPublisher(cause error) error {
	switch {
	case errors.Is(cause, stream.ErrTakenOver):
		return session.Because(session.Takeover, &rtmp.StatusError{
			Level: rtmp.LevelError, Code: rtmp.CodePublishFailed, Description: "Another publisher took over this stream.",
		})
	case cause == nil:
		return session.ErrShutdown
	}
	return cause
}

// publication is a stream being published.
type publication struct {
	p    *Protocol
	peer *connection
	pub  *stream.Publisher
	feed *ingest.FLV
	path string
	// unpaced undoes the connection's Publishing.
	unpaced func()
}

// Message implements rtmp.Publication.
func (b *publication) Message(m *rtmp.Message) error {
	b.peer.session.BytesIn.Add(uint64(len(m.Payload)))
	b.peer.session.Frames.Add(1)
	err := b.feed.Tag(flv.TagType(m.Type), m.Timestamp, m.Payload)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, stream.ErrTakenOver):
		return endOfPublisher(err)
	case errors.Is(err, ingest.ErrBitrate):
		return session.Because(session.ReasonOf(err), &rtmp.StatusError{
			Level: rtmp.LevelError, Code: rtmp.CodePublishRejected, Description: err.Error(),
		})
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
	if errors.Is(cause, rtmp.ErrUnpublished) {
		b.p.env.Log.Info("unpublished", b.peer.about(), slog.String("stream", b.path))
		if b.peer.session.Stream() == b.path { // otherwise it also publishes another stream
			b.peer.session.Promote(session.Pending, "")
		}
	}
}
