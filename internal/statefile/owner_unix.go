//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ownerOf returns to whom a file belongs.
func ownerOf(info fs.FileInfo) (uid, gid int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return os.Geteuid(), os.Getegid()
}

// likeNeighbours gives a file that is to be name the mode and owner of the one there is. One that is new gets, from
// root, the owner of its folder: the server may run as another user than who runs a command such as "weir key". It fails if the server could
// not read it.
func likeNeighbours(f *os.File, name string) error {
	old, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return likeFolder(f, name)
	}
	if err != nil {
		return err
	}
	if err := f.Chmod(old.Mode().Perm()); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	uid, gid := ownerOf(old)
	ownUID, ownGID := ownerOf(info)
	if uid == ownUID && gid == ownGID {
		return nil
	}
	if err := f.Chown(uid, gid); err != nil && (uid != ownUID || old.Mode().Perm()&0o070 != 0) {
		return fmt.Errorf("%s belongs to user %d and group %d, who could not read what user %d writes in its place: run this as that user, or as root", name, uid, gid, os.Geteuid())
	}
	return nil
}

// likeFolder gives a new file, if root makes it, to whom its folder belongs.
func likeFolder(f *os.File, name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(name))
	if err != nil {
		return err
	}
	return f.Chown(ownerOf(info))
}

// likeAbove gives a new folder, if root makes it, to whom the one above belongs.
func likeAbove(name string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(name))
	if err != nil {
		return err
	}
	uid, gid := ownerOf(info)
	return os.Chown(name, uid, gid)
}
