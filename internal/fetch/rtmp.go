package fetch

import (
	"context"
	"errors"
	"fmt"

	"weir/amf"
	"weir/av"
	"weir/format/flv"
	"weir/internal/hops"
	"weir/internal/session"
	"weir/rtmp"
)

// rtmpSource plays an RTMP stream.
type rtmpSource struct {
	client *rtmp.Client
	play   *rtmp.PlayStream
	flvFeed
}

// openRTMP plays the stream of a URL, and follows its server's redirects.
func openRTMP(ctx context.Context, name string, a Access) (Source, error) {
	s, err := playRTMP(ctx, name, a)
	for range maxRedirects {
		to, whole, ok := redirection(err)
		if !ok {
			break
		}
		if name, err = redirected(name, to, whole); err != nil {
			return nil, err
		}
		if s, err = playRTMP(ctx, name, a); err != nil {
			err = fmt.Errorf("the server has sent its player on to %s: %w", session.Redact(name), err)
		}
	}
	if _, _, again := redirection(err); again {
		return nil, errRedirects
	}
	if err != nil {
		return nil, refused(err)
	}
	return s, nil
}

// playRTMP plays the stream of one URL.
func playRTMP(ctx context.Context, name string, a Access) (*rtmpSource, error) {
	o := rtmp.DialOptions{Plays: true, Caps: rtmp.AnyCodec(), TLSConfig: a.TLS(), Timeout: a.Patience(), Dial: a.dialer().DialContext}
	if len(a.Hops) > 0 {
		o.Properties = amf.Object{{Key: hops.Property, Value: hops.Join(a.Hops)}}
	}
	c, err := rtmp.Dial(ctx, name, o)
	if err != nil {
		return nil, Plain(err)
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

// refused gives the refusal of an RTMP server its reason.
func refused(err error) error {
	st, ok := errors.AsType[*rtmp.StatusError](err)
	if !ok {
		return err
	}
	reason := session.Denied
	if st.Code == rtmp.CodePlayStreamNotFound {
		reason = session.NotFound
	}
	if word, _ := st.Properties.GetString(hops.Reason); word == session.Loop.String() {
		reason = session.Loop
	}
	return session.Because(reason, err)
}

// ReadFrame reads messages until one gives a frame.
func (s *rtmpSource) ReadFrame() (*av.Frame, error) {
	for {
		if f, ok := s.next(); ok {
			return f, nil
		}
		m, err := s.play.ReadMessage()
		if errors.Is(err, rtmp.ErrClosedByPeer) {
			err = ErrLost
		}
		if err != nil {
			return nil, refused(err)
		}
		s.feed(flv.TagType(m.Type), m.Timestamp, m.Payload)
	}
}
