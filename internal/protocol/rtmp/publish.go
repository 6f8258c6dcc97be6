package rtmp

import (
	"context"
	"errors"
	"log/slog"

	"weir/format/flv"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

// Publish implements rtmp.Handler.
func (p *Protocol) Publish(ctx context.Context, rs *rtmp.ServerSession, r *rtmp.PublishRequest) (rtmp.Publication, error) {
	pr := peerOf(ctx)
	if err := protocol.CheckPublishPath(r.Path); err != nil {
		return nil, refuse(rtmp.CodePublishBadName, p.env.Refuse("path", err))
	}
	if err := p.env.Allow(ctx, pr.session, session.Publish, r.Path, r.RawQuery); err != nil {
		return nil, refuse(rtmp.CodePublishDenied, err)
	}
	pub, err := p.env.Hub.Publish(r.Path, stream.Info{
		Session: pr.session.ID, Protocol: p.env.Name, Remote: pr.session.Remote.String(),
		End: func(cause error) { rs.Close(endOfPublisher(cause)) },
	})
	switch {
	case errors.Is(err, stream.ErrBusy), errors.Is(err, stream.ErrFighting):
		return nil, refuse(rtmp.CodePublishBadName, p.env.Refuse("conflict", err))
	case err != nil:
		return nil, refuse(rtmp.CodePublishFailed, p.env.Refuse("limit", err))
	}
	pr.session.Promote(session.Publish, r.Path)
	b := &publication{p: p, peer: pr, pub: pub, ingest: p.env.NewIngest(pub), path: r.Path, unpaced: func() {}}
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

// refuse makes what the peer is told of an error that says why.
func refuse(code string, err error) error {
	return session.Because(session.ReasonOf(err), errors.Join(&rtmp.StatusError{
		Level: rtmp.LevelError, Code: code, Description: err.Error(),
	}, err))
}

// endOfPublisher is what a publisher is told that the hub ends.
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
	p      *Protocol
	peer   *peer
	pub    *stream.Publisher
	ingest *protocol.Ingest
	path   string
	// unpaced ends what Publishing of the connection began.
	unpaced func()
}

// Message implements rtmp.Publication.
func (b *publication) Message(m *rtmp.Message) error {
	b.peer.session.BytesIn.Add(uint64(len(m.Payload)))
	b.peer.session.Frames.Add(1)
	err := b.ingest.Tag(flv.TagType(m.Type), m.Timestamp, m.Payload)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, stream.ErrTakenOver):
		return endOfPublisher(err)
	case errors.Is(err, protocol.ErrBitrate):
		return session.Because(session.Limit, &rtmp.StatusError{
			Level: rtmp.LevelError, Code: rtmp.CodePublishRejected, Description: err.Error(),
		})
	case errors.Is(err, protocol.ErrBadTags), errors.Is(err, flv.ErrUnknownCodec):
		return session.Because(session.ProtocolError, &rtmp.StatusError{
			Level: rtmp.LevelError, Code: rtmp.CodePublishFailed, Description: err.Error(),
		})
	}
	return err
}

// Close implements rtmp.Publication.
func (b *publication) Close(cause error) {
	var end error // none: the stream waits for the publisher's return
	if errors.Is(cause, session.ErrKicked) {
		end = cause
	}
	b.pub.Close(end)
	b.unpaced()
	if errors.Is(cause, rtmp.ErrUnpublished) {
		b.p.env.Log.Info("unpublished", b.peer.about(), slog.String("stream", b.path))
		if b.peer.session.Stream() == b.path { // else it publishes another one besides
			b.peer.session.Promote(session.Pending, "")
		}
	}
}
