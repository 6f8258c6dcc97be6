package rtmp

import (
	"bytes"
	"context"
	"net"
	"testing"
)

// FuzzClient lets a hostile server talk to a client that plays or publishes.
func FuzzClient(f *testing.F) {
	answers := func(ms ...*Message) []byte {
		var b []byte
		for _, m := range ms {
			b = append(b, encode(m)...)
		}
		return b
	}
	connected := answers(resultMessage("_result", 1, nil, object("code", CodeConnectSuccess)))
	created := append(bytes.Clone(connected), answers(resultMessage("_result", 2, nil, 1.0))...)
	started := append(bytes.Clone(created), answers(statusMessages(nil, 1, &StatusError{Level: LevelStatus, Code: CodePlayStart})...)...)
	f.Add(false, connected)
	f.Add(false, created)
	f.Add(false, append(bytes.Clone(started), unhexString(blockMETA+blockVSH+blockVK+blockPING)...))
	f.Add(false, append(bytes.Clone(started), answers(playEnd(1)...)...))
	f.Add(false, answers(resultMessage("_error", 1, nil, object("description", "authmod=adobe ?reason=needauth&salt=1&challenge=2"))))
	f.Add(true, append(bytes.Clone(connected), answers(resultMessage("_result", 4, nil, 1.0),
		statusMessages(nil, 1, &StatusError{Level: LevelStatus, Code: CodePublishStart})[0], resultMessage("close", 0, nil))...))
	f.Fuzz(func(t *testing.T, publish bool, input []byte) {
		opts := DialOptions{Dial: func(context.Context, string, string) (net.Conn, error) {
			nc := &memoryConn{}
			nc.in.Reset(append(bytes.Clone(wholeHello), input...))
			return nc, nil
		}}
		c, err := Dial(t.Context(), "rtmp://user:pass@h/live/cam", opts)
		if err != nil {
			return
		}
		defer c.Close()
		if publish {
			if p, err := c.Publish(t.Context()); err == nil {
				<-p.Done()
				_ = p.WriteMessage(&Message{Type: TypeVideo})
				_ = p.Close()
			}
			return
		}
		p, err := c.Play(t.Context())
		if err != nil {
			return
		}
		for range len(input) + 2 {
			if _, err := p.ReadMessage(); err != nil {
				return
			}
		}
		t.Fatal("more messages than bytes")
	})
}
