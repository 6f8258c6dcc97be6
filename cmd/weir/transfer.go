package main

import (
	"context"
	"fmt"
	"time"

	"weir/internal/fetch"
	"weir/internal/relay"
)

// access is the flags that say how servers are reached.
type access struct {
	Insecure bool          `help:"Do not verify the server's certificate."`
	Timeout  time.Duration `default:"20s" help:"How long an answer may take, and the next frame of a server's stream."`
}

// options are the flags as the relay takes them.
func (a *access) options() (fetch.Access, error) {
	if a.Timeout <= 0 {
		return fetch.Access{}, usageError{fmt.Errorf("--timeout must be more than 0")}
	}
	return fetch.Access{Insecure: a.Insecure, Trust: "use --insecure", Timeout: a.Timeout}, nil
}

// pushCmd is "weir push".
type pushCmd struct {
	Source     string        `arg:"" help:"FLV, MP4 or MPEG-TS file, or URL of another server's stream (rtmp, rtmps, http, https, ws, wss; HLS too)."`
	URL        string        `arg:"" help:"Where to publish: rtmp://HOST/app/name?key=SECRET or rtmps://."`
	Loop       bool          `help:"Begin again at the end of a file, for ever."`
	Speed      float64       `default:"1" help:"How fast a file is sent."`
	Start      time.Duration `help:"Begin at the first key frame after this time of the file."`
	Retry      bool          `help:"Go on for ever: when the stream has ended or cannot be had, or the server cannot be reached, try again."`
	Multitrack bool          `help:"Send all tracks, also to a server that has not announced that it takes several of a kind."`
	access
}

// Help is the text below the flags.
func (pushCmd) Help() string {
	return "Example: weir push --loop sample.flv rtmp://127.0.0.1/live/cam\n\n" +
		"If the server goes away it is tried again until the command is interrupted or the file ends; what is read meanwhile is not sent. A track that the server cannot take is left out, and named. With --retry the command waits for a source and a server that are not there, too, and for a stream that has ended to come back: to send a stream on for as long as a server runs, streams[].push of the configuration needs no second process."
}

// Run implements the command.
func (c *pushCmd) Run(ctx context.Context, out *console) error {
	if c.Speed <= 0 || c.Start < 0 {
		return usageError{fmt.Errorf("--speed must be more than 0, and --start must not be negative")}
	}
	a, err := c.options()
	if err != nil {
		return err
	}
	return transfer(ctx, out, c.Source, c.URL, relay.TargetOptions{Access: a, Multitrack: c.Multitrack},
		relay.Options{Loop: c.Loop, Speed: c.Speed, Start: c.Start, Reconnect: true, Retry: c.Retry})
}

// pullCmd is "weir pull".
type pullCmd struct {
	URL      string        `arg:"" help:"Stream to play: rtmp, rtmps, http, https, ws or wss URL (HLS too), or an FLV, MP4 or MPEG-TS file."`
	Output   string        `short:"o" placeholder:"FILE" help:"File to write (.flv); without one the stream is only received."`
	Force    bool          `short:"f" help:"Overwrite the file if it exists."`
	Duration time.Duration `help:"Stop after this much of the stream."`
	Frames   int64         `placeholder:"N" help:"Stop after so many frames."`
	access
}

// Help is the text below the flags.
func (pullCmd) Help() string {
	return "Example: weir pull rtmp://127.0.0.1/live/cam -o cam.flv --duration 10s"
}

// Run implements the command.
func (c *pullCmd) Run(ctx context.Context, out *console) error {
	if c.Duration < 0 || c.Frames < 0 {
		return usageError{fmt.Errorf("--duration and --frames must not be negative")}
	}
	a, err := c.options()
	if err != nil {
		return err
	}
	return transfer(ctx, out, c.URL, c.Output, relay.TargetOptions{Access: a, Overwrite: c.Force},
		relay.Options{Duration: c.Duration, Frames: c.Frames, Unpaced: true})
}

// transfer copies with a progress line and a summary.
func transfer(ctx context.Context, out *console, source, target string, t relay.TargetOptions, o relay.Options) error {
	clear := ""
	if out.Terminal {
		clear = "\r\x1b[K"
		o.Progress = func(s relay.Stats) {
			state := ""
			if !s.Live {
				state = "  connecting again"
			}
			fmt.Fprintf(out.Err, "\r%s  %s  %s%s\x1b[K", s.Media.Round(100*time.Millisecond), frames(s), size(s.Bytes), state)
		}
	}
	o.Notice = func(s string) { fmt.Fprintf(out.Err, "%sweir: %s\n", clear, s) }
	from := t.Access
	from.Place = &fetch.Place{}
	s, err := relay.Copy(ctx,
		func(ctx context.Context) (fetch.Source, error) { return fetch.Open(ctx, source, from) },
		func(ctx context.Context) (relay.Target, error) { return relay.Create(ctx, target, t) }, o)
	fmt.Fprint(out.Err, clear)
	if s.Frames > 0 {
		fmt.Fprintf(out.Err, "%s, %s, %v of the stream in %v, %s\n", frames(s), size(s.Bytes),
			s.Media.Round(time.Millisecond), s.Elapsed.Round(time.Millisecond), plural(int64(s.Reconnects), "reconnect"))
	}
	return err
}

// frames says how many frames were read, and how many of them were sent unless all were.
func frames(s relay.Stats) string {
	if s.Sent == s.Frames {
		return plural(s.Frames, "frame")
	}
	return fmt.Sprintf("%s read, %d sent", plural(s.Frames, "frame"), s.Sent)
}

// plural is a number of things.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
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
