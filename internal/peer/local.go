package peer

import (
	"context"
	"errors"
	"sync"

	"weir/av"
	"weir/internal/session"
	"weir/internal/stream"
)

// LocalPublisher is a publisher within the program: like any other it came through the door and has
// a session, which can be listed and ended. It is for one goroutine.
type LocalPublisher struct {
	pub     *stream.Publisher
	session *session.Session
	running context.Context //nolint:containedctx // it ends with the session
	cancel  context.CancelCauseFunc
	release func() bool // undoes the AfterFunc of the context
}

// PublishLocal makes the program itself publish the stream at path. When ctx ends or the session is
// kicked the stream ends, without grace. It fails with a *session.Refusal, or as Open does.
func (d *Door) PublishLocal(ctx context.Context, path string) (*LocalPublisher, error) {
	return d.PublishFrom(ctx, path, "")
}

// PublishFrom is PublishLocal of what the program fetches from a host.
func (d *Door) PublishFrom(ctx context.Context, path, host string) (*LocalPublisher, error) {
	running, cancel := context.WithCancelCause(ctx)
	s, err := d.Sessions.Open(session.Info{Protocol: d.Name, InProcess: true, Source: host, Cancel: cancel})
	if err != nil {
		cancel(nil)
		return nil, err
	}
	pub, err := d.Publish(ctx, s, Ask{Path: path}, func(cause error) { s.CloseWith(EndOfPublisher(cause)) })
	if err != nil {
		cancel(nil)
		s.CloseWith(err)
		return nil, err
	}
	release := context.AfterFunc(running, func() {
		cause := context.Cause(running)
		pub.Close(cause)
		s.CloseWith(cause)
	})
	return &LocalPublisher{pub, s, running, cancel, release}, nil
}

// Write gives the stream its next frame, as stream.Publisher.Write does.
func (p *LocalPublisher) Write(f *av.Frame) error {
	p.session.BytesIn.Add(uint64(len(f.Payload)))
	p.session.Frames.Add(1)
	return p.pub.Write(f)
}

// Expect says which tracks are to come, as stream.Publisher.Expect does.
func (p *LocalPublisher) Expect(video, audio bool) { p.pub.Expect(video, audio) }

// Session is the publisher's session.
func (p *LocalPublisher) Session() *session.Session { return p.session }

// Cause is why the publisher was ended by its session or its context; nil while it was not.
func (p *LocalPublisher) Cause() error { return context.Cause(p.running) }

// Close ends the publisher after a proper stop.
func (p *LocalPublisher) Close() {
	p.end(stream.ErrUnpublished, nil, session.Unpublish)
}

// Lose ends a publisher whose source is gone because of err: the stream waits for its return as for that of a publisher
// whose connection broke.
func (p *LocalPublisher) Lose(err error) { p.end(nil, err, session.ReasonOf(err)) }

// Abandon ends the publisher, and the stream with it, because of err.
func (p *LocalPublisher) Abandon(err error) { p.end(err, err, session.ReasonOf(err)) }

// end ends the publisher with a cause for the stream, and an error and a reason for the session.
func (p *LocalPublisher) end(cause, err error, reason session.Reason) {
	p.release()
	p.pub.Close(cause)
	p.session.Close(reason, err)
	p.cancel(nil)
}

// EndOfPublisher gives the causes with which the hub ends publishers their reasons.
func EndOfPublisher(cause error) error {
	switch {
	case cause == nil:
		return session.ErrShutdown
	case errors.Is(cause, stream.ErrTakenOver):
		return session.Because(session.Takeover, cause)
	}
	return cause
}

// LocalPlayer is a player within the program. It is for one goroutine, except Close.
type LocalPlayer struct {
	*stream.Follower
	view    *View
	session *session.Session
	cancel  context.CancelCauseFunc
	release func() bool // undoes the AfterFunc of the context
	once    sync.Once
}

// PlayLocal makes the program itself play the stream at path, also before it is published. It fails
// with a *session.Refusal, or as Open does.
func (d *Door) PlayLocal(path string) (*LocalPlayer, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	s, err := d.Sessions.Open(session.Info{Protocol: d.Name, InProcess: true, Cancel: cancel})
	if err != nil {
		cancel(nil)
		return nil, err
	}
	view, err := d.Play(ctx, s, Ask{Path: path}, nil)
	if err != nil {
		cancel(nil)
		s.CloseWith(err)
		return nil, err
	}
	s.Promote(session.Play, view.Stream.Path())
	p := &LocalPlayer{Follower: view.Stream.Follow(stream.FollowOptions{}), view: view, session: s, cancel: cancel}
	p.release = context.AfterFunc(ctx, func() { p.end(context.Cause(ctx)) })
	return p, nil
}

// Close ends the player; a Next in progress fails.
func (p *LocalPlayer) Close() {
	p.release()
	p.cancel(nil)
	p.end(nil)
}

func (p *LocalPlayer) end(cause error) {
	p.once.Do(func() {
		p.Follower.Close()
		p.view.Leave()
		p.session.CloseWith(cause)
	})
}
