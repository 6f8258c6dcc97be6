// Command compare runs the benchmark: it starts weir, the floor and nginx-rtmp in turn on
// one CPU and the load generator on another, takes turns between them within each row, and
// writes what it measured and which goals were met.
//
// It exits with 1 if a goal was missed that is a ratio, or about faults.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	missed, err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(2)
	case missed > 0:
		os.Exit(1)
	}
}

// run does what the arguments say.
func run(ctx context.Context, args []string, out io.Writer) (missed int, err error) {
	fs := flag.NewFlagSet("compare", flag.ContinueOnError)
	weir := fs.String("weir", "bin/weir", "the server, as a command")
	loader := fs.String("loader", "bin/weir bench", "the load generator, as a command")
	version := fs.String("version", "", "what the results call the server's version")
	isQuick := fs.Bool("quick", false, "measure one row only, with shorter windows")
	only := fs.String("only", "", "rows to measure, by name, with commas; all if empty")
	rounds := fs.Int("rounds", 5, "rounds of each row")
	window := fs.Duration("window", 0, "length of a window; 0 is the row's own")
	players := fs.Int("players", 0, "most players of a row; 0 is no limit")
	serverCPU := fs.String("server-cpu", "", "CPU of the server; empty is the first")
	loadCPU := fs.String("load-cpu", "", "CPU of the load; empty is the last")
	file := fs.String("o", "", "file to write the results to")
	remarks := fs.String("remarks", "", "file with text to end the results with")
	if err := fs.Parse(args); err != nil {
		return 0, err
	}
	cpus, err := allowedCPUs()
	if err != nil {
		return 0, err
	}
	b := &bench{
		weir: strings.Fields(*weir), loader: strings.Fields(*loader), nginx: []string{"nginx"},
		serverCPU: either(*serverCPU, cpus[0]), loadCPU: either(*loadCPU, cpus[len(cpus)-1]),
	}
	if b.dir, err = os.MkdirTemp("", "weir-bench-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(b.dir)
	if b.files, err = os.MkdirTemp("/dev/shm", "weir-bench-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(b.files)
	if err := writeCertificate(b.dir); err != nil {
		return 0, err
	}
	if os.Geteuid() == 0 {
		b.first = []string{"nice", "-n", "-10"} // a frame leaves when it is due, however busy the players are
	}
	all := scenarios()
	if *isQuick {
		all = quick()
	}
	all, err = choose(all, *only, *players, *window)
	if err != nil {
		return 0, err
	}
	var notes []string
	if b.serverCPU == b.loadCPU {
		notes = append(notes, "Server and load shared a CPU: nothing here says much.")
	}
	if _, err := nginxThere(); err != nil {
		notes = append(notes, "nginx-rtmp was not installed, and not measured.")
		for i := range all {
			all[i].contenders = slices.DeleteFunc(slices.Clone(all[i].contenders), func(c contender) bool { return c.server == nginxServer || c.server == filesServer })
		}
	}
	begun := time.Now()
	r, err := measure(ctx, all, *rounds, out, b.window)
	if err != nil {
		return 0, err
	}
	to := io.Writer(io.Discard)
	var text strings.Builder
	if *file != "" {
		to = &text
	}
	missed, err = writeResults(to, describe(b, cpus, *version), all, r, notes)
	if err == nil && *file != "" {
		err = writeFile(*file, text.String(), *remarks)
	}
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(out, "\n%v", time.Since(begun).Round(time.Second))
	summary(out, all, r)
	return missed, nil
}

// writeFile writes the results, and the remarks behind them.
func writeFile(name, text, remarks string) error {
	if remarks != "" {
		more, err := os.ReadFile(remarks)
		if err != nil {
			return err
		}
		text += "\n" + string(more)
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// choose returns the rows that are asked for, within the bounds that are asked for.
func choose(all []scenario, only string, players int, window time.Duration) ([]scenario, error) {
	if only != "" {
		names := strings.Split(only, ",")
		for _, n := range names {
			if !slices.ContainsFunc(all, func(s scenario) bool { return s.name == n }) {
				return nil, fmt.Errorf("there is no row %q", n)
			}
		}
		all = slices.DeleteFunc(all, func(s scenario) bool { return !slices.Contains(names, s.name) })
	}
	for i := range all {
		s := &all[i]
		if players > 0 && s.players > players {
			// As many players a stream, of fewer streams.
			s.streams = max(1, s.streams*players/s.players)
			s.title = fmt.Sprintf("%s (here only %d)", s.title, players)
			for k := range s.contenders {
				s.contenders[k].slow = s.contenders[k].slow * players / s.players
			}
			s.sample = min(s.sample, players)
			s.players = players
		}
		if players > 0 && s.kind == publishing {
			s.streams = min(s.streams, players)
		}
		if window > 0 {
			s.window = window
		}
	}
	return all, nil
}

// measure measures all rows. The contenders of a row take turns, in one order and the
// other, so that what changes with time is nobody's advantage.
func measure(ctx context.Context, all []scenario, rounds int, out io.Writer, window func(context.Context, scenario, contender) (sample, error)) (results, error) {
	r := results{}
	for _, s := range all {
		fmt.Fprintf(out, "%s: %s\n", s.name, s.title)
		for n := range rounds {
			turn := slices.Clone(s.contenders)
			if n%2 == 1 {
				slices.Reverse(turn)
			}
			round := map[string]sample{}
			for _, c := range turn {
				f, err := window(ctx, s, c)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", s.name, c.name, err)
				}
				round[c.name] = f
				fmt.Fprintf(out, "  %d  %-36s %s\n", n+1, c.name, f.text())
			}
			r[s.name] = append(r[s.name], round)
		}
	}
	return r, nil
}

// text is a window in a line.
func (f sample) text() string {
	var parts []string
	for _, col := range columns {
		if v, ok := f[col.figure]; ok && (v != 0 || col.figure == cpuPerGB || col.figure == lostFrames) {
			parts = append(parts, col.title+" "+number(v))
		}
	}
	return strings.Join(parts, ", ")
}

// summary prints the goals.
func summary(out io.Writer, all []scenario, r results) {
	met, missed := 0, 0
	var lines []string
	for _, g := range append(goals(), faultless(all)...) {
		v := judge(g, r)
		switch {
		case !v.measured:
		case v.met:
			met++
		default:
			shown := ""
			if g.shown {
				shown = ", shown only"
			}
			missed++
			lines = append(lines, fmt.Sprintf("  %s: %s, %s: %s, limit %s%s", g.scenario, words[g.figure], g.text(), v.spread.text(), g.bound(), shown))
		}
	}
	fmt.Fprintf(out, "; goals met: %d, missed: %d\n", met, missed)
	for _, l := range lines {
		fmt.Fprintln(out, l)
	}
}
