package rtmp_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"weir/amf"
	"weir/internal/hops"
	"weir/internal/protocol/protocoltest"
	"weir/internal/session"
	"weir/rtmp"
)

// TestStreamThatNeverBegins: who waits for it is told why it does not come, and never that it has ended; the session says the same.
func TestStreamThatNeverBegins(t *testing.T) {
	const nobody = "Nobody is publishing this stream."
	for name, c := range map[string]struct {
		cause  error
		want   rtmp.StatusError
		reason session.Reason
	}{
		"its source fails": {
			&session.Refusal{Reason: session.NotFound, Peer: "It cannot be had.", Err: errors.New("hunter2")},
			rtmp.StatusError{Code: rtmp.CodePlayStreamNotFound, Description: "It cannot be had."},
			session.NotFound,
		},
		"it would go in a circle": {
			&session.Refusal{Reason: session.Loop, Peer: "In a circle.", Err: errors.New("hunter2")},
			rtmp.StatusError{Code: rtmp.CodePlayFailed, Description: "In a circle.", Properties: amf.Object{{Key: hops.Reason, Value: "loop"}}},
			session.Loop,
		},
		"for reasons of its own": {session.Becausef(session.Denied, "hunter2"), rtmp.StatusError{Code: rtmp.CodePlayStreamNotFound, Description: nobody}, session.NotFound},
		"without a reason":       {nil, rtmp.StatusError{Code: rtmp.CodePlayStreamNotFound, Description: nobody}, session.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			s := protocoltest.Start(t, protocoltest.Options{}, entry(nil))
			for id := range uint32(8) {
				path := fmt.Sprint("live/", id)
				c.want.Level = rtmp.LevelError
				conn := playOn(t, s.Addr("rtmp"), fmt.Sprint(id), 1+id%2)
				if st := statusOf(t, conn); st.Code != rtmp.CodePlayReset {
					t.Fatalf("%+v", st)
				}
				if st := statusOf(t, conn); st.Code != rtmp.CodePlayStart {
					t.Fatalf("%+v", st)
				}
				if !s.Hub.EndUnbegun(path, c.cause) {
					t.Fatal("there is no such stream")
				}
				if st := statusOf(t, conn); fmt.Sprint(*st) != fmt.Sprint(c.want) {
					t.Errorf("the player is told %+v, not %+v", *st, c.want)
				}
				for {
					m, err := conn.ReadMessage()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if m.Type == rtmp.TypeCommand {
						t.Errorf("and then %q", m.Payload)
					}
				}
			}
			s.Until("all sessions have ended", func() bool { return len(s.Ends("rtmp")) == 8 })
			for _, e := range s.Ends("rtmp") {
				if e.Reason != c.reason {
					t.Errorf("a session ends with %v: %v", e.Reason, e.Err)
				}
			}
		})
	}
}

// statusOf reads the next onStatus.
func statusOf(t *testing.T, conn *rtmp.Conn) *rtmp.StatusError {
	t.Helper()
	for {
		m, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if m.Type != rtmp.TypeCommand {
			continue
		}
		values, err := amf.DecodeAll(m.Payload, amf.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if len(values) < 4 || values[0] != "onStatus" {
			continue
		}
		st := &rtmp.StatusError{}
		info, _ := amf.Properties(values[3])
		for _, p := range info {
			switch p.Key {
			case "level":
				st.Level = p.Value.(string)
			case "code":
				st.Code = p.Value.(string)
			case "description":
				st.Description = p.Value.(string)
			case hops.Reason:
				st.Properties = append(st.Properties, p)
			}
		}
		return st
	}
}
