package rtmp_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"weir/amf"
	"weir/internal/admit"
	"weir/internal/protocol/protocoltest"
	"weir/internal/session"
	"weir/rtmp"
)

// TestSeveralStreamsOnAConnection: each that is published has a session with a grant and counters of its own. The end
// of one is not that of the others, and the denial of one ends it whatever was published after it.
func TestSeveralStreamsOnAConnection(t *testing.T) {
	asked := make(chan struct{})
	first := sync.OnceFunc(func() { close(asked) })
	s := protocoltest.Start(t, protocoltest.Options{Admit: func(ctx context.Context, r *admit.Request) (session.Grant, error) {
		switch {
		case r.Recheck && r.Path == "live/b":
			select {
			case <-asked: // about the first one, although this one came after it
				return session.Grant{}, session.Becausef(session.Denied, "not any more")
			case <-ctx.Done():
				return r.Grant, nil
			}
		case r.Recheck:
			first()
			return r.Grant, nil
		}
		terms := &session.Terms{By: "hook", User: r.Path}
		if r.Path != "live/c" {
			terms.Recheck = time.Second
		}
		return session.Grant{Entry: -1, Terms: terms}, nil
	}}, entry(nil))
	nc, err := net.Dial("tcp", s.Addr("rtmp"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
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
	publishers := func(want ...string) {
		t.Helper()
		s.Until(fmt.Sprint("these are published: ", want), func() bool {
			got := map[string]bool{}
			for _, x := range s.Of("rtmp", session.Publish) {
				if x.Terms().User != x.Stream() || x.Frames.Load() != 1 {
					return false
				}
				got[x.Stream()] = true
			}
			for _, path := range want {
				if !got[path] {
					return false
				}
			}
			return len(got) == len(want)
		})
	}
	command(0, "connect", 1.0, amf.Object{{Key: "app", Value: "live"}, {Key: "tcUrl", Value: fmt.Sprintf("rtmp://%s/live", s.Addr("rtmp"))}})
	for i, name := range []string{"a", "c", "b"} {
		id := uint32(i + 1)
		command(0, "createStream", float64(2+i), nil)
		command(id, "publish", float64(5+i), nil, name, "live")
		if err := conn.WriteMessage(&rtmp.Message{Type: rtmp.TypeAudio, StreamID: id, Payload: []byte{0x2f, 0xff, 0xfb, 0x90, 0x64}}); err != nil {
			t.Fatal(err)
		}
	}
	publishers("live/a", "live/b", "live/c")
	command(0, "deleteStream", 9.0, nil, 2.0)
	s.Until("the second has stopped", func() bool { return len(s.Ends("rtmp")) == 1 })
	if e := s.Ends("rtmp")[0]; e.Stream != "live/c" || e.Reason != session.Unpublish {
		t.Errorf("%+v", e)
	}
	publishers("live/a", "live/b")
	s.Until("all end with the one that was denied", func() bool { return len(s.Ends("rtmp")) == 3 })
	for _, e := range s.Ends("rtmp")[1:] {
		if e.Role != session.Publish || e.Reason != session.Revoked {
			t.Errorf("%+v", e)
		}
	}
}
