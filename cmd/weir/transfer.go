package main

import (
	"context"
	"fmt"
	"time"

	"weir/internal/relay"
)

// pushCmd is "weir push".
type pushCmd struct {
	Source string        `arg:"" help:"FLV, MP4 or MPEG-TS file, or URL of another server's stream (rtmp, rtmps, http, https, ws, wss)."`
	URL    string        `arg:"" help:"Where to publish: rtmp://HOST/app/name?key=SECRET or rtmps://."`
	Loop   bool          `help:"Begin again at the end of a file, for ever."`
	Speed  float64       `default:"1" help:"How fast a file is sent."`
	Start  time.Duration `help:"Begin at the first key frame after this time of the file."`
}

// Help is the text below the flags.
func (pushCmd) Help() string {
	return "Example: weir push --loop sample.flv rtmp://127.0.0.1/live/cam\n\nIf the server goes away it is tried again until the command is interrupted."
}

// Run implements the command.
func (c *pushCmd) Run(ctx context.Context, out *console) error {
	if c.Speed <= 0 {
		return usageError{fmt.Errorf("--speed is more than 0")}
	}
	return transfer(ctx, out, c.Source, c.URL, relay.Options{Loop: c.Loop, Speed: c.Speed, Start: c.Start, Reconnect: true})
}

// pullCmd is "weir pull".
type pullCmd struct {
	URL      string        `arg:"" help:"Stream to play: rtmp, rtmps, http, https, ws or wss URL, or an FLV, MP4 or MPEG-TS file."`
	Output   string        `short:"o" placeholder:"FILE" help:"File to write (.flv); without one the stream is only received."`
	Duration time.Duration `help:"Stop after this much of the stream."`
	Frames   int64         `help:"Stop after so many frames."`
}

// Help is the text below the flags.
func (pullCmd) Help() string {
	return "Example: weir pull rtmp://127.0.0.1/live/cam -o cam.flv --duration 10s"
}

// Run implements the command.
func (c *pullCmd) Run(ctx context.Context, out *console) error {
	return transfer(ctx, out, c.URL, c.Output, relay.Options{Duration: c.Duration, Frames: c.Frames, Unpaced: true})
}

// transfer copies with a progress line and a summary.
func transfer(ctx context.Context, out *console, source, target string, o relay.Options) error {
	if out.Terminal {
		o.Progress = func(s relay.Stats) {
			state := ""
			if !s.Live {
				state = "  connecting again"
			}
			fmt.Fprintf(out.Err, "\r%s  %d frames  %s%s\x1b[K", s.Media.Round(100*time.Millisecond), s.Frames, size(s.Bytes), state)
		}
	}
	s, err := relay.Copy(ctx, source, func(ctx context.Context) (relay.Target, error) { return relay.Create(ctx, target) }, o)
	if out.Terminal {
		fmt.Fprint(out.Err, "\r\x1b[K")
	}
	if s.Frames > 0 {
		fmt.Fprintf(out.Err, "%d frames, %s, %v of the stream in %v, %d reconnects\n", s.Frames, size(s.Bytes),
			s.Media.Round(time.Millisecond), s.Elapsed.Round(time.Millisecond), s.Reconnects)
	}
	return err
}

func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f kB", float64(n)/1e3)
}
