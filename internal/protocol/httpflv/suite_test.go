package httpflv_test

import (
	"context"
	"io"
	"testing"

	"weir/av"
	"weir/format/flv"
	"weir/internal/protocol/httpflv"
	"weir/internal/protocol/protocoltest"
)

// The protocols of this folder, over plain HTTP and over WebSockets.
var entries = httpflv.Config{}.Protocols()

func TestProtocol(t *testing.T) {
	protocoltest.Run(t, protocoltest.Suite{
		Entry: entries[0], Listener: "http", PlayerTold: protocoltest.ToldByStatus,
		Play: func(ctx context.Context, addr, path string) (protocoltest.Player, error) {
			body, err := protocoltest.Get(ctx, addr, "/"+path+".flv")
			return read(body, err)
		},
		Opening: func(path string) []byte { return protocoltest.GetRequest("/" + path + ".flv") },
	})
}

func TestWebSocketProtocol(t *testing.T) {
	protocoltest.Run(t, protocoltest.Suite{
		Entry: entries[1], Listener: "http", PlayerTold: protocoltest.ToldByStatus,
		Play: func(ctx context.Context, addr, path string) (protocoltest.Player, error) {
			body, err := protocoltest.Upgrade(ctx, addr, "/"+path+".flv")
			return read(body, err)
		},
		Opening: func(path string) []byte { return protocoltest.UpgradeRequest("/" + path + ".flv") },
	})
}

// player reads FLV.
type player struct {
	body   io.ReadCloser
	reader *flv.FrameReader
}

func read(body io.ReadCloser, err error) (protocoltest.Player, error) {
	if err != nil {
		return nil, err
	}
	return &player{body, flv.NewFrameReader(body)}, nil
}

// Next implements protocoltest.Player.
func (p *player) Next() (av.Frame, error) {
	f, err := p.reader.ReadFrame()
	if err != nil {
		return av.Frame{}, err
	}
	return *f, nil
}

// Close implements protocoltest.Player.
func (p *player) Close() { p.body.Close() }
