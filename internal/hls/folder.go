package hls

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// folderPrefix begins the name of the folder that each server makes in hls.directory.
	folderPrefix = "weir-hls-"
	// markerName is the file that says that a folder is ours. The server that uses the folder
	// holds the lock of it.
	markerName = ".weir-hls"
	// markerText is what the marker holds. It is written once the lock is held, so that a folder
	// with a whole marker and a free lock belongs to nobody any more.
	markerText = "Segments of a running weir server. Another server removes this folder once nobody holds the lock of this file.\n"
)

// folder is where the segments of one server are on disk: a folder of its own, locked as long as
// the server runs.
type folder struct {
	path   string
	marker *os.File // holds the lock
}

// openFolder makes a server's own folder in dir, and removes the folders of servers that no longer
// run. It may return a folder along with an error, which then says what could not be removed.
func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	removed := removeAbandoned(dir)
	f := &folder{path: filepath.Join(dir, folderPrefix+newID())}
	if err := os.Mkdir(f.path, 0o755); err != nil {
		return nil, errors.Join(removed, err)
	}
	var err error
	f.marker, err = os.OpenFile(filepath.Join(f.path, markerName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		// Without locks on this system the folder stays without a marker: no server will remove it.
		if lockFile(f.marker) == nil {
			_, err = f.marker.WriteString(markerText)
		}
	}
	if err != nil {
		return nil, errors.Join(removed, err, f.remove())
	}
	return f, removed
}

// remove removes the folder with all that is in it, and gives up its lock.
func (f *folder) remove() error {
	err := removeMarked(f.path)
	if f.marker != nil {
		err = errors.Join(err, f.marker.Close())
	}
	return err
}

// removeAbandoned removes the folders in dir that carry our marker and whose lock nobody holds.
func removeAbandoned(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.IsDir() && strings.HasPrefix(e.Name(), folderPrefix) {
			err = errors.Join(err, removeIfAbandoned(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// removeIfAbandoned removes a folder if it is ours and its server does not run any more.
func removeIfAbandoned(path string) error {
	name := filepath.Join(path, markerName)
	text, err := os.ReadFile(name)
	if err != nil || string(text) != markerText {
		return ignoreMissing(err)
	}
	marker, err := os.Open(name)
	if err != nil {
		return ignoreMissing(err)
	}
	defer marker.Close()
	if lockFile(marker) != nil { // its server runs, or another one is removing it
		return nil
	}
	return removeMarked(path)
}

// removeMarked removes a folder, its marker last: what cannot be removed now stays marked.
func removeMarked(path string) error {
	list, err := os.ReadDir(path)
	if err != nil {
		return ignoreMissing(err)
	}
	for _, e := range list {
		if e.Name() != markerName {
			err = errors.Join(err, os.RemoveAll(filepath.Join(path, e.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("removing old segments: %w", err)
	}
	return os.RemoveAll(path)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
