//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package hls

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes the lock of a file. It fails at once if another process has it. Closing the file,
// as the end of the process does, gives it up.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
