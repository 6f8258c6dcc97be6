package ingest

import (
	"errors"

	"weir/av"
	"weir/format/flv"
)

// FLV feeds a publisher from FLV tag bodies, as RTMP messages and FLV files carry them. It
// belongs to one goroutine.
type FLV struct {
	feed   *Feed
	demux  flv.Demuxer
	frames []av.Frame
	clock  av.Unwrapper
}

// NewFLV returns an FLV for pub, with a Feed of its own.
func NewFLV(pub Publisher, o Options) *FLV { return &FLV{feed: NewFeed(pub, o)} }

// Tag takes one tag body, which the caller must not use again. Once the publisher has ended, or
// must be ended because it sends garbage or too much, Tag returns the cause.
func (in *FLV) Tag(t flv.TagType, ts uint32, body []byte) error {
	now := in.feed.now()
	if err := in.feed.Meter(now, len(body)); err != nil {
		return err
	}
	frames, err := in.demux.Demux(in.frames[:0], t, in.clock.Unwrap(ts), body)
	in.frames = frames[:0]
	switch {
	case errors.Is(err, flv.ErrUnknownCodec):
		err = in.feed.Unknown(now, err)
	case err != nil:
		err = in.feed.Malformed(now, err)
	}
	if err != nil {
		return err
	}
	for i := range frames {
		f := &frames[i]
		f.Arrived = now
		if err := in.feed.Write(f); err != nil {
			return err
		}
	}
	clear(frames)
	return nil
}
