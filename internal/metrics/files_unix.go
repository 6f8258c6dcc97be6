//go:build unix

package metrics

import "syscall"

// fileLimit returns how many file descriptors the process may have; 0 if that cannot be told.
func fileLimit() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert // it is signed on FreeBSD
}
