package test

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"weir/format/flv"
	"weir/rtmp"
)

// A sending is a publisher at work.
type sending interface {
	wait() error
	said() string
}

// A call is a sending that is a function in this process.
type call struct {
	done chan struct{}
	err  error // once done
}

func (c *call) wait() error {
	<-c.done
	return c.err
}

func (c *call) said() string { return "" }

// publish begins to send a file to a URL.
func (p *publisher) publish(ctx context.Context, file, url, tap string) (sending, error) {
	if p.args != nil {
		return start(ctx, command{sys: p.sys, args: p.args(file, url, tap)})
	}
	c := &call{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = sendTags(ctx, file, url)
	}()
	return c, nil
}

// sendTags sends the tags of an FLV file as they are, each at its time.
func sendTags(ctx context.Context, file, url string) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := rtmp.Dial(ctx, url, rtmp.DialOptions{Caps: rtmp.AnyCodec()})
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := c.Publish(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	began := time.Now()
	r := flv.NewReader(f)
	for {
		tag, err := r.ReadTag()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		at := time.NewTimer(time.Duration(tag.Timestamp)*time.Millisecond - time.Since(began))
		select {
		case <-at.C:
		case <-ctx.Done():
			at.Stop()
			return context.Cause(ctx)
		}
		m := rtmp.Message{Type: rtmp.MessageType(tag.Type), Timestamp: tag.Timestamp, Payload: tag.Body}
		if err := p.WriteMessage(&m); err != nil {
			return err
		}
	}
}
