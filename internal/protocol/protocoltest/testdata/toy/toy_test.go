package toy_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/internal/protocol/protocoltest"
	"weir/internal/protocol/toy"
	"weir/internal/session"
)

func TestProtocol(t *testing.T) {
	conf := &toy.Config{Listen: "127.0.0.1:0"}
	told := map[session.Reason]string{}
	for _, r := range session.Reasons() {
		told[r] = "ERR " + r.String() + ": "
	}
	protocoltest.Run(t, protocoltest.Suite{
		Entry: conf.Protocols()[0], Listener: "toy", Play: play, PlayerTold: told,
		Opening: func(path string) []byte { return []byte("PLAY " + path + "\n") },
	})
}

// player reads lines.
type player struct {
	net.Conn
	r *bufio.Reader
}

func play(ctx context.Context, addr, path string) (protocoltest.Player, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = nc.SetReadDeadline(time.Unix(1, 0)) })()
	p := &player{nc, bufio.NewReader(nc)}
	_, err = fmt.Fprintf(nc, "PLAY %s\n", path)
	answer := ""
	if err == nil {
		answer, err = p.r.ReadString('\n')
	}
	if err == nil && answer != "OK\n" {
		err = errors.New(strings.TrimSpace(answer))
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return p, nil
}

// Next implements protocoltest.Player.
func (p *player) Next() (f av.Frame, err error) {
	line, err := p.r.ReadString('\n')
	if err != nil {
		return f, err
	}
	var payload string
	if _, err := fmt.Sscanf(line, "%d %d %d %d %s", &f.Kind, &f.Type, &f.Flags, &f.DTS, &payload); err != nil {
		return f, err
	}
	f.Payload, err = base64.StdEncoding.DecodeString(payload)
	return f, err
}

// Close implements protocoltest.Player.
func (p *player) Close() { p.Conn.Close() }
