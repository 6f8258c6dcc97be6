package record

import (
	"math"

	"golang.org/x/sys/windows"
)

// Room returns how much a directory's disk has for us, and in all, in bytes.
func Room(dir string) (free, total int64, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var ours, all uint64
	err = windows.GetDiskFreeSpaceEx(name, &ours, &all, nil)
	return int64(min(ours, math.MaxInt64)), int64(min(all, math.MaxInt64)), err
}
