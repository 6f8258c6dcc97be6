package main

import (
	"context"
	"fmt"
	"sync"

	"weir"
	"weir/internal/demo"
)

// demoCmd is "weir demo".
type demoCmd struct {
	source
}

// demoPath is where the test stream is.
const demoPath = "live/demo"

// Help is the text below the flags.
func (demoCmd) Help() string { return "Example: weir demo, then ffplay rtmp://127.0.0.1/live/demo" }

// Run implements the command.
func (c *demoCmd) Run(ctx context.Context, out *console) error {
	s, err := c.start(out)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		p, err := s.Publish(ctx, demoPath)
		if err == nil {
			defer p.Close()
			err = demo.Publish(ctx, p.WriteFrame)
		}
		if err != nil && ctx.Err() == nil {
			stop(err)
		}
	})
	printDemo(out, s)
	err = s.Run(ctx)
	stop(nil)
	return err
}

// printDemo says what to type next.
func printDemo(out *console, s *weir.Server) {
	rtmp, web := s.URL("rtmp"), s.URL("http")
	fmt.Fprintf(out.Out, `
A test stream is live. Watch it in a browser:
    %[2]s/live/demo/
or with a player:
    ffplay %[1]s/live/demo
    ffplay %[2]s/live/demo.flv
    weir probe %[1]s/live/demo

Publish one of your own, and watch it as live/cam:
    ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine -c:v libx264 -bf 2 -g 60 -c:a aac -f flv %[1]s/live/cam
    ffplay %[1]s/live/cam
    %[2]s/live/cam/
OBS: Settings, Stream, Custom; server %[1]s/live, stream key cam

Look inside: %[3]s/api/v1/streams and /metrics. Stop with Ctrl-C.

`, rtmp, web, s.URL("admin"))
}
