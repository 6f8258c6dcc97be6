//go:build !unix

package metrics

// fileLimit returns how many file descriptors the process may have; 0 if that cannot be told.
func fileLimit() uint64 { return 0 }
