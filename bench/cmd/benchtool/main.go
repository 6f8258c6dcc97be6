// Command benchtool is the load generator alone: "benchtool players URL" does what
// "weir bench players URL" does. The benchmark runs it where the weir binary to be
// measured is not to be its own load.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"weir/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "benchtool:", err)
		os.Exit(1)
	}
}

// report is what a command ends with.
type report interface{ WriteText(io.Writer) error }

// run runs one command.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("which command: players, publishers, storm, hls or floor?")
	}
	var players bench.PlayersConfig
	var publishers bench.PublishersConfig
	var storm bench.StormConfig
	var hls bench.HLSConfig
	var floor bench.FloorConfig
	var conf any
	var do func() (report, error)
	switch args[0] {
	case "players":
		conf, do = &players, func() (report, error) { return bench.Players(ctx, players) }
	case "publishers":
		publishers.Publishing = func() { fmt.Fprintf(stderr, "publishing streams=%d\n", publishers.Streams) }
		conf, do = &publishers, func() (report, error) { return bench.Publishers(ctx, publishers) }
	case "storm":
		conf, do = &storm, func() (report, error) { return bench.Storm(ctx, storm) }
	case "hls":
		conf, do = &hls, func() (report, error) { return bench.HLS(ctx, hls) }
	case "floor":
		floor.Listening = func(a net.Addr) { fmt.Fprintf(stderr, "listening proto=rtmp addr=%s\n", a) }
		conf, do = &floor, func() (report, error) { return bench.Floor(ctx, floor) }
	default:
		return fmt.Errorf("there is no command %q", args[0])
	}
	fs := flag.NewFlagSet("benchtool "+args[0], flag.ContinueOnError)
	fs.SetOutput(stderr)
	asJSON := fs.Bool("json", false, "Print JSON.")
	url, err := bind(fs, conf)
	if err != nil {
		return err
	}
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	if want := min(1, len(url)); fs.NArg() != want {
		return fmt.Errorf("%s: %d arguments, want %d, behind the flags", args[0], fs.NArg(), want)
	}
	for _, p := range url {
		*p = fs.Arg(0)
	}
	r, err := do()
	if err != nil {
		return err
	}
	if !*asJSON {
		return r.WriteText(stdout)
	}
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
