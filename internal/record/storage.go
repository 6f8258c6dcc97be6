package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"weir/format/mp4"
)

// file is a file that is being written. An *os.File is one.
type file interface {
	mp4.File
	Stat() (fs.FileInfo, error)
	Close() error
}

// storage is the directory of a recording. Names are slashed paths below it.
type storage interface {
	// Create makes a file and the folders above it, and locks it for its writer. It fails with fs.ErrExist if it is there.
	Create(name string) (file, error)
	// Exists reports whether there is something of this name.
	Exists(name string) bool
	// Lacks reports whether there is certainly nothing of this name.
	Lacks(name string) bool
	Rename(from, to string) error
	// Remove removes a file, and the folders above it that are empty then.
	Remove(name string) error
	// SyncFolder forces the names in the folder of a file to the disk.
	SyncFolder(name string) error
	// Free returns the free room and all room of the disk, in bytes; an error where that is not known.
	Free() (free, total int64, err error)
	Close() error
}

const (
	folderMode = 0o755
	fileMode   = 0o644
)

// errSymlink refuses a folder that is a symbolic link: it may lead to anything.
var errSymlink = errors.New("a folder on the way is a symbolic link, which is not followed")

// rooted is a storage that never leaves its directory.
type rooted struct{ root *os.Root }

// openDir opens a directory, which is made if it is missing.
func openDir(dir string) (storage, error) {
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return rooted{root}, nil
}

// Create implements storage.
func (s rooted) Create(name string) (file, error) {
	if err := s.folders(path.Dir(name)); err != nil {
		return nil, err
	}
	f, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil { // nobody else can have it yet
		return nil, errors.Join(fmt.Errorf("locking %s: %w", name, err), f.Close(), s.root.Remove(name))
	}
	return &ahead{File: f}, nil
}

// folders makes a folder and those above it.
func (s rooted) folders(dir string) error {
	if dir == "." {
		return nil
	}
	made := ""
	for part := range strings.SplitSeq(dir, "/") {
		made = path.Join(made, part)
		err := s.root.Mkdir(made, folderMode)
		switch {
		case err == nil:
			continue
		case !errors.Is(err, fs.ErrExist):
			return err
		}
		info, err := s.root.Lstat(made)
		if err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return &fs.PathError{Op: "open", Path: made, Err: errSymlink}
		}
	}
	return nil
}

// Exists implements storage.
func (s rooted) Exists(name string) bool {
	_, err := s.root.Lstat(name)
	return err == nil
}

// Lacks implements storage.
func (s rooted) Lacks(name string) bool {
	_, err := s.root.Lstat(name)
	return errors.Is(err, fs.ErrNotExist)
}

// Rename implements storage.
func (s rooted) Rename(from, to string) error { return s.root.Rename(from, to) }

// Remove implements storage.
func (s rooted) Remove(name string) error {
	err := s.root.Remove(name)
	for dir := path.Dir(name); err == nil && dir != "."; dir = path.Dir(dir) {
		if s.root.Remove(dir) != nil { // it is not empty
			break
		}
	}
	return err
}

// SyncFolder implements storage.
func (s rooted) SyncFolder(name string) error {
	d, err := s.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Free implements storage.
func (s rooted) Free() (free, total int64, err error) { return Room(s.root.Name()) }

// Close implements storage.
func (s rooted) Close() error { return s.root.Close() }
