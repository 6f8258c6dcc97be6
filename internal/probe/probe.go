// Package probe looks at a stream's frames for a while and tells what is in it and what is
// wrong with it.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"weir/amf"
	"weir/av"
	"weir/codec"
	"weir/format/flv"
)

// The bounds past which something is a fault.
const (
	maxOffset   = 100 * time.Millisecond
	maxGap      = time.Second
	maxKeyGap   = 10 * time.Second
	maxBackward = 0
)

// Source is where the frames come from.
type Source interface {
	ReadFrame() (*av.Frame, error)
	Live() bool   // they come in real time
	Close() error // a ReadFrame in progress fails
}

// grace is how long a live stream may take to begin.
const grace = 10 * time.Second

// Run reads s for duration of its own time and reports. It fails if no frame came at all.
func Run(ctx context.Context, s Source, duration time.Duration) (*Report, error) {
	bounded, cancel := context.WithTimeout(ctx, duration+grace)
	defer cancel()
	defer context.AfterFunc(bounded, func() { _ = s.Close() })()
	p := newProber()
	begin := time.Now()
	for {
		f, err := s.ReadFrame()
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && bounded.Err() == nil && p.frames == 0 {
				return nil, err
			}
			break
		}
		p.add(f)
		if p.length() >= duration || s.Live() && time.Since(begin) >= duration {
			break
		}
	}
	if p.frames == 0 {
		return nil, fmt.Errorf("no frames came within %v: nobody publishes the stream, or it has no key frame", duration)
	}
	return p.report(), nil
}

type key struct {
	kind av.Kind
	id   uint8
}

// track is what is known of one track.
type track struct {
	info     av.Track
	nalSize  int
	config   bool
	frames   int
	bytes    int64
	first    time.Duration
	last     time.Duration
	pts      time.Duration // highest so far
	reorder  bool
	keys     []time.Duration
	keyAt    []int // frame numbers of keys
	mislabel int
	back     int
	gaps     int
	largest  time.Duration
}

type prober struct {
	tracks   map[key]*track
	order    []key
	metadata amf.Object
	frames   int
	begun    bool
	first    time.Duration
	last     time.Duration
}

func newProber() *prober { return &prober{tracks: map[key]*track{}} }

func (p *prober) length() time.Duration { return p.last - p.first }

func (p *prober) add(f *av.Frame) {
	if f.Kind == av.Data {
		if name, props, err := flv.ParseMetadata(f.Payload); err == nil && name == "onMetaData" {
			p.metadata = props
		}
		return
	}
	k := key{f.Kind, f.Track}
	t := p.tracks[k]
	if t == nil {
		t = &track{info: av.Track{Kind: f.Kind, ID: f.Track, Codec: f.Codec}}
		p.tracks[k] = t
		p.order = append(p.order, k)
	}
	switch f.Type {
	case av.Config:
		if info, err := codec.Describe(f.Codec, f.Kind, f.Payload); err == nil {
			info.ID = f.Track
			t.info = info
		}
		t.config = true
		t.nalSize = codec.NALLengthSize(f.Codec, f.Payload)
	case av.Media:
		p.media(t, f)
	}
}

func (p *prober) media(t *track, f *av.Frame) {
	p.frames++
	if !p.begun {
		p.begun, p.first, p.last = true, f.DTS, f.DTS
	}
	p.last = max(p.last, f.DTS)
	if t.frames == 0 {
		t.first, t.last, t.pts = f.DTS, f.DTS, f.PTS
		if !t.config {
			if info, err := codec.DescribeFrame(f.Codec, f.Kind, f.Payload); err == nil {
				info.ID = f.Track
				t.info = info
			}
		}
	}
	d := f.DTS - t.last
	switch {
	case d < maxBackward:
		t.back++
	case d > maxGap:
		t.gaps++
	}
	t.largest = max(t.largest, d)
	t.last = f.DTS
	if f.PTS < t.pts {
		t.reorder = true
	}
	t.pts = max(t.pts, f.PTS)
	if f.Kind == av.Video {
		isKey := f.IsKey()
		if real, known := codec.IsKey(f.Codec, f.Payload, t.nalSize); known && real != isKey {
			t.mislabel++
			isKey = real
		}
		if isKey {
			t.keys = append(t.keys, f.DTS)
			t.keyAt = append(t.keyAt, t.frames)
		}
	}
	t.frames++
	t.bytes += int64(len(f.Payload))
}
