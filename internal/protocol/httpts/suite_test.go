package httpts_test

import (
	"context"
	"io"
	"testing"

	"weir/av"
	"weir/format/mpegts"
	"weir/internal/protocol/httpts"
	"weir/internal/protocol/protocoltest"
)

// The protocols of this folder, over plain HTTP and over WebSockets.
var entries = httpts.Config{}.Protocols()

func TestProtocol(t *testing.T) {
	protocoltest.Run(t, protocoltest.Suite{
		Entry: entries[0], Listener: "http", PlayerTold: protocoltest.ToldByStatus,
		Play: func(ctx context.Context, addr, path string) (protocoltest.Player, error) {
			body, err := protocoltest.Get(ctx, addr, "/"+path+".ts")
			return read(body, err)
		},
		Opening: func(path string) []byte { return protocoltest.GetRequest("/" + path + ".ts") },
	})
}

func TestWebSocketProtocol(t *testing.T) {
	protocoltest.Run(t, protocoltest.Suite{
		Entry: entries[1], Listener: "http", PlayerTold: protocoltest.ToldByStatus,
		Play: func(ctx context.Context, addr, path string) (protocoltest.Player, error) {
			body, err := protocoltest.Upgrade(ctx, addr, "/"+path+".ts")
			return read(body, err)
		},
		Opening: func(path string) []byte { return protocoltest.UpgradeRequest("/" + path + ".ts") },
	})
}

// player reads MPEG-TS.
type player struct {
	body   io.ReadCloser
	demux  mpegts.Demuxer
	buf    []byte
	frames []av.Frame
}

func read(body io.ReadCloser, err error) (protocoltest.Player, error) {
	if err != nil {
		return nil, err
	}
	return &player{body: body, buf: make([]byte, 188*50)}, nil
}

// Next implements protocoltest.Player.
func (p *player) Next() (f av.Frame, err error) {
	for len(p.frames) == 0 {
		n, err := p.body.Read(p.buf)
		if err != nil {
			return f, err
		}
		p.frames = p.demux.Demux(nil, p.buf[:n])
	}
	f, p.frames = p.frames[0], p.frames[1:]
	return f, nil
}

// Close implements protocoltest.Player.
func (p *player) Close() { p.body.Close() }
