package record

import (
	"os"
	"syscall"
)

// reserve takes room for a range of a file, whose length stays as it is.
func reserve(f *os.File, from, n int64) error {
	const keepSize = 1 // FALLOC_FL_KEEP_SIZE
	return syscall.Fallocate(int(f.Fd()), keepSize, from, n)
}
