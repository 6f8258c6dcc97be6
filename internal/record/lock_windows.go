package record

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock marks a file as one that is being written, until it is closed or the process dies. It fails if another has done so. What is locked is a byte
// far behind any file's end: others may read the file.
func lock(f *os.File) error {
	far := windows.Overlapped{OffsetHigh: 1 << 30}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &far)
}
