// Package relay moves one stream from a source of package fetch to a target (a server, an FLV file, or nowhere), in
// real time and without changing its payloads.
package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"weir/av"
	"weir/internal/fetch"
	"weir/internal/timeline"
)

// Options say how Copy works.
type Options struct {
	// Loop begins again at the end of a file, with times that go on.
	Loop bool
	// Speed is how fast a file is sent; 0 means 1, in real time.
	Speed float64
	// Start skips what a file has before this time; the copy then begins at a key frame.
	Start time.Duration
	// Duration and Frames end the copy; 0 is no bound.
	Duration time.Duration
	Frames   int64
	// Reconnect opens a target that failed again and again, for as long as ctx allows.
	Reconnect bool
	// Retry copies a source of a server again when it has ended, and whatever fails, for as long as ctx
	// allows, so that the copy goes on for ever; a file is copied once unless Loop is set.
	Retry bool
	// Progress, if not nil, is called about twice a second.
	Progress func(Stats)
	// Notice, if not nil, is told once of each track that is left out, and why, and that a file is cut off; with
	// Reconnect also that the target has failed, and why, of each attempt to open it again, and when it is back.
	Notice func(string)
	// Unpaced copies a file as fast as it can be read.
	Unpaced bool
}

// Stats says what was copied.
type Stats struct {
	Frames     int64 // of media that were read
	Sent       int64 // of them, those that the target has taken
	Bytes      int64 // of those sent
	Reconnects int
	Media      time.Duration // of the stream's own time
	Elapsed    time.Duration
	Live       bool // the target takes frames
}

const (
	reportEvery  = 500 * time.Millisecond
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 10 * time.Second
	// maxHeld is how many frames without media wait for the first with media.
	maxHeld = 256
)

