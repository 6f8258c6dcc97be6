package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// publisher is one stream being published.
type publisher struct {
	all     *publishing
	nc      net.Conn
	media   *mediaWriter
	follow  *rtmpFollower
	started bool

	mu sync.Mutex // one message on the wire at a time
}

// setUp shakes hands, connects and announces the stream.
func (c *publisher) setUp(t *target) error {
	if _, err := c.nc.Write(clientHello()); err != nil {
		return err
	}
	hellos := make([]byte, hellosSize)
	if _, err := io.ReadFull(c.nc, hellos); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if _, err := c.nc.Write(append(clientAnswer(hellos), publishCommands(t)...)); err != nil {
		return err
	}
	c.follow = newRTMPFollower(c)
	buf := make([]byte, 4096)
	for !c.started {
		n, err := c.nc.Read(buf)
		if bad := c.follow.feed(buf[:n]); bad != nil {
			return bad
		}
		if err == nil {
			continue
		}
		if os.IsTimeout(err) {
			return errNoAnswer
		}
		return fmt.Errorf("publishing: %w", err)
	}
	return nil
}

// message implements messages, for what the server sends.
func (c *publisher) message(typ byte, head []byte, _ int, _ uint32) error {
	switch typ {
	case typeCommand:
		started, err := commandVerdict(head)
		if err != nil && !c.started && !isPublishVerdict(head) {
			return nil // servers that do not know releaseStream or FCPublish say so
		}
		c.started = c.started || started
		return err
	case typeControl:
		if len(head) >= 6 && head[0] == 0 && head[1] == 6 {
			return c.write(pingAnswer(head[2:6]))
		}
	}
	return nil
}

// write writes whole messages.
func (c *publisher) write(b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.nc.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	return err
}

// publish sends frames, each at its time, until ctx or the connection ends.
func (c *publisher) publish(ctx context.Context) error {
	defer c.nc.Close()
	_ = c.nc.SetDeadline(time.Time{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer c.nc.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wg.Go(func() { cancel(c.listen()) })

	head, err := c.media.headers()
	if err != nil {
		return err
	}
	if err := c.write(head); err != nil {
		return err
	}
	all := c.all
	timer := time.NewTimer(0)
	defer timer.Stop()
	// The frames of many streams are spread over the time of one.
	begun := all.clock.now() + int64(c.media.stream)*618_034%1_000_000*int64(time.Second/videoRate)/1_000_000
	for {
		kind, at := c.media.due()
		at += begun
		// Even a late frame passes here, so that ctx is looked at.
		timer.Reset(time.Duration(at - all.clock.now()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		now := all.clock.now()
		b := c.media.next(kind, now)
		if err := c.write(b); err != nil {
			return err
		}
		all.bytes.Add(int64(len(b)))
		all.frames.Add(1)
		if all.measuring.Load() {
			all.mu.Lock()
			all.late.add(now - at)
			all.mu.Unlock()
		}
	}
}

// listen reads what the server says, until it ends the connection.
func (c *publisher) listen() error {
	buf := make([]byte, 512)
	for {
		n, err := c.nc.Read(buf)
		if bad := c.follow.feed(buf[:n]); bad != nil {
			return bad
		}
		if err != nil {
			return fmt.Errorf("the server closed the connection: %w", err)
		}
	}
}
