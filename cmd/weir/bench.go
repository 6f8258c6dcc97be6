package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"

	"weir/bench"
)

// benchCmd is "weir bench".
type benchCmd struct {
	Players    benchPlayersCmd    `cmd:"" help:"Play streams many times over, and measure what comes."`
	Publishers benchPublishersCmd `cmd:"" help:"Publish many streams."`
	Storm      benchStormCmd      `cmd:"" help:"Let many players join at once on top of others."`
	HLS        benchHLSCmd        `cmd:"" name:"hls" help:"Ask for playlists and parts as fast as they are answered."`
	Floor      benchFloorCmd      `cmd:"" help:"Serve without looking at what is served: what the least server costs (Linux)."`
}

// Help is the text below the commands.
func (benchCmd) Help() string {
	return "Example: weir bench players rtmp://127.0.0.1/live/bench --publish rtmp://127.0.0.1/live/bench --players 500\n\n" +
		"Each frame carries its number and the time it was sent: loss, repetition, order and latency are measured. " +
		"Measure servers of your own only."
}

// printReport prints a report, also that of a measurement that broke off.
func printReport(out *console, asJSON bool, r interface{ WriteText(io.Writer) error }, err error) error {
	if err != nil {
		return err
	}
	if !asJSON {
		return r.WriteText(out.Out)
	}
	enc := json.NewEncoder(out.Out)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

type benchPlayersCmd struct {
	bench.PlayersConfig
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is the text below the flags.
func (benchPlayersCmd) Help() string {
	return "Example: weir bench players rtmp://127.0.0.1/live/bench --publish rtmp://127.0.0.1/live/bench --players 500"
}

// Run implements the command.
func (c *benchPlayersCmd) Run(ctx context.Context, out *console) error {
	r, err := bench.Players(ctx, c.PlayersConfig)
	return printReport(out, c.JSON, r, err)
}

type benchPublishersCmd struct {
	bench.PublishersConfig
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is the text below the flags.
func (benchPublishersCmd) Help() string {
	return "Example: weir bench publishers rtmp://127.0.0.1/live/bench-%d --streams 100 --duration 30s"
}

// Run implements the command.
func (c *benchPublishersCmd) Run(ctx context.Context, out *console) error {
	c.Publishing = func() { fmt.Fprintf(out.Err, "publishing streams=%d\n", c.Streams) }
	r, err := bench.Publishers(ctx, c.PublishersConfig)
	return printReport(out, c.JSON, r, err)
}

type benchStormCmd struct {
	bench.StormConfig
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is the text below the flags.
func (benchStormCmd) Help() string {
	return "Example: weir bench storm http://127.0.0.1:8080/live/bench.flv --publish rtmp://127.0.0.1/live/bench --joins 1000"
}

// Run implements the command.
func (c *benchStormCmd) Run(ctx context.Context, out *console) error {
	r, err := bench.Storm(ctx, c.StormConfig)
	return printReport(out, c.JSON, r, err)
}

type benchHLSCmd struct {
	bench.HLSConfig
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is the text below the flags.
func (benchHLSCmd) Help() string {
	return "Example: weir bench hls http://127.0.0.1:8080/live/cam/index.m3u8 --connections 100"
}

// Run implements the command.
func (c *benchHLSCmd) Run(ctx context.Context, out *console) error {
	r, err := bench.HLS(ctx, c.HLSConfig)
	return printReport(out, c.JSON, r, err)
}

type benchFloorCmd struct {
	bench.FloorConfig
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is the text below the flags.
func (benchFloorCmd) Help() string {
	return "Example: weir bench floor --listen 127.0.0.1:1935"
}

// Run implements the command.
func (c *benchFloorCmd) Run(ctx context.Context, out *console) error {
	c.Listening = func(a net.Addr) { fmt.Fprintf(out.Err, "listening proto=rtmp addr=%s\n", a) }
	r, err := bench.Floor(ctx, c.FloorConfig)
	return printReport(out, c.JSON, r, err)
}
