// Package ingest takes what publishers send: Feed applies the limits that hold for every source,
// and FLV makes frames of the tag bodies that RTMP and FLV sources send.
package ingest

import (
	"errors"
	"fmt"
	"time"

	"weir/amf"
	"weir/av"
	"weir/format/flv"
	"weir/internal/session"
)

const (
	// MaxFrame is the largest frame that a publisher may send, in bytes; messages of RTMP are bounded by as much.
	MaxFrame = 8 << 20
	// maxMalformed is how many malformed messages a publisher may send in a minute.
	maxMalformed = 100
	// usableTime is how long a publisher may send only unknown codecs.
	usableTime = 10 * time.Second
	// bitrateWindow is the time over which the bitrate is measured.
	bitrateWindow = 5 * time.Second
)

// Errors with which a feed ends its publisher.
var (
	ErrMalformed = session.Because(session.ProtocolError, errors.New("too many malformed media messages"))
	ErrUnusable  = session.Because(session.Unsupported, errors.New("no track that can be used"))
)

// BitrateError ends a publisher that sends more than it may.
type BitrateError struct {
	Max int64 // bits per second
	Own bool  // the bound is that of its own grant, and not the server's for all
}

// Error says what the bound is.
func (e *BitrateError) Error() string {
	return fmt.Sprintf("bitrate over the limit: more than %d kbit/s", e.Max/1000)
}

// CloseReason implements session.Reasoner.
func (e *BitrateError) CloseReason() session.Reason { return session.Limit }

// Publisher is where the frames go: a *stream.Publisher, or a publisher within the program.
type Publisher interface {
	// Write gives the stream its next frame.
	Write(f *av.Frame) error
	// Expect says which tracks are to come.
	Expect(video, audio bool)
}

// Feed gives a publisher's frames to its stream and enforces the limits. It belongs to one goroutine.
type Feed struct {
	pub     Publisher
	now     func() time.Duration
	dropped func(reason string)
	limit   func() (most int64, own bool)

	since     time.Duration // when the minute of malformed messages began
	malformed int
	usable    bool
	unknown   time.Duration // when an unknown codec first came; 0: none has

	window time.Duration
	bytes  int64
}

// Options are what a feed needs besides its publisher.
type Options struct {
	// Now is the hub's clock.
	Now func() time.Duration
	// Dropped is told why a message was dropped.
	Dropped func(reason string)
	// Bitrate, if not nil, returns the present bound on what the publisher sends, in bits per second, and whether that is
	// the bound of its own grant; 0 is no bound.
	Bitrate func() (most int64, own bool)
}

// NewFeed returns a feed of pub.
func NewFeed(pub Publisher, o Options) *Feed {
	if o.Bitrate == nil {
		o.Bitrate = func() (int64, bool) { return 0, false }
	}
	return &Feed{pub: pub, now: o.Now, dropped: o.Dropped, limit: o.Bitrate}
}

// Write gives the stream the next frame, whose bytes Meter has counted. Once the publisher has
// ended it returns the cause. It refuses a frame of more than MaxFrame.
func (d *Feed) Write(f *av.Frame) error {
	if len(f.Payload) > MaxFrame {
		return session.Becausef(session.TooLarge, "a frame of %d bytes: a publisher may send at most %d in one", len(f.Payload), MaxFrame)
	}
	if f.Kind != av.Data {
		d.usable = true
	} else {
		d.script(f)
	}
	return d.pub.Write(f)
}

// script handles script data: onMetaData becomes stream metadata, and tells which tracks will come.
func (d *Feed) script(f *av.Frame) {
	if f.Type != av.Script {
		return
	}
	name, props, err := flv.ParseMetadata(f.Payload)
	switch {
	case err != nil:
		return
	case name == "@clearDataFrame":
		f.Type, f.Payload = av.Meta, nil
	case name == "onMetaData":
		f.Type = av.Meta
		d.pub.Expect(promises(props, "videocodecid", "width"), promises(props, "audiocodecid", "audiosamplerate"))
	}
}

func promises(props amf.Object, keys ...string) bool {
	for _, k := range keys {
		if v, ok := props.Get(k); ok && v != nil && v != float64(0) {
			return true
		}
	}
	return false
}

// Meter counts n bytes from the publisher. It fails with a *BitrateError beyond the limit.
func (d *Feed) Meter(now time.Duration, n int) error {
	limit, own := d.limit()
	if limit == 0 {
		return nil
	}
	if now-d.window > bitrateWindow {
		d.window, d.bytes = now, 0
	}
	if d.bytes += int64(n); d.bytes*8 > limit*int64(bitrateWindow/time.Second) {
		return &BitrateError{limit, own}
	}
	return nil
}

// Malformed counts a message that could not be parsed because of err. It fails with ErrMalformed after too many.
func (d *Feed) Malformed(now time.Duration, err error) error {
	d.dropped("malformed")
	if now-d.since > time.Minute {
		d.since, d.malformed = now, 0
	}
	if d.malformed++; d.malformed > maxMalformed {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// Unknown counts a message of an unknown codec. It fails with ErrUnusable when the publisher has
// sent nothing else for too long.
func (d *Feed) Unknown(now time.Duration, err error) error {
	d.dropped("unknown_codec")
	if d.unknown == 0 {
		d.unknown = now
	}
	if !d.usable && now-d.unknown > usableTime {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return nil
}
