package rtmp_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"weir/amf"
	"weir/av"
	"weir/format/flv"
	"weir/internal/protocol"
	"weir/internal/protocol/protocoltest"
	protocolrtmp "weir/internal/protocol/rtmp"
	"weir/internal/session"
	"weir/rtmp"
)

// entry is RTMP on a free port.
func entry(change func(*protocolrtmp.Config)) protocol.Entry {
	conf := new(protocolrtmp.Config)
	conf.SetDefaults()
	conf.Listen = "127.0.0.1:0"
	if change != nil {
		change(conf)
	}
	return conf.Protocols()[0]
}

func TestProtocol(t *testing.T) {
	protocoltest.Run(t, protocoltest.Suite{
		Entry: entry(nil), Listener: "rtmp",
		Play: func(ctx context.Context, addr, path string) (protocoltest.Player, error) {
			return play(ctx, addr, path)
		},
		Publish: func(ctx context.Context, addr, path string) (protocoltest.Publisher, error) {
			return publish(ctx, addr, path)
		},
		Opening: opening,
		PlayerTold: map[session.Reason]string{
			session.NotFound: rtmp.CodePlayStreamNotFound, session.Path: rtmp.CodePlayStreamNotFound, session.Limit: rtmp.CodePlayFailed,
			session.BadKey: rtmp.CodePlayFailed, session.Address: rtmp.CodePlayFailed, session.Throttled: rtmp.CodePlayFailed,
			session.Denied: rtmp.CodePlayFailed,
		},
		PublisherTold: map[session.Reason]string{
			session.Path: rtmp.CodePublishBadName, session.Conflict: rtmp.CodePublishBadName, session.Limit: rtmp.CodePublishFailed,
			session.Takeover: rtmp.CodePublishFailed, session.BadKey: rtmp.CodePublishDenied, session.Address: rtmp.CodePublishDenied,
			session.Throttled: rtmp.CodePublishDenied, session.Denied: rtmp.CodePublishDenied,
		},
	})
}

// player is an RTMP player.
type player struct {
	client *rtmp.Client
	*rtmp.PlayStream
	demux  flv.Demuxer
	frames []av.Frame
}

func play(ctx context.Context, addr, path string) (*player, error) {
	c, err := rtmp.Dial(ctx, "rtmp://"+addr+"/"+path, rtmp.DialOptions{})
	if err != nil {
		return nil, err
	}
	p, err := c.Play(ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &player{client: c, PlayStream: p}, nil
}

// Next implements protocoltest.Player.
func (p *player) Next() (f av.Frame, err error) {
	for len(p.frames) == 0 {
		m, err := p.ReadMessage()
		if err != nil {
			return f, err
		}
		if p.frames, err = p.demux.Demux(p.frames[:0], flv.TagType(m.Type), time.Duration(m.Timestamp)*time.Millisecond, m.Payload); err != nil {
			return f, err
		}
	}
	f, p.frames = p.frames[0], p.frames[1:]
	return f, nil
}

// Close implements protocoltest.Player.
func (p *player) Close() { p.client.Close() }

// publisher is an RTMP publisher.
type publisher struct {
	client *rtmp.Client
	*rtmp.PublishStream
}

func publish(ctx context.Context, addr, path string) (*publisher, error) {
	c, err := rtmp.Dial(ctx, "rtmp://"+addr+"/"+path, rtmp.DialOptions{})
	if err != nil {
		return nil, err
	}
	p, err := c.Publish(ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &publisher{c, p}, nil
}

// Write implements protocoltest.Publisher.
func (p *publisher) Write(f *av.Frame) error {
	header, _ := flv.AppendHeader(nil, f, flv.Form{})
	return p.WriteMessage(&rtmp.Message{
		Type: rtmp.MessageType(flv.TagTypeOf(f)), Timestamp: av.Milliseconds(f.DTS), Payload: append(header, f.Payload...),
	})
}

// Wait implements protocoltest.Publisher.
func (p *publisher) Wait() error {
	select {
	case <-p.Done():
		return p.Err()
	case <-time.After(protocoltest.Patience):
		return nil
	}
}

// Close implements protocoltest.Publisher.
func (p *publisher) Close() { p.client.Close() }

// opening is the handshake and the commands of a player, as one client after another has sent them.
func opening(path string) []byte {
	b := make([]byte, 1+1536+1536)
	b[0] = 3
	command := func(streamID uint32, values ...amf.Value) {
		body, err := amf.Append(nil, values...)
		if err != nil {
			panic(err)
		}
		b = rtmp.AppendMessage(b, &rtmp.Message{Type: rtmp.TypeCommand, StreamID: streamID}, 128, body)
	}
	command(0, "connect", 1.0, amf.Object{{Key: "app", Value: "live"}, {Key: "tcUrl", Value: "rtmp://h/live"}})
	command(0, "createStream", 2.0, nil)
	command(1, "play", 3.0, nil, strings.TrimPrefix(path, "live/"))
	return b
}
