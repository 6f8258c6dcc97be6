// Package statefile reads and writes the files of the folder of state: what a server must remember, for its user alone, as there are
// keys in it.
package statefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Read returns what a file holds; nil if there is none. It fails if the file has more than limit bytes.
func Read(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", name, err)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return b, nil
}

// Write replaces a file in one step: after a crash there is the old or the new one, whole, and the new one once Write has returned. It
// fails only if the old one is still there. The file has the owner and mode of the old one; a new one, and its folder if that is missing,
// are for the server's user alone.
func Write(name string, b []byte) (err error) {
	folder := filepath.Dir(name)
	if err := MakeFolder(folder); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(folder, "."+filepath.Base(name)+".*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(b)
	if err = errors.Join(err, likeNeighbours(tmp, name), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	syncFolder(folder)
	return nil
}

// MakeFolder makes a folder, and those above it that are missing, for the server's user alone, so that they are there after a crash.
// What root makes belongs to whom the folder above belongs.
func MakeFolder(name string) error {
	info, err := os.Stat(name)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%s is no folder", name)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := filepath.Dir(name)
	if err := MakeFolder(above); err != nil {
		return err
	}
	if err := os.Mkdir(name, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) { // somebody else has
			return nil
		}
		return err
	}
	if err := likeAbove(name); err != nil {
		return err
	}
	syncFolder(above)
	return nil
}

// syncFolder has what was put into a folder be there after a power cut. Where this fails that is only less sure: it is in force.
func syncFolder(name string) {
	if d, err := os.Open(name); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
