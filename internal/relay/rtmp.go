package relay

import (
	"context"
	"errors"
	"io"

	"weir/av"
	"weir/format/flv"
	"weir/rtmp"
)

// rtmpSource plays an RTMP stream.
type rtmpSource struct {
	client *rtmp.Client
	play   *rtmp.PlayStream
	flvFeed
}

func openRTMP(ctx context.Context, name string, a Access) (Source, error) {
	c, err := rtmp.Dial(ctx, name, rtmp.DialOptions{Plays: true, Caps: rtmp.AnyCodec(), TLSConfig: a.tls(), Timeout: a.timeout()})
	if err != nil {
		return nil, plain(err)
	}
	p, err := c.Play(ctx)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return &rtmpSource{client: c, play: p}, nil
}

func (s *rtmpSource) Live() bool           { return true }
func (s *rtmpSource) Close() error         { return s.client.Close() }
func (s *rtmpSource) Condition() Condition { return s.condition() }

// ReadFrame reads messages until one gives a frame.
func (s *rtmpSource) ReadFrame() (*av.Frame, error) {
	for {
		if f, ok := s.next(); ok {
			return f, nil
		}
		m, err := s.play.ReadMessage()
		if errors.Is(err, rtmp.ErrClosedByPeer) {
			err = io.EOF
		}
		if err != nil {
			return nil, err
		}
		s.feed(flv.TagType(m.Type), m.Timestamp, m.Payload)
	}
}
