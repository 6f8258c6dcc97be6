package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"weir/av"
)

// Options say how Copy works.
type Options struct {
	// Loop begins again at the end of a file, with times that go on.
	Loop bool
	// Speed is how fast a file is sent; 0 means 1, in real time.
	Speed float64
	// Start leaves out what a file has before this time; it then begins at a key frame.
	Start time.Duration
	// Duration and Frames end the copy; 0 is no bound.
	Duration time.Duration
	Frames   int64
	// Reconnect opens a target that failed again and again, for as long as ctx allows.
	Reconnect bool
	// Progress, if not nil, is called about twice a second.
	Progress func(Stats)
	// Unpaced takes a file as fast as it can be read.
	Unpaced bool
}

// Stats is what was copied.
type Stats struct {
	Frames     int64
	Bytes      int64
	Reconnects int
	Media      time.Duration // of the stream's own time
	Elapsed    time.Duration
	Live       bool // the target takes frames
}

const (
	progressEvery = 500 * time.Millisecond
	firstBackoff  = 500 * time.Millisecond
	maxBackoff    = 10 * time.Second
)

// Copy copies source to the target that create makes until the source ends, a bound of the
// options is reached, or ctx ends, which is no error.
func Copy(ctx context.Context, source string, create func(context.Context) (Target, error), o Options) (Stats, error) {
	c := &copier{o: o, create: create, begin: time.Now(), headers: map[headerKey]*av.Frame{}}
	err := c.run(ctx, source)
	c.stats.Elapsed = time.Since(c.begin)
	if c.target != nil {
		if cerr := c.target.Close(); err == nil && ctx.Err() == nil {
			err = cerr
		}
	}
	if ctx.Err() != nil {
		err = nil
	}
	return c.stats, err
}

// copier is one Copy at work.
type copier struct {
	o      Options
	create func(context.Context) (Target, error)
	target Target
	source Source
	begin  time.Time
	stats  Stats

	headers  map[headerKey]*av.Frame // what a target must have before media
	order    []headerKey
	hasVideo bool
	waitKey  bool // after a reconnect
	backoff  time.Duration
	retryAt  time.Time

	pacing   bool
	origin   time.Time     // when the frame of time first is due
	first    time.Duration // the time of the first media frame of this round
	offset   time.Duration // added to this round's times
	head     time.Duration // newest time sent
	step     time.Duration // between the last two frames
	reported time.Time
}

type headerKey struct {
	kind  av.Kind
	typ   av.Type
	track uint8
}

// errDone ends a copy that has reached its bound.
var errDone = errors.New("done")

func (c *copier) run(ctx context.Context, name string) error {
	for round := 0; ; round++ {
		s, err := Open(ctx, name)
		if err != nil {
			return err
		}
		c.source = s
		stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // a read in progress ends
		if c.target == nil {
			if c.target, err = c.create(ctx); err != nil {
				stop()
				_ = s.Close()
				return err
			}
		}
		c.pacing = !s.Live() && !c.o.Unpaced
		sent := c.stats.Frames
		err = c.round(ctx, round)
		stop()
		_ = s.Close()
		switch {
		case errors.Is(err, errDone), ctx.Err() != nil:
			return nil
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return err
		case !c.o.Loop || s.Live():
			return nil
		case c.stats.Frames == sent:
			return fmt.Errorf("%s has no frames to loop", name)
		}
		c.offset = c.head + c.step
	}
}

// round copies the source once. It returns why it ended, never nil.
func (c *copier) round(ctx context.Context, round int) error {
	begun, skipping := false, c.o.Start > 0
	for {
		f, err := c.source.ReadFrame()
		if err != nil {
			return err
		}
		if f.Type != av.Media {
			if round > 0 {
				continue // the target has it from the first round
			}
			c.note(f)
			if begun {
				c.place(f)
				if err := c.send(ctx, f); err != nil {
					return err
				}
			}
			continue
		}
		c.hasVideo = c.hasVideo || f.Kind == av.Video
		if skipping {
			if f.DTS < c.o.Start || c.hasVideo && !f.IsKey() || c.hasVideo && f.Kind != av.Video {
				continue
			}
			skipping = false
		}
		if !begun {
			begun = true
			c.first = f.DTS
			if round == 0 {
				c.origin = time.Now()
				if err := c.sendHeaders(ctx, f.DTS); err != nil {
					return err
				}
			}
		}
		c.place(f)
		if err := c.pace(ctx, f.DTS); err != nil {
			return err
		}
		if err := c.send(ctx, f); err != nil {
			return err
		}
		if d := f.DTS - c.head; d > 0 && d < time.Second {
			c.step = d
		}
		c.head = max(c.head, f.DTS)
		if err := c.count(f); err != nil {
			return err
		}
	}
}

