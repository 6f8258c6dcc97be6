package rtmp

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// PublishStream publishes one stream. Messages may be written by any goroutine.
type PublishStream struct {
	c    *Client
	id   uint32
	done chan struct{}
}

// Publish publishes the stream of the client's URL and returns when the server has
// accepted it. The server's refusal is a *StatusError. ctx is for Publish alone. When it fails,
// only Close may still be called on the client.
func (c *Client) Publish(ctx context.Context) (*PublishStream, error) {
	if c.used {
		return nil, ErrStreamOpen
	}
	c.used = true
	p := &PublishStream{c: c, done: make(chan struct{})}
	if err := c.within(ctx, StageCommand, p.start); err != nil {
		return nil, fmt.Errorf("publishing: %w", err)
	}
	c.early = nil
	c.conn.setIdle(0) // many servers send nothing to a publisher, and some do not answer pings
	c.wg.Go(p.read)
	return p, nil
}

// start does what encoders do: everything that needs no answer at once.
func (p *PublishStream) start() (err error) {
	c := p.c
	chunkSize := c.opts.ChunkSize
	if chunkSize <= 0 {
		chunkSize = 4096
	}
	name := c.target.name
	p.id, err = c.createStream(
		&Message{Type: TypeSetChunkSize, Payload: appendBE32(nil, uint32(min(chunkSize, 0xffffff)))},
		resultMessage("releaseStream", c.nextTID(), nil, name),
		resultMessage("FCPublish", c.nextTID(), nil, name))
	if err != nil {
		return err
	}
	if err := c.conn.WriteMessage(commandMessage(p.id, "publish", c.nextTID(), nil, name, "live")); err != nil {
		return err
	}
	return c.awaitStatus(func(code string) bool { return code == CodePublishStart })
}

// read answers pings, takes acknowledgements and waits for the server to end.
func (p *PublishStream) read() {
	defer close(p.done)
	c := p.c
	for {
		m, err := c.conn.ReadMessage()
		if err == nil {
			err = c.watchStatus(&m)
		}
		if err != nil {
			c.fail(fmt.Errorf("publishing: %w", endOf(context.Background(), err, StagePublish)))
			// A writer that waits for the server must not wait in vain.
			c.conn.interrupt()
			return
		}
	}
}

// watchStatus returns the onStatus in a message if its level is error.
func (c *Client) watchStatus(m *Message) error {
	if m.Type != TypeCommand && m.Type != TypeCommandAMF3 {
		return nil
	}
	cmd, err := parseCommand(m)
	switch {
	case err != nil:
		return nil
	case cmd.name == "close":
		return fmt.Errorf("%w: close command", ErrClosedByPeer)
	case cmd.name != "onStatus":
		return c.answerCall(&cmd)
	}
	st := parseStatus(cmd.arg(0))
	if c.opts.OnStatus != nil {
		c.opts.OnStatus(st)
	}
	if st.Level == LevelError {
		return st
	}
	return nil
}

// answerCall answers the measurements of bandwidth that servers of Adobe's kind ask for.
func (c *Client) answerCall(cmd *command) error {
	switch cmd.name {
	case "_checkbw", "_onbwcheck", "onBWCheck":
		if cmd.tid != 0 {
			return c.conn.WriteMessage(resultMessage("_result", cmd.tid, nil, 0.0))
		}
	}
	return nil
}

// StreamID returns the message stream id that the server gave.
func (p *PublishStream) StreamID() uint32 { return p.id }

// WriteMessage writes an audio, video or data message, with the stream's id in place of
// its own. A data message of the name "onMetaData", or that says so, is preceded by
// "@setDataFrame". The payload is not kept. It fails with the server's *StatusError if
// there was one.
func (p *PublishStream) WriteMessage(m *Message) error {
	copied := *m
	return p.WriteMessages(&copied)
}

// WriteMessages is WriteMessage of several messages, with one write to the network. It changes
// the messages to what is sent.
func (p *PublishStream) WriteMessages(ms ...*Message) error {
	if err := p.Err(); err != nil {
		return err
	}
	for _, m := range ms {
		m.StreamID = p.id
		if m.Type == TypeData {
			name, _, ok := dataName(m.Payload)
			if ok && (m.SetDataFrame || string(name) == "onMetaData") && string(name) != "@setDataFrame" {
				m.Payload = append([]byte(setDataFrame), m.Payload...)
			}
		}
	}
	if err := p.c.conn.WriteMessages(ms...); err != nil {
		return p.c.failure(fmt.Errorf("publishing: %w", err))
	}
	return nil
}

// setDataFrame is the AMF0 string that makes a server keep metadata.
const setDataFrame = "\x02\x00\x0d@setDataFrame"

// Done is closed when the connection has ended, by either side. Err says why.
func (p *PublishStream) Done() <-chan struct{} { return p.done }

// Err returns why the connection has ended, or nil.
func (p *PublishStream) Err() error { return p.c.failure(nil) }

// Close ends the publishing (FCUnpublish, deleteStream), gives the server half a second
// to take what was written, and closes the connection. It returns nil unless the
// connection had failed before.
func (p *PublishStream) Close() error {
	c := p.c
	c.conn.hurry()
	before := c.failure(nil)
	err := c.conn.WriteMessages(
		resultMessage("FCUnpublish", c.nextTID(), nil, c.target.name),
		resultMessage("deleteStream", c.nextTID(), nil, float64(p.id)))
	if half, ok := c.conn.nc.(interface{ CloseWrite() error }); ok && err == nil && half.CloseWrite() == nil {
		select {
		case <-p.done:
		case <-time.After(lingerTime):
		}
	}
	_ = c.Close()
	if before != nil && !errors.Is(before, ErrClosedByPeer) {
		return before
	}
	return nil
}
