//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd && !windows

package record

import "os"

// lock does nothing: on this system a file that is being written cannot be told from one that a crash left.
func lock(*os.File) error { return nil }
