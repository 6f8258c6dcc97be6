package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"weir/internal/fetch"
	"weir/internal/probe"
)

// exitFaults is the status of a probe that found faults.
const exitFaults = 3

// probeCmd is "weir probe".
type probeCmd struct {
	Source   string        `arg:"" help:"Stream (rtmp, rtmps, http, https, ws or wss URL of RTMP, FLV, MPEG-TS or HLS), or FLV, MP4 or MPEG-TS file."`
	JSON     bool          `name:"json" help:"Print JSON."`
	Duration time.Duration `help:"How much of the stream to look at: by default 5s of a live stream, and all of a file."`
	access
}

// Help is the text below the flags.
func (probeCmd) Help() string {
	return "Example: weir probe rtmp://127.0.0.1/live/cam\n\nThe exit status is 3 if faults were found. A live stream is looked at for up to 12 s if it takes so long to see two key frames."
}

// faultsError ends a probe that found faults; they have been printed.
type faultsError struct{}

func (faultsError) Error() string { return "" }

// ExitCode implements the error's exit status.
func (faultsError) ExitCode() int { return exitFaults }

// Run implements the command.
func (c *probeCmd) Run(ctx context.Context, out *console) error {
	if c.Duration < 0 {
		return usageError{fmt.Errorf("--duration must not be negative")}
	}
	a, err := c.options()
	if err != nil {
		return err
	}
	s, err := fetch.Open(ctx, c.Source, a)
	if err != nil {
		return err
	}
	defer s.Close()
	r, err := probe.Run(ctx, s, c.Duration)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(out.Out)
		enc.SetIndent("", "  ")
		err = enc.Encode(r)
	} else {
		err = r.WriteText(out.Out)
	}
	if err == nil && len(r.Faults) > 0 {
		return faultsError{}
	}
	return err
}
