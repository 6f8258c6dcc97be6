//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package record

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock marks a file as one that is being written, until it is closed or the process dies. It fails if another has done so.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
