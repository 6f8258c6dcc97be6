//go:build !darwin && !dragonfly && !freebsd && !linux && !windows

package record

import "errors"

// Room is not known on this system.
func Room(string) (free, total int64, err error) { return 0, 0, errors.ErrUnsupported }
