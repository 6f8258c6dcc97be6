// Command weir is a live-streaming server and its tools.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"weir"
)

// The exit statuses.
const (
	exitFailure = 1
	exitUsage   = 2
)

// cli is the command line.
type cli struct {
	Serve      serveCmd      `cmd:"" help:"Run the server."`
	Demo       demoCmd       `cmd:"" help:"Run the server with a test stream at live/demo."`
	Push       pushCmd       `cmd:"" help:"Publish a file or another stream to a server, in real time."`
	Pull       pullCmd       `cmd:"" help:"Record a stream, or just receive it."`
	Probe      probeCmd      `cmd:"" help:"Describe a stream and its faults."`
	Bench      benchCmd      `cmd:"" help:"Load a server and measure it."`
	Recover    recoverCmd    `cmd:"" help:"Repair recordings that a crash left."`
	Config     configCmd     `cmd:"" help:"Check and explain the configuration."`
	Key        keyCmd        `cmd:"" help:"Make, list and revoke the keys of publishers and players."`
	Recordings recordingsCmd `cmd:"" help:"List, download and delete what the server recorded."`
	Sessions   sessionsCmd   `cmd:"" help:"List who publishes and watches at a running server, and disconnect one."`
	Sign       signCmd       `cmd:"" help:"Sign a link with which a stream can be played or published for a time."`
	Token      tokenCmd      `cmd:"" help:"Print a new random secret, for admin.token or to sign links with."`
	Pushes     pushesCmd     `cmd:"" help:"List and change the servers that a running server also sends its streams to."`
	Pulls      pullsCmd      `cmd:"" help:"List the streams that a running server fetches from others, and try their sources again."`
	Version    versionCmd    `cmd:"" help:"Print what this program is."`
}

// console is where commands write.
type console struct {
	Out, Err io.Writer
	Terminal bool // Err is a terminal
	Color    bool
}

// isTerminal reports whether Err is still a terminal: it may have been closed.
func (c *console) isTerminal() bool {
	f, ok := c.Err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run runs one command and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	out := &console{Out: stdout, Err: stderr}
	out.Terminal = out.isTerminal()
	out.Color = out.Terminal && os.Getenv("NO_COLOR") == ""
	status := -1
	var c cli
	parser, err := kong.New(&c,
		kong.Name("weir"),
		kong.Description("A live-streaming server that speaks "+strings.ToUpper(strings.Join(weir.Protocols(), ", "))+", with a page to watch on.\n\nTry: weir demo"),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { status = code }),
	)
	if err != nil {
		fmt.Fprintln(stderr, "weir:", err)
		return exitFailure
	}
	k, err := parser.Parse(args)
	if status >= 0 { // --help was answered
		return status
	}
	if err != nil {
		fmt.Fprintf(stderr, "weir: %v\nRun \"weir --help\" for the commands.\n", err)
		return exitUsage
	}
	ctx, stop := untilSignal()
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(out); err != nil {
		var coded interface{ ExitCode() int }
		if errors.As(err, &coded) {
			if s := err.Error(); s != "" {
				fmt.Fprintln(stderr, s)
			}
			return coded.ExitCode()
		}
		fmt.Fprintln(stderr, "weir:", err)
		return exitFailure
	}
	return 0
}

// ends are the signals that end the program, by their names.
var ends = map[os.Signal]string{os.Interrupt: "SIGINT", syscall.SIGTERM: "SIGTERM"}

// signalled is the cause of a context that a signal has ended; it is a context.Canceled for whoever asks why.
type signalled string

func (s signalled) Error() string { return string(s) + " was received" }
func (signalled) Unwrap() error   { return context.Canceled }

// untilSignal returns a context that ends at the first of these signals, with a cause that names it. A second one ends the
// program at once. stop must be called.
func untilSignal() (ctx context.Context, stop func()) {
	ctx, end := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, slices.Collect(maps.Keys(ends))...)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer signal.Stop(signals)
		select {
		case s := <-signals:
			end(signalled(ends[s]))
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		end(nil)
		wg.Wait()
	}
}

// usageError is a mistake on the command line or in the configuration.
type usageError struct{ error }

// ExitCode implements the error's exit status.
func (usageError) ExitCode() int { return exitUsage }

// Unwrap returns the mistake.
func (e usageError) Unwrap() error { return e.error }
