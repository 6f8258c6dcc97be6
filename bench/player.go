package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// player is one player, apart from how its bytes are read and written. One goroutine
// owns it.
type player struct {
	tally
	target *target
	drain  bool // once it has started its bytes are only counted
	slow   bool

	hellos   []byte // of the RTMP handshake, until it is done
	follow   feeder // nil before and, draining, after
	draining bool
	out      []byte // to be written
	bytes    int64
	acked    int64
	window   int64 // after how many bytes the server wants an acknowledgement; 0 never

	over bool
	err  error
}

// wsKey is the key of the WebSocket handshake: any 16 bytes (RFC 6455 §4.1).
const wsKey = "d2VpciBiZW5jaCBwbGF5ZQ=="

// begin starts the player's side of the conversation.
func (p *player) begin(now int64) {
	p.begun = now
	t := p.target
	switch t.scheme {
	case "rtmp":
		p.out = clientHello()
		p.window = defaultWindow
	case "http":
		p.out = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: weir-bench\r\nAccept: */*\r\n\r\n", t.path, t.host)
		p.follow = &httpFollower{body: newFLVFollower(p)}
	case "ws":
		p.out = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: weir-bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", t.path, t.host, wsKey)
		frames := &wsFollower{body: newFLVFollower(p), reply: p.send}
		p.follow = &httpFollower{upgrade: true, body: frames}
	}
}

func (p *player) send(b []byte) { p.out = append(p.out, b...) }

// received takes b, which came from the server; n is its length, or that of bytes that
// were not even copied here. What is to be written is then in p.out.
func (p *player) received(b []byte, n int) error {
	p.bytes += int64(n)
	switch {
	case p.draining:
	case p.follow == nil:
		if err := p.handshake(b); err != nil {
			return err
		}
	default:
		if err := p.follow.feed(b); err != nil {
			return err
		}
	}
	if p.drain && p.started != 0 && !p.draining {
		p.draining, p.follow = true, nil
	}
	if p.window > 0 && p.bytes-p.acked >= p.window/2 && p.hellos == nil {
		p.acked = p.bytes
		p.send(acknowledge(uint32(p.bytes)))
	}
	return nil
}

// handshake collects S0, S1 and S2, and then asks for the stream.
func (p *player) handshake(b []byte) error {
	n := min(hellosSize-len(p.hellos), len(b))
	p.hellos = append(p.hellos, b[:n]...)
	if p.hellos[0] != 3 {
		return fmt.Errorf("%w: RTMP version %d", errFraming, p.hellos[0])
	}
	if len(p.hellos) < hellosSize {
		return nil
	}
	p.send(clientAnswer(p.hellos))
	p.send(playCommands(p.target))
	p.hellos = nil
	f := newRTMPFollower(p)
	p.follow = f
	return f.feed(b[n:])
}

// message implements messages.
func (p *player) message(typ byte, head []byte, length int, tail uint32) error {
	switch typ {
	case typeVideo:
		p.media(video, head, length, tail)
	case typeAudio:
		p.media(audio, head, length, tail)
	case typeCommand:
		_, err := commandVerdict(head)
		return err
	case typeControl:
		if len(head) >= 6 && head[0] == 0 && head[1] == 6 {
			p.send(pingAnswer(head[2:6]))
		}
	case typeWindowSize:
		if len(head) >= 4 {
			p.window = max(int64(binary.BigEndian.Uint32(head)), 64<<10)
		}
	}
	return nil
}

// ended is what the end of the server's bytes means.
func (p *player) ended(err error) error {
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case p.started == 0:
		return errors.New("the server closed the connection at once")
	}
	return errors.New("the server closed the connection")
}
