package server_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/server"
	"weir/rtmp"
)

// TestPlayersComeStallAndGoWhilePublisherRestarts has 200 players join, stall, resume and leave
// at random while the publisher restarts five times. Whatever a player sees is in order,
// without repetition, in time that never falls, and begins with a key frame.
func TestPlayersComeStallAndGoWhilePublisherRestarts(t *testing.T) {
	const players, restarts = 200, 5
	length := 8 * time.Second
	if testing.Short() {
		length = 4 * time.Second
	}
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Slow.MaxLag = 500e6
		c.Streams = []server.StreamConfig{s}
	})
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var wg sync.WaitGroup
	var number atomic.Uint32
	wg.Go(func() {
		for i := range restarts + 1 {
			if err := publishFor(ctx, r, length/(restarts+1), &number, uint32(i)*1000); err != nil && ctx.Err() == nil {
				t.Error("publisher:", err)
				return
			}
		}
	})
	var frames, visits, stalls atomic.Int64
	for i := range players {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for ctx.Err() == nil {
				visits.Add(1)
				if err := visit(ctx, r, rnd, &frames, &stalls); err != nil && ctx.Err() == nil {
					t.Errorf("player %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d frames to %d visits with %d stalls", frames.Load(), visits.Load(), stalls.Load())
	if frames.Load() < 1000 {
		t.Error("hardly anything was played")
	}
}

// publishFor publishes numbered frames at 50 a second, a key frame every half second, and
// breaks off.
func publishFor(ctx context.Context, r *running, d time.Duration, number *atomic.Uint32, clock uint32) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	p, err := r.publish(ctx, "live/storm")
	if err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // its time was over before it was let in
		}
		return err
	}
	defer p.client.Close()
	if err := errors.Join(p.video(clock, videoHeader), p.audio(clock, audioHeader)); err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := uint32(0); ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := p.video(clock+i*20, videoFrame(i%25 == 0, number.Add(1), 4000)); err != nil {
			return err
		}
	}
}

// visit is one player's stay: it reads, perhaps stalls for a while, and goes.
func visit(ctx context.Context, r *running, rnd *rand.Rand, frames, stalls *atomic.Int64) error {
	stay := time.Duration(rnd.IntN(3000)) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, stay)
	defer cancel()
	c, p, err := r.play(ctx, "live/storm")
	if err != nil {
		return nil //nolint:nilerr // its time was over
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	var last uint32
	var lastTime uint32
	seen := false
	for {
		m, err := p.ReadMessage()
		if err != nil {
			if ctx.Err() != nil || isEnd(err) || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		if m.Type != rtmp.TypeVideo || m.Payload[1] == 0 {
			continue
		}
		n, key := numberOf(m.Payload)
		switch {
		case !seen && !key:
			return fmt.Errorf("begins with frame %d, which is no key frame", n)
		case seen && n <= last:
			return fmt.Errorf("frame %d after %d", n, last)
		case seen && n != last+1 && !key:
			return fmt.Errorf("goes on with frame %d, which is no key frame, after %d", n, last)
		case seen && m.Timestamp < lastTime:
			return fmt.Errorf("time %d after %d", m.Timestamp, lastTime)
		}
		seen, last, lastTime = true, n, m.Timestamp
		frames.Add(1)
		if rnd.IntN(200) == 0 {
			stalls.Add(1)
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(rnd.IntN(1500)) * time.Millisecond):
			}
		}
	}
}
