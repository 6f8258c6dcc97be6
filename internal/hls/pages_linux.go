package hls

import (
	"os"

	"golang.org/x/sys/unix"
)

// inMemory returns a file that no directory has, nil if the system has none for us.
func inMemory() *os.File {
	fd, err := unix.MemfdCreate("weir-hls", unix.MFD_CLOEXEC)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), "hls segment")
}

// descriptors returns how many descriptors the process may have.
func descriptors() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}
