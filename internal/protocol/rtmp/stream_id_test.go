package rtmp_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"weir/amf"
	"weir/internal/protocol/protocoltest"
	"weir/rtmp"
)

// TestMessageStreamIDsMakeNoVariants: sixteen players on message streams of their own read one log,
// each with its own id, so that they use up no place that others need.
func TestMessageStreamIDsMakeNoVariants(t *testing.T) {
	s := protocoltest.Start(t, protocoltest.Options{}, entry(nil))
	protocoltest.Pump(t, s.Local("live/a", nil), 0, 500)
	for id := uint32(1); id <= 16; id++ {
		conn := playOn(t, s.Addr("rtmp"), "a", id)
		for frames := 0; frames < 20; {
			m, err := conn.ReadMessage()
			if err != nil {
				t.Fatalf("the player on message stream %d: %v", id, err)
			}
			switch m.Type {
			case rtmp.TypeVideo, rtmp.TypeAudio, rtmp.TypeData:
				frames++
				if m.StreamID != id {
					t.Fatalf("the player on message stream %d is sent %v of %d", id, m.Type, m.StreamID)
				}
			}
		}
	}
	if n := s.Mux.Len(); n != 1 {
		t.Errorf("%d muxers run for one format", n)
	}
}

// playOn plays a stream of the application "live" on the message stream of this id: it creates as
// many as it takes.
func playOn(t *testing.T, addr, name string, id uint32) *rtmp.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(protocoltest.Patience))
	conn, err := rtmp.ClientConn(nc, false)
	if err != nil {
		t.Fatal(err)
	}
	command := func(streamID uint32, values ...amf.Value) {
		t.Helper()
		body, err := amf.Append(nil, values...)
		if err == nil {
			err = conn.WriteMessage(&rtmp.Message{Type: rtmp.TypeCommand, StreamID: streamID, Payload: body})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	command(0, "connect", 1.0, amf.Object{{Key: "app", Value: "live"}, {Key: "tcUrl", Value: fmt.Sprintf("rtmp://%s/live", addr)}})
	for i := range id {
		command(0, "createStream", float64(2+i), nil)
	}
	command(id, "play", float64(2+id), nil, name)
	return conn
}
