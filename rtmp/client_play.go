package rtmp

import (
	"context"
	"fmt"
	"io"
)

// PlayStream plays one stream. ReadMessage is for one goroutine.
type PlayStream struct {
	c  *Client
	id uint32
}

// Play plays the stream of the client's URL, live, and returns when the server has begun.
// The server's refusal is a *StatusError. ctx is for Play alone. When it fails, only Close may
// still be called on the client.
func (c *Client) Play(ctx context.Context) (*PlayStream, error) {
	if c.used {
		return nil, ErrStreamOpen
	}
	c.used = true
	p := &PlayStream{c: c}
	if err := c.within(ctx, StageCommand, p.start); err != nil {
		return nil, fmt.Errorf("playing: %w", err)
	}
	c.conn.chunks.setPublishing(true) // from now on the server sends media
	c.conn.setIdle(c.opts.idleTimeout())
	return p, nil
}

// playBuffer is the buffer length told to the server, in milliseconds.
const playBuffer = 3000

// start sends play and waits for the first status that answers it.
func (p *PlayStream) start() (err error) {
	c := p.c
	p.id, err = c.createStream(&Message{Type: TypeWindowAckSize, Payload: appendBE32(nil, windowSize)})
	if err != nil {
		return err
	}
	buffer := streamEvent(eventSetBufferLength, p.id)
	buffer[0].Payload = appendBE32(buffer[0].Payload, playBuffer)
	err = c.conn.WriteMessages(append(buffer,
		commandMessage(p.id, "play", c.nextTID(), nil, c.target.name, -2.0, -1.0, true))...)
	if err != nil {
		return err
	}
	return c.awaitStatus(func(code string) bool { return code == CodePlayStart })
}

// StreamID returns the message stream id that the server gave.
func (p *PlayStream) StreamID() uint32 { return p.id }

// ReadMessage returns the next audio, video or data message of the stream. The end of
// the stream is io.EOF: the server has said that it is over. The end of the connection
// is ErrClosedByPeer, a *TimeoutError, or net.ErrClosed after Close; an onStatus of level
// error is a *StatusError.
func (p *PlayStream) ReadMessage() (Message, error) {
	c := p.c
	for {
		var m Message
		var err error
		if len(c.early) > 0 {
			m, c.early = c.early[0], c.early[1:]
		} else if m, err = c.conn.ReadMessage(); err != nil {
			return Message{}, c.failure(endOf(context.Background(), err, StagePlay))
		}
		switch m.Type {
		case TypeAudio, TypeVideo, TypeData, TypeDataAMF3:
			if m.StreamID != p.id {
				continue
			}
			if name, _, ok := dataName(m.Payload); m.Type == TypeData && ok && string(name) == "|RtmpSampleAccess" {
				continue
			}
			return m, nil
		}
		if err := c.playStatus(&m); err != nil {
			c.fail(err)
			return Message{}, err
		}
	}
}

// playStatus checks whether a command ends the stream.
func (c *Client) playStatus(m *Message) error {
	cmd, err := parseCommand(m)
	if err != nil {
		return nil
	}
	if err := c.watchStatus(m); err != nil {
		return err
	}
	if cmd.name == "onStatus" || cmd.name == "onPlayStatus" {
		switch parseStatus(cmd.arg(0)).Code {
		case CodePlayUnpublishNotify, CodePlayStop, CodePlayComplete:
			return io.EOF
		}
	}
	return nil
}

// Pause asks the server to stop or to go on sending.
func (p *PlayStream) Pause(paused bool) error {
	return p.c.conn.WriteMessage(commandMessage(p.id, "pause", 0.0, nil, paused, 0.0))
}

// Close tells the server to stop and closes the connection.
func (p *PlayStream) Close() error {
	c := p.c
	c.conn.hurry()
	_ = c.conn.WriteMessage(resultMessage("deleteStream", 0, nil, float64(p.id)))
	return c.Close()
}