// Copy copies the source that open opens to the target that create makes, until the source ends, a
// bound of the options is reached, or ctx ends, which is no error. A source that ends without a frame is an error,
// and so is a target that is gone at the end.
//
// All times are put on one timeline, which begins at 0: each round of a loop, and each clock after a
// jump within a source, goes on where the one before ended, with the new headers.
func Copy(ctx context.Context, open func(context.Context) (fetch.Source, error), create func(context.Context) (Target, error), o Options) (Stats, error) {
	c := &copier{o: o, open: open, create: create, begin: time.Now(), clocks: map[clockKey]*timeline.Clock{}, told: map[string]bool{}}
	err := c.run(ctx)
	if err == nil && c.target == nil {
		err = fmt.Errorf("%w: the rest of the source was not sent", c.lost)
	}
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

// copier is the state of one Copy.
type copier struct {
	o      Options
	open   func(context.Context) (fetch.Source, error)
	create func(context.Context) (Target, error)
	target Target
	source fetch.Source
	begin  time.Time
	stats  Stats
	told   map[string]bool // notices

	headers  headers
	hasVideo bool
	skipped  time.Duration // of the source, by Options.Start
	waitKey  bool          // after a reconnect
	backoff  time.Duration
	retryAt  time.Time
	lost     error // why there is no target
	lostAt   time.Time

	line     timeline.Timeline
	clocks   map[clockKey]*timeline.Clock
	pacing   bool
	origin   time.Time // when the frame of time 0 is due
	reported time.Time
}

// clockKey names a track.
type clockKey struct {
	kind  av.Kind
	track uint8
}

// errDone ends a copy that has reached its bound.
var errDone = errors.New("done")

// run copies the source, again and again if the options say so.
func (c *copier) run(ctx context.Context) error {
	wait := firstBackoff
	for round := 0; ; round++ {
		before := c.stats.Frames
		again, err := c.once(ctx, round)
		switch {
		case errors.Is(err, errDone), ctx.Err() != nil:
			return nil
		case err == nil && again:
			continue
		case !c.o.Retry || err == nil:
			return err
		case c.stats.Frames > before:
			wait = firstBackoff
		}
		c.notice("%v: trying again in %v", err, wait)
		if !sleep(ctx, wait) {
			return nil
		}
		wait = min(2*wait, maxBackoff)
	}
}

// sleep reports false if ctx ends before d has gone by.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

var (
	// errEnded says that a live source has ended.
	errEnded = errors.New("the source has ended")
	// errLost says that it is not known whether it has.
	errLost = errors.New("the connection to the source was lost before the stream had ended")
)

// once opens the source, and the target if there never was one, and copies the source to its end: a target that was lost is opened
// again while frames are sent. It reports whether the source is to be copied again. err is nil at the end of the last round.
func (c *copier) once(ctx context.Context, round int) (again bool, err error) {
	s, err := c.open(ctx)
	if err != nil {
		return false, err
	}
	c.source = s
	defer func() { _ = s.Close() }()
	defer context.AfterFunc(ctx, func() { _ = s.Close() })() // ends a read in progress
	if c.target == nil && c.lost == nil {
		if c.target, err = c.create(ctx); err != nil {
			c.target = nil
			return false, err
		}
	}
	c.pacing = !s.Live() && !c.o.Unpaced
	sent := c.stats.Frames
	err = c.round(ctx, round)
	c.remark()
	switch {
	case !errors.Is(err, io.EOF):
		return false, err
	case c.stats.Frames == sent && c.skipped > 0:
		return false, fmt.Errorf("the source has %v, and was to be begun after %v", c.skipped.Round(100*time.Millisecond), c.o.Start)
	case c.stats.Frames == sent:
		if left := s.Condition().LeftOut; len(left) > 0 {
			return false, fmt.Errorf("the source has no track that can be carried: %s", strings.Join(left, ", "))
		}
		return false, errors.New("the source has ended without a frame")
	case errors.Is(err, fetch.ErrLost):
		return false, errLost
	case s.Live() && c.o.Retry:
		return false, errEnded
	}
	return c.o.Loop && !s.Live(), nil
}

// round copies the source once. It returns why the round ended, never nil.
func (c *copier) round(ctx context.Context, round int) error {
	c.line.NewSource()
	for _, k := range c.clocks {
		k.Restart()
	}
	var held []*av.Frame // what comes before the first media frame
	begun := false
	skip := skipper{until: c.o.Start}
	for {
		f, err := c.source.ReadFrame()
		if err != nil {
			return err
		}
		media := f.Type == av.Media && f.Kind != av.Data
		c.hasVideo = c.hasVideo || f.Kind == av.Video
		switch {
		case !begun && !media:
			held = hold(held, f, skip.until > 0)
			continue
		case !media:
			c.headers.note(f)
			if err := c.send(ctx, c.near(f)); err != nil {
				return err
			}
			continue
		case skip.over(f, c.hasVideo):
			c.skipped = skip.line.Head()
			continue
		}
		if !begun {
			begun = true
			if round == 0 {
				c.origin = time.Now()
			}
			if err := c.sendHeld(ctx, held, f, round); err != nil {
				return err
			}
		}
		f = c.put(f)
		if err := c.pace(ctx, f.DTS); err != nil {
			return err
		}
		if err := c.send(ctx, f); err != nil {
			return err
		}
		if err := c.count(f); err != nil {
			return err
		}
	}
}

// hold keeps f until media begin: the newest of each header, and events unless their media is skipped.
func hold(held []*av.Frame, f *av.Frame, skipping bool) []*av.Frame {
	switch {
	case fetch.IsHeader(f):
		held = slices.DeleteFunc(held, func(h *av.Frame) bool {
			return fetch.IsHeader(h) && h.Kind == f.Kind && h.Type == f.Type && h.Track == f.Track
		})
	case skipping:
		return held
	}
	if len(held) == maxHeld {
		return held
	}
	return append(held, f)
}

// sendHeld sends what came before first, with the time of first. In later rounds the target already has some of it.
func (c *copier) sendHeld(ctx context.Context, held []*av.Frame, first *av.Frame, round int) error {
	at := c.line.Peek(c.clock(first), first.DTS, first.PTS-first.DTS, c.arrived())
	for _, f := range held {
		if c.headers.note(f) && round > 0 {
			continue
		}
		if err := c.send(ctx, moved(f, at)); err != nil {
			return err
		}
	}
	return nil
}

// skipper skips the beginning of a source.
type skipper struct {
	until  time.Duration
	line   timeline.Timeline
	clocks map[clockKey]*timeline.Clock
}

// over reports whether a media frame is skipped.
func (s *skipper) over(f *av.Frame, hasVideo bool) bool {
	if s.until <= 0 {
		return false
	}
	if s.clocks == nil {
		s.clocks = map[clockKey]*timeline.Clock{}
		s.line.NewSource()
	}
	k := clockKey{f.Kind, f.Track}
	if s.clocks[k] == nil {
		s.clocks[k] = &timeline.Clock{}
	}
	at, _ := s.line.Put(s.clocks[k], f.DTS, f.PTS-f.DTS, s.line.Head())
	if at < s.until || hasVideo && (f.Kind != av.Video || !f.IsKey()) {
		return true
	}
	s.until = 0
	return false
}

// clock returns the clock of f's track.
func (c *copier) clock(f *av.Frame) *timeline.Clock {
	k := clockKey{f.Kind, f.Track}
	if c.clocks[k] == nil {
		c.clocks[k] = &timeline.Clock{}
	}
	return c.clocks[k]
}

// arrived returns the arrival time of a frame; a frame of a file arrives once all before it have been played.
func (c *copier) arrived() time.Duration {
	if c.source.Live() {
		return time.Since(c.begin)
	}
	return c.line.Head()
}

// put returns a media frame with its time on the timeline.
func (c *copier) put(f *av.Frame) *av.Frame {
	at, _ := c.line.Put(c.clock(f), f.DTS, f.PTS-f.DTS, c.arrived())
	return moved(f, at)
}

// near returns a frame without media with its time on the timeline.
func (c *copier) near(f *av.Frame) *av.Frame { return moved(f, c.line.Near(c.clock(f), f.DTS)) }

// moved returns a copy of f at another time.
func moved(f *av.Frame, at time.Duration) *av.Frame {
	g := *f
	g.DTS, g.PTS = at, at+f.PTS-f.DTS
	return &g
}

// pace waits until a frame of this time is due.
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

// send writes a frame, over a new connection if the last one failed: then from the next key
// frame on, with the headers before it.
func (c *copier) send(ctx context.Context, f *av.Frame) error {
	if c.target == nil && !c.reopen(ctx) {
		return nil
	}
	if c.waitKey {
		if f.Type != av.Media || f.Kind == av.Data || c.hasVideo && !(f.Kind == av.Video && f.IsKey()) {
			return nil
		}
		c.waitKey = false
		for _, k := range c.headers.order {
			if err := c.write(ctx, moved(c.headers.newest[k], f.DTS)); err != nil || c.target == nil {
				return err
			}
		}
	}
	return c.write(ctx, f)
}

func (c *copier) write(ctx context.Context, f *av.Frame) error {
	err := c.target.WriteFrame(f)
	switch {
	case errors.Is(err, errLeftOut):
		return nil
	case err == nil:
		if f.Type == av.Media && f.Kind != av.Data {
			c.stats.Sent++
			c.stats.Bytes += int64(len(f.Payload))
		}
		return nil
	case !c.o.Reconnect || ctx.Err() != nil:
		return err
	}
	_ = c.target.Close()
	c.target, c.backoff = nil, firstBackoff
	c.retryAt = time.Now()
	c.lost, c.lostAt = err, c.retryAt
	c.notice("%v: the connection is lost, trying again", err)
	return nil
}

// notice tells what happens to the target.
func (c *copier) notice(format string, args ...any) {
	if c.o.Notice != nil {
		c.o.Notice(fmt.Sprintf(format, args...))
	}
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
		if ctx.Err() == nil {
			c.notice("%v: trying again in %v", err, c.backoff)
		}
		c.lost, c.retryAt = err, time.Now().Add(c.backoff)
		c.backoff = min(2*c.backoff, maxBackoff)
		return false
	}
	c.notice("%s: connected again after %v", t.Name(), time.Since(c.lostAt).Round(100*time.Millisecond))
	c.target, c.waitKey = t, true
	c.stats.Reconnects++
	return true
}

