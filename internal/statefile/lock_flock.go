//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package statefile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Lock waits until no other program holds the lock that is a file, and takes it. The server can open what root has made.
func Lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(likeFolder(f, name), unix.Flock(int(f.Fd()), unix.LOCK_EX)); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}
