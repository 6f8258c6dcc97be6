package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"weir/internal/session"
	"weir/internal/stream"
)

const (
	// A picture is shown for pictureTime before another one is made, or for costFactor times as long as it took to make, but
	// no longer than mostTime: so the making of one stream's pictures takes a twentieth of a core, however large they are.
	pictureTime = time.Second
	costFactor  = 20
	mostTime    = 10 * time.Second
	// decoders is how many stills are made at a time, and maxQueued how many may wait for that.
	decoders  = 2
	maxQueued = 8
	// decodeTime bounds the making of a still, and queueTime the wait for it.
	decodeTime = 5 * time.Second
	queueTime  = 5 * time.Second
	// maxPixels bounds the picture: 8K, which takes a decoder about half a second.
	maxPixels = 7680 * 4320
	// maxWidth bounds the width of a still: what is larger is made smaller.
	maxWidth = 1920
	// maxStill bounds the bytes of a still.
	maxStill = 16 << 20
)

// Errors of stills.
var (
	errBusy = &session.Refusal{
		Reason: session.Limit, Peer: "The server is busy with other pictures: try again in some seconds.",
		Err: errors.New("too many pictures are wanted at once"),
	}
	errTooLarge = &session.Refusal{
		Reason: session.Unsupported, Peer: "The picture is larger than 7680×4320, too large for a still. snapshot.mp4 beside this shows it.",
		Err: errors.New("the picture is too large for a still"),
	}
	// errDecoder is wrapped with what the operator may know of it, and nobody else.
	errDecoder = errors.New("ffmpeg made no still")
)

// shelf keeps the newest picture of each stream in one form.
type shelf struct {
	mu    sync.Mutex // guards below
	shown map[*stream.Stream]*shown
}

// picture is what viewers are sent.
type picture struct {
	bytes []byte
	etag  string
}

// shown is a stream's newest picture, or the making of it.
type shown struct {
	cancel context.CancelFunc
	ready  chan struct{} // closed when the following is there
	picture
	err   error
	until time.Time // when another one may be made

	waiting int // clients; guarded by shelf.mu
}

func newShelf() shelf { return shelf{shown: map[*stream.Stream]*shown{}} }

func (c *shown) isReady() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

// sweep forgets what is too old to be shown.
func (q *shelf) sweep(now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for s, c := range q.shown {
		if c.isReady() && now.After(c.until) {
			delete(q.shown, s)
		}
	}
}

// get returns a stream's picture: those who ask while one is made or shown share it. The first of
// them makes it, and goes on for the others when its own client has
// left; the context that produce gets ends when all have.
func (q *shelf) get(ctx context.Context, s *stream.Stream, produce func(context.Context) ([]byte, error)) (picture, error) {
	c, making, first := q.join(ctx, s)
	stop := context.AfterFunc(ctx, func() { q.leave(s, c) })
	defer func() {
		if stop() {
			q.leave(s, c)
		}
	}()
	if first {
		c.make(making, produce)
		close(c.ready)
	}
	select {
	case <-c.ready:
		return c.picture, c.err
	case <-ctx.Done():
		return picture{}, context.Cause(ctx)
	}
}

// make makes the picture.
func (c *shown) make(ctx context.Context, produce func(context.Context) ([]byte, error)) {
	begun := time.Now()
	c.bytes, c.err = produce(ctx)
	now := time.Now()
	c.until = now.Add(pictureTime)
	if c.err == nil {
		sum := sha256.Sum256(c.bytes)
		c.etag = `"` + hex.EncodeToString(sum[:8]) + `"`
		c.until = now.Add(min(max(pictureTime, costFactor*now.Sub(begun)), mostTime))
	}
}

// join makes a client wait for a stream's picture; first reports whether it is to make it.
func (q *shelf) join(ctx context.Context, s *stream.Stream) (c *shown, making context.Context, first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c = q.shown[s]
	if c == nil || c.isReady() && time.Now().After(c.until) {
		c = &shown{ready: make(chan struct{})}
		making, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
		q.shown[s] = c
		first = true
	}
	c.waiting++
	return c, making, first
}

// leave takes a client away. What nobody waits for any more is not made.
func (q *shelf) leave(s *stream.Stream, c *shown) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c.waiting--; c.waiting > 0 {
		return
	}
	c.cancel()
	if !c.isReady() && q.shown[s] == c {
		delete(q.shown, s)
	}
}

// queue bounds how many stills are made at once.
type queue struct {
	turns chan struct{} // held while a still is made

	mu     sync.Mutex // guards below
	queued int
}

func newQueue() queue { return queue{turns: make(chan struct{}, decoders)} }

// turn waits until a still may be made. It fails with errBusy if too many wait, or for too long.
func (q *queue) turn(ctx context.Context) (release func(), err error) {
	release = func() { <-q.turns }
	select {
	case q.turns <- struct{}{}:
		return release, nil
	default:
	}
	q.mu.Lock()
	full := q.queued >= maxQueued
	if !full {
		q.queued++
	}
	q.mu.Unlock()
	if full {
		return nil, errBusy
	}
	defer func() {
		q.mu.Lock()
		q.queued--
		q.mu.Unlock()
	}()
	t := time.NewTimer(queueTime)
	defer t.Stop()
	select {
	case q.turns <- struct{}{}:
		return release, nil
	case <-t.C:
		return nil, errBusy
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// decode has ffmpeg make a still of a film. ffmpeg is held to the bound of pixels too: what a
// key frame says of its size may differ from what the track says.
func decode(ctx context.Context, ffmpeg string, film []byte) ([]byte, error) {
	viewers := ctx
	ctx, cancel := context.WithTimeout(ctx, decodeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, ffmpeg, "-nostdin", "-v", "error", "-threads", "1", "-max_pixels", strconv.Itoa(maxPixels),
		"-f", "mp4", "-i", "pipe:0", "-frames:v", "1", "-vf", fmt.Sprintf("scale='min(%d,iw)':-2", maxWidth), "-q:v", "4", "-f", "mjpeg", "pipe:1")
	cmd.Stdin = bytes.NewReader(film)
	cmd.WaitDelay = time.Second
	out, said := limited{most: maxStill}, limited{most: 1 << 10}
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Start()
	if err == nil {
		yield(cmd.Process.Pid)
		err = cmd.Wait()
	}
	switch {
	case viewers.Err() == nil && ctx.Err() != nil: // the machine has other things to do
		return nil, fmt.Errorf("%w: ffmpeg took more than %v", errBusy, decodeTime)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil && out.dropped:
		err = fmt.Errorf("it is larger than %d bytes", maxStill)
	case err == nil && out.kept.Len() == 0:
		err = errors.New("it wrote nothing")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %s", errDecoder, err, session.Printable(said.kept.String(), 200))
	}
	return out.kept.Bytes(), nil
}

// limited keeps so many bytes and drops the rest. The buffer is not embedded: its ReadFrom would go past the bound.
type limited struct {
	kept    bytes.Buffer
	most    int
	dropped bool
}

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	n, _ := l.kept.Write(b[:min(len(b), l.most-l.kept.Len())])
	l.dropped = l.dropped || n < len(b)
	return len(b), nil
}
