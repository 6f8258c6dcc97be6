package pull

import (
	"context"
	"errors"
	"io"
	"net/url"
	"time"

	"weir/av"
	"weir/internal/fetch"
	"weir/internal/hops"
	"weir/internal/ingest"
	"weir/internal/peer"
	"weir/internal/reach"
	"weir/internal/session"
	"weir/internal/stream"
)

// opened is a source that sends.
type opened struct {
	fetch.Source
	url    string
	plan   *Plan
	number int // among the sources of the plan
	close  func()
	guard  *reach.Guard
}

// errSlow ends a source that does not answer.
var errSlow = session.Because(session.Timeout, errors.New("it has not answered within the silence that is allowed: nobody publishes the stream there, or the server hangs"))

// open opens source number i of a plan, which ends with ctx. Close it.
func (p *pull) open(ctx context.Context, plan *Plan, i int, through []string) (*opened, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	limit := time.AfterFunc(plan.Silence, func() { cancel(errSlow) })
	pin, _ := reach.ParseFingerprint(plan.Pin) // it has been checked
	access := fetch.Access{
		Insecure: plan.Insecure, Pin: pin, Trust: "write the certificate's fingerprint as pin", Timeout: plan.Silence, Header: plan.header(), Hops: append(through, hops.Entry(p.m.opt.Server, p.path)), Paced: true, MaxFrame: ingest.MaxFrame, Place: &p.memory(plan, i).place,
	}
	g := &reach.Guard{Open: plan.Private, Foreign: plan.By == ByAPI || plan.By == ByHook}
	access.Control = g.Control
	src, err := p.m.opt.Open(ctx, plan.Sources[i], access)
	if !limit.Stop() && err == nil {
		_ = src.Close()
		err = errSlow
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		} else if errors.Is(err, io.EOF) {
			err = session.Because(session.EOF, errors.New("the server has closed the connection instead of answering"))
		}
		cancel(nil)
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = src.Close() }) // ends a read in progress
	return &opened{src, plan.Sources[i], plan, i, func() {
		stop()
		cancel(nil)
		_ = src.Close()
	}, g}, nil
}

// errOccupied says that somebody else publishes the stream.
var errOccupied = errors.New("somebody publishes the stream here")

// feed publishes what a source sends, the headers in h first, until it ends or ctx does. It returns for how long it sent
// media, more than 0 if it sent any, and why it ended, never nil.
func (p *pull) feed(ctx context.Context, src *opened, h *heads) (time.Duration, error) {
	defer src.close()
	var pub *peer.LocalPublisher
	var feed *ingest.Feed
	var first, last time.Time
	for {
		f, err := src.ReadFrame()
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		switch {
		case err == nil && pub == nil && f.Type != av.Media:
			h.note(f)
			continue
		case err == nil && pub == nil:
			if pub, feed, err = p.publish(ctx, src, h); err == nil {
				err = p.write(pub, feed, f)
			}
		case err == nil:
			err = p.write(pub, feed, f)
		}
		if err != nil {
			err = p.end(ctx, pub, err)
			if pub == nil {
				return 0, err
			}
			return max(last.Sub(first), 1), err
		}
		if f.Type == av.Media {
			if last = time.Now(); first.IsZero() {
				first = last
			}
		}
	}
}

// publish makes the stream the source's, with its headers.
func (p *pull) publish(ctx context.Context, src *opened, h *heads) (*peer.LocalPublisher, *ingest.Feed, error) {
	if p.occupied() {
		return nil, nil, errOccupied
	}
	pub, err := p.m.opt.Door.PublishFrom(context.WithoutCancel(ctx), p.path, hostOf(src.url)) // its end is ours
	if err != nil {
		return nil, nil, err
	}
	pub.Session().SetUserAgent(session.Redact(src.url))
	feed := ingest.NewFeed(pub, ingest.Options{Now: p.m.opt.Hub.Now, Bitrate: func() (int64, bool) { return p.m.opt.Bitrate(), false }})
	p.alive(src, pub.Session().ID)
	for _, f := range h.frames {
		if err := p.write(pub, feed, f); err != nil {
			return pub, feed, err
		}
	}
	return pub, feed, nil
}

// hostOf returns the host of a URL, with its port if it has one.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}

// write gives the stream one frame.
func (p *pull) write(pub *peer.LocalPublisher, feed *ingest.Feed, f *av.Frame) error {
	now := p.m.opt.Hub.Now()
	if err := feed.Meter(now, len(f.Payload)); err != nil {
		return err
	}
	f.Arrived = now
	err := feed.Write(f)
	if cause := pub.Cause(); err != nil && cause != nil {
		return cause // somebody ended the session
	}
	return err
}

// end ends the publisher, if there is one, as its source ended, and returns why.
func (p *pull) end(ctx context.Context, pub *peer.LocalPublisher, err error) error {
	p.dead()
	if pub == nil {
		return p.because(err)
	}
	switch cause := context.Cause(ctx); {
	case cause != nil && !errors.Is(cause, errAgain):
		pub.Abandon(cause)
	case errors.Is(err, io.EOF) && !errors.Is(err, fetch.ErrLost):
		pub.Close()
	default:
		pub.Lose(p.because(err))
	}
	return p.because(err)
}

// because gives the end of a source a reason and a sentence; io.EOF, which would end all tries, too.
func (p *pull) because(err error) error {
	switch {
	case errors.Is(err, fetch.ErrLost):
		return session.Because(session.EOF, errors.New("the source's connection was lost"))
	case errors.Is(err, io.EOF):
		return session.Because(session.StreamEnded, errors.New("the source has ended the stream"))
	case errors.Is(err, stream.ErrTakenOver):
		return session.Because(session.Takeover, err)
	}
	return err
}
