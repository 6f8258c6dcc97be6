package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"weir/internal/record"
)

// Begun implements record.Catalog.
func (a *Archive) Begun(f record.File) error {
	return a.put(&Row{File: f, State: Recording})
}

// Done implements record.Catalog.
func (a *Archive) Done(f record.File) error {
	a.media.forget(f.ID)
	defer a.wake()
	return a.put(&Row{File: f, State: Done})
}

// Repaired implements record.Catalog. The file goes by the rule that held when it began.
func (a *Archive) Repaired(f record.File) error {
	a.media.forget(f.ID)
	defer a.wake()
	known := false
	err := a.use(false, func(x *index) (err error) {
		known, err = x.repaired(&f)
		return err
	})
	if err == nil && !known && f.Stream != "" {
		for _, p := range a.opt.Places() {
			if p.Dir == f.Dir {
				a.assume(&f, &p)
				err = a.use(false, func(x *index) error { return x.putAll([]*Row{{File: f, State: Done}}, true) })
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

// Failed implements record.Catalog.
func (a *Archive) Failed(f record.File, _ error) {
	a.media.forget(f.ID)
	info, err := os.Stat(filepath.Join(f.Dir, f.Name) + partial)
	if errors.Is(err, fs.ErrNotExist) {
		err = a.use(false, func(x *index) error { return x.removeName(f.Dir, f.Name) })
	} else {
		size := int64(0)
		if err == nil {
			size = info.Size()
		}
		err = a.use(false, func(x *index) error { return x.damaged(f.Dir, f.Name, f.Duration, size) })
	}
	if err != nil {
		a.log.Error("the index of recordings does not know that a file failed", slog.String("stream", f.Stream), slog.String("file", f.Name), slog.Any("err", err))
	}
}

// Taken implements record.Catalog.
func (a *Archive) Taken(dir, name string) bool {
	taken := false
	err := a.use(false, func(x *index) (err error) {
		taken, err = x.taken(dir, name)
		return err
	})
	if err != nil { // the file is made all the same
		a.log.Error("the index of recordings does not tell whether a name is free", slog.String("file", name), slog.Any("err", err))
	}
	return taken
}

// Unfinished returns the directories that have files which were begun and are not whole, as far as the index knows: also those in which nothing is
// recorded any more.
func (a *Archive) Unfinished(ctx context.Context) []string {
	var dirs []string
	err := a.use(false, func(x *index) (err error) {
		dirs, err = x.unfinished(ctx)
		return err
	})
	if err != nil && ctx.Err() == nil { // those of the configuration are known without it
		a.log.Error("the index of recordings does not tell where files are that a crash left", slog.Any("err", err))
	}
	return dirs
}

const partial = record.PartSuffix

// put adds a file or changes what is known of it.
func (a *Archive) put(r *Row) error {
	if err := a.use(false, func(x *index) error { return x.put(r) }); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

// wake has Run look what is to go.
func (a *Archive) wake() {
	select {
	case a.woken <- struct{}{}:
	default:
	}
	a.uploads.wake()
}
