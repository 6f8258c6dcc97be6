// Mutants measures how much the tests of a package would notice. It makes one small mistake at a
// time in the package's sources (a mutant), runs the tests, and lists the mistakes that no test
// found. The sources on disk never change: each mutant is built with an overlay.
//
//	mutants [flags] package[:file.go,...][=package,...] ...
//
// A target is a folder below the root, of which all files are mutated or those named, and after "="
// the folders whose tests are run, by default its own. A mutant that does not compile counts as none.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fl := flag.NewFlagSet("mutants", flag.ContinueOnError)
	root := fl.String("C", ".", "the module's root")
	n := fl.Int("n", 20, "mutants of each target, chosen at random; 0: all")
	seed := fl.Uint64("seed", 1, "of the random choice")
	p := fl.Int("p", 2, "mutants that are tested at a time")
	at := fl.String("at", "", "only mutants whose file:line matches this regular expression")
	least := fl.Float64("min", 0, "fail when fewer per cent of a target's mutants are found")
	if err := fl.Parse(args); err != nil {
		return err
	}
	where, err := regexp.Compile(*at)
	if err != nil {
		return fmt.Errorf("-at: %w", err)
	}
	tmp, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if *root, err = filepath.Abs(*root); err != nil {
		return err
	}

	var survivors []mutant
	var below []string
	fmt.Fprintln(out, "| package | mutants | killed | by timeout | survived | killed, % |")
	fmt.Fprintln(out, "|---|---:|---:|---:|---:|---:|")
	for _, arg := range fl.Args() {
		if ctx.Err() != nil {
			break
		}
		t, err := newTarget(ctx, *root, tmp, arg)
		if err != nil {
			return fmt.Errorf("%s: %w", arg, err)
		}
		ms, err := t.mutants(where)
		if err != nil {
			return fmt.Errorf("%s: %w", arg, err)
		}
		rand.New(rand.NewPCG(*seed, 0)).Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
		sample := *n
		if sample <= 0 {
			sample = len(ms)
		}
		var count [timedOut + 1]int
		// Those that do not compile are made up for by the next: the choice depends on the seed alone.
		for judged := 0; judged < sample && len(ms) > 0; judged = count[killed] + count[timedOut] + count[survived] {
			batch := ms[:min(sample-judged, len(ms))]
			ms = ms[len(batch):]
			for i, v := range t.judge(ctx, batch, *p) {
				if count[v]++; v == survived {
					survivors = append(survivors, batch[i])
				}
			}
			if ctx.Err() != nil {
				break
			}
		}
		found := count[killed] + count[timedOut]
		all := found + count[survived]
		percent := 100 * float64(found) / float64(max(all, 1))
		fmt.Fprintf(out, "| %s | %d | %d | %d | %d | %.0f |\n", t.name, all, count[killed], count[timedOut], count[survived], percent)
		if percent < *least {
			below = append(below, t.name)
		}
	}
	fmt.Fprintln(out, "\nSurvivors:")
	for _, m := range survivors {
		fmt.Fprintf(out, "- %s: %s\n", m.place(), m.what)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("ended early: %w", err)
	}
	if below != nil {
		return errors.New("tests find less than they should in " + strings.Join(below, ", "))
	}
	return nil
}
