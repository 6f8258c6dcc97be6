//go:build unix

package record

import (
	"syscall"
	"testing"
)

// blocks is what a file takes on the disk, in bytes.
func blocks(t *testing.T, name string) int64 {
	t.Helper()
	var s syscall.Stat_t
	if err := syscall.Stat(name, &s); err != nil {
		t.Fatal(err)
	}
	return s.Blocks * 512
}