func isHeader(f *av.Frame) bool {
	return f.Type == av.Config || f.Type == av.Meta || f.Kind == av.Data
}

// note keeps what a target needs before media.
func (c *copier) note(f *av.Frame) {
	if !isHeader(f) {
		return
	}
	k := headerKey{f.Kind, f.Type, f.Track}
	if c.headers[k] == nil {
		c.order = append(c.order, k)
	}
	c.headers[k] = f
	c.hasVideo = c.hasVideo || f.Kind == av.Video
}

// place puts f on the copy's own time, which begins at 0.
func (c *copier) place(f *av.Frame) {
	cts := f.PTS - f.DTS
	f.DTS = max(f.DTS-c.first+c.offset, 0)
	f.PTS = f.DTS + cts
}

// pace waits until f is due.
func (c *copier) pace(ctx context.Context, at time.Duration) error {
	c.report()
	if !c.pacing {
		return nil
	}
	speed := c.o.Speed
	if speed <= 0 {
		speed = 1
	}
	wait := time.Until(c.origin.Add(time.Duration(float64(at) / speed)))
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sendHeaders writes what must come before media of time at.
func (c *copier) sendHeaders(ctx context.Context, at time.Duration) error {
	for _, k := range c.order {
		f := *c.headers[k]
		f.DTS, f.PTS = max(at-c.first+c.offset, 0), max(at-c.first+c.offset, 0)
		if err := c.write(ctx, &f); err != nil {
			return err
		}
	}
	return nil
}

// send writes a frame, over a new connection if the last one failed: then from the next key
// frame on, with the headers before it.
func (c *copier) send(ctx context.Context, f *av.Frame) error {
	if c.target == nil && !c.reopen(ctx) {
		return nil
	}
	if c.waitKey {
		if f.Type != av.Media || c.hasVideo && !(f.Kind == av.Video && f.IsKey()) {
			return nil
		}
		c.waitKey = false
		at := f.DTS - c.offset + c.first
		if err := c.sendHeaders(ctx, at); err != nil || c.target == nil {
			return err
		}
	}
	return c.write(ctx, f)
}

func (c *copier) write(ctx context.Context, f *av.Frame) error {
	err := c.target.WriteFrame(f)
	if err == nil || !c.o.Reconnect || ctx.Err() != nil {
		return err
	}
	_ = c.target.Close()
	c.target, c.backoff = nil, firstBackoff
	c.retryAt = time.Now()
	return nil
}

// reopen tries to open the target again, if it is time to.
func (c *copier) reopen(ctx context.Context) bool {
	if time.Now().Before(c.retryAt) {
		return false
	}
	bounded, cancel := context.WithTimeout(ctx, maxBackoff)
	defer cancel()
	t, err := c.create(bounded)
	if err != nil {
		c.retryAt = time.Now().Add(c.backoff)
		c.backoff = min(2*c.backoff, maxBackoff)
		return false
	}
	c.target, c.waitKey = t, true
	c.stats.Reconnects++
	return true
}

// count adds f to the figures; errDone says that a bound is reached.
func (c *copier) count(f *av.Frame) error {
	c.stats.Frames++
	c.stats.Bytes += int64(len(f.Payload))
	c.stats.Media = c.head
	if c.o.Frames > 0 && c.stats.Frames >= c.o.Frames || c.o.Duration > 0 && c.head >= c.o.Duration {
		return errDone
	}
	return nil
}

func (c *copier) report() {
	if c.o.Progress == nil || time.Since(c.reported) < progressEvery {
		return
	}
	c.reported = time.Now()
	s := c.stats
	s.Elapsed, s.Live = time.Since(c.begin), c.target != nil
	c.o.Progress(s)
}
