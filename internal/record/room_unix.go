//go:build darwin || dragonfly || freebsd || linux

package record

import "golang.org/x/sys/unix"

// Room returns how much a directory's disk has for us, and in all, in bytes.
func Room(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	size := int64(s.Bsize)
	return int64(s.Bavail) * size, int64(s.Blocks) * size, nil
}