// count adds f to the figures. It returns errDone if a bound is reached.
func (c *copier) count(f *av.Frame) error {
	c.stats.Frames++
	c.stats.Media = c.line.Head()
	if c.o.Frames > 0 && c.stats.Frames >= c.o.Frames || c.o.Duration > 0 && c.stats.Media >= c.o.Duration {
		return errDone
	}
	return nil
}

// report calls Progress and Notice about twice a second.
func (c *copier) report() {
	if time.Since(c.reported) < reportEvery {
		return
	}
	c.reported = time.Now()
	c.remark()
	if c.o.Progress == nil {
		return
	}
	s := c.stats
	s.Elapsed, s.Live = time.Since(c.begin), c.target != nil
	c.o.Progress(s)
}

// remark notifies of tracks that are left out and of a file that is cut off.
func (c *copier) remark() {
	if c.o.Notice == nil {
		return
	}
	tell := func(s string) {
		if !c.told[s] {
			c.told[s] = true
			c.o.Notice(s)
		}
	}
	cond := c.source.Condition()
	for _, name := range cond.LeftOut {
		tell(name + " is left out: it cannot be carried")
	}
	if cond.Truncated {
		tell("the source ends within a frame: it was cut off, or is still being written")
	}
	if c.target != nil {
		for _, s := range c.target.LeftOut() {
			tell(s)
		}
	}
}
