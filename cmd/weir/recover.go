package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"weir/internal/record"
)

// recoverCmd is "weir recover".
type recoverCmd struct {
	Path string `arg:"" help:"A recording, or a directory in which all recordings that end in .part are repaired."`
}

// Help is the text below the flags.
func (recoverCmd) Help() string {
	return "Example: weir recover /srv/recordings\n\nA recording that a crash left can be played as it is. This makes it whole, and takes .part off its name; " +
		"the server does the same when it starts. A .part without a single whole frame is removed. What is whole, or still being written, is left alone."
}

// Run implements the command.
func (c *recoverCmd) Run(ctx context.Context, out *console) error {
	info, err := os.Stat(c.Path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		root, err := os.OpenRoot(filepath.Dir(c.Path))
		if err != nil {
			return err
		}
		defer root.Close()
		return report(out, c.Path, root, filepath.Base(c.Path))
	}
	failed := 0
	if err := record.Parts(ctx, c.Path, func(root *os.Root, name string) {
		if err := report(out, filepath.Join(c.Path, name), root, name); err != nil {
			failed++
			fmt.Fprintln(out.Err, "weir:", err)
		}
	}); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("files that could not be repaired: %d", failed)
	}
	return nil
}

// report repairs one file and says what became of it.
func report(out *console, shown string, root *os.Root, name string) error {
	done, err := record.Repair(root, name, nil)
	switch {
	case errors.Is(err, record.ErrWritten):
		fmt.Fprintf(out.Out, "%s: it is being written now\n", shown)
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", shown, err)
	case done.Name == "":
		fmt.Fprintf(out.Out, "%s: nothing had been recorded in it; removed\n", shown)
		return nil
	}
	fmt.Fprintf(out.Out, "%s: whole, %d bytes\n", filepath.Join(filepath.Dir(shown), filepath.Base(done.Name)), done.File.Bytes)
	return nil
}
