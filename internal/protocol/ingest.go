package protocol

import (
	"errors"
	"fmt"
	"time"

	"weir/amf"
	"weir/av"
	"weir/format/flv"
	"weir/internal/stream"
)

const (
	// A publisher may send this many bad tags a minute.
	maxBadTags = 100
	// usableTime is how long a publisher may send nothing but codecs nobody knows.
	usableTime = 10 * time.Second
	// bitrateWindow is over what the bitrate limit is measured.
	bitrateWindow = 5 * time.Second
)

// Errors with which an ingest ends its publisher.
var (
	ErrBadTags = errors.New("too many malformed media messages")
	ErrBitrate = errors.New("bitrate over the limit")
)

// Ingest feeds a publisher from FLV tag bodies, as RTMP messages and FLV files carry
// them. It belongs to one goroutine.
type Ingest struct {
	pub     *stream.Publisher
	now     func() time.Duration
	dropped func(reason string)
	limit   int64 // bits per second; 0: none

	demux  flv.Demuxer
	frames []av.Frame
	clock  av.Unwrapper

	badSince time.Duration
	bad      int
	usable   bool
	unknown  time.Duration // when a codec that nobody knows came first; 0: none did

	window time.Duration
	bytes  int64
}

// NewIngest returns an ingest for pub. dropped is told why a message was dropped.
func (e *Env) NewIngest(pub *stream.Publisher) *Ingest {
	return &Ingest{pub: pub, now: e.Hub.Now, limit: e.Bitrate, dropped: func(reason string) { e.Metrics.Dropped(e.Name, reason) }}
}

// Tag takes one tag body, which the caller gives up. It returns the cause once the
// publisher has ended or must be: it was taken over, it sends rubbish or too much.
func (in *Ingest) Tag(t flv.TagType, ts uint32, body []byte) error {
	now := in.now()
	if err := in.meter(now, len(body)); err != nil {
		return err
	}
	frames, err := in.demux.Demux(in.frames[:0], t, in.clock.Unwrap(ts), body)
	in.frames = frames[:0]
	if err != nil {
		if err := in.fault(err, now); err != nil {
			return err
		}
	}
	for i := range frames {
		f := &frames[i]
		f.Arrived = now
		if f.Kind == av.Data {
			in.script(f)
		} else {
			in.usable = true
		}
		if err := in.pub.Write(f); err != nil {
			return err
		}
	}
	clear(frames)
	return nil
}

// fault counts a tag that could not be read whole.
func (in *Ingest) fault(err error, now time.Duration) error {
	if errors.Is(err, flv.ErrUnknownCodec) {
		in.dropped("unknown_codec")
		if in.unknown == 0 {
			in.unknown = now
		}
		if !in.usable && now-in.unknown > usableTime {
			return fmt.Errorf("no track that can be used: %w", err)
		}
		return nil
	}
	in.dropped("malformed")
	if now-in.badSince > time.Minute {
		in.badSince, in.bad = now, 0
	}
	if in.bad++; in.bad > maxBadTags {
		return fmt.Errorf("%w: %w", ErrBadTags, err)
	}
	return nil
}

// script makes stream metadata of onMetaData, and tells what it promises.
func (in *Ingest) script(f *av.Frame) {
	name, props, err := flv.ParseMetadata(f.Payload)
	switch {
	case err != nil:
		return
	case name == "@clearDataFrame":
		f.Type, f.Payload = av.Meta, nil
	case name == "onMetaData":
		f.Type = av.Meta
		in.pub.Expect(promises(props, "videocodecid", "width"), promises(props, "audiocodecid", "audiosamplerate"))
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

// meter enforces the bitrate limit.
func (in *Ingest) meter(now time.Duration, n int) error {
	if in.limit == 0 {
		return nil
	}
	if now-in.window > bitrateWindow {
		in.window, in.bytes = now, 0
	}
	if in.bytes += int64(n); in.bytes*8 > in.limit*int64(bitrateWindow/time.Second) {
		return fmt.Errorf("%w: more than %d kbit/s", ErrBitrate, in.limit/1000)
	}
	return nil
}
