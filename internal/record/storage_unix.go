//go:build linux || darwin

package record

import (
	"os"
	"syscall"
)

// lock marks a file as one that is being written, until it is closed or the process dies. It fails if another has done so.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// room returns the free room and all room of the disk that f is on.
func room(f *os.File) (free, total int64, err error) {
	var s syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &s); err != nil {
		return 0, 0, err
	}
	size := int64(s.Bsize)
	return int64(s.Bavail) * size, int64(s.Blocks) * size, nil
}
