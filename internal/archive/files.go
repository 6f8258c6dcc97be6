package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// File returns a file by its id. It fails with ErrNotFound or ErrIndexing.
func (a *Archive) File(ctx context.Context, id string) (r Row, err error) {
	err = a.use(true, func(x *index) error {
		r, err = x.get(ctx, id)
		return err
	})
	return r, err
}

// Open opens a file that is whole. It fails with ErrNotFound, ErrRecording, ErrElsewhere, ErrIndexing or the system's
// error.
func (a *Archive) Open(ctx context.Context, id string) (Row, *os.File, error) {
	r, err := a.File(ctx, id)
	switch {
	case err != nil:
		return r, nil, err
	case r.State == Recording:
		return r, nil, ErrRecording
	case r.State == Remote:
		return r, nil, ErrElsewhere
	case r.State != Done:
		return r, nil, ErrNotFound
	}
	f, err := openIn(r.Dir, r.Name)
	switch {
	case a.moved(ctx, &r, err):
		err = ErrElsewhere
	case errors.Is(err, fs.ErrNotExist):
		err = ErrNotFound
	}
	return r, f, err
}

// openIn opens a file below a directory; no symbolic link leads out of it.
func openIn(dir, name string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Open(filepath.FromSlash(name))
}

// Delete removes a file. Those who are being sent it get it to its end. It fails with ErrNotFound, ErrRecording,
// ErrIndexing or the system's error.
func (a *Archive) Delete(ctx context.Context, id string) error {
	goOn, err := a.uploads.halt(ctx, id)
	if err != nil {
		return err
	}
	defer goOn()
	r, err := a.File(ctx, id)
	if err != nil {
		return err
	}
	if r.State == Recording {
		return ErrRecording
	}
	if err := a.withdraw(ctx, &r); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return a.remove(&r)
}

// remove removes a file and forgets it.
func (a *Archive) remove(r *Row) error {
	if err := a.unlink(r); err != nil {
		return err
	}
	if err := a.use(false, func(x *index) error { return x.remove(r.ID) }); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

// unlink removes a file, with the directories that it leaves empty. It is no error if it is gone.
func (a *Archive) unlink(r *Row) error {
	a.media.forget(r.ID)
	root, err := os.OpenRoot(r.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist): // gone with all that is in it
	case err != nil:
		return fmt.Errorf("archive: %w", err)
	default:
		defer root.Close()
		name := filepath.FromSlash(r.Name)
		if r.State == Damaged {
			if err := root.Remove(name + partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("archive: %w", err)
			}
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("archive: %w", err)
		}
		for dir := path.Dir(filepath.ToSlash(r.Name)); dir != "." && !strings.HasPrefix(dir, ".."); dir = path.Dir(dir) {
			if root.Remove(filepath.FromSlash(dir)) != nil { // something is in it
				break
			}
		}
	}
	return nil
}
