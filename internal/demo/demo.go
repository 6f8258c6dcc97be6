// Package demo holds an embedded test stream, ten seconds of a moving, time-stamped
// picture with a tone, and publishes it in a loop.
package demo

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"time"

	"weir/av"
	"weir/format/flv"
)

//go:generate ./generate.sh

//go:embed sample.flv
var sample []byte

// length is how long one round of the sample lasts.
const length = 10 * time.Second

// Publish writes the sample's frames to write in real time, over and over with times that go on,
// until ctx ends or write fails.
func Publish(ctx context.Context, write func(*av.Frame) error) error {
	frames, err := load()
	if err != nil {
		return err
	}
	begin := time.Now()
	t := time.NewTimer(0)
	defer t.Stop()
	for round := time.Duration(0); ; round += length {
		for i := range frames {
			f := frames[i]
			if round > 0 && f.Type != av.Media {
				continue
			}
			f.DTS += round
			f.PTS += round
			t.Reset(time.Until(begin.Add(f.DTS)))
			select {
			case <-t.C:
			case <-ctx.Done():
				return nil
			}
			if err := write(&f); err != nil {
				return err
			}
		}
	}
}

func load() ([]av.Frame, error) {
	r := flv.NewFrameReader(bytes.NewReader(sample))
	var frames []av.Frame
	for {
		f, err := r.ReadFrame()
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return nil, fmt.Errorf("demo: %w", err)
		}
		frames = append(frames, *f)
	}
}
