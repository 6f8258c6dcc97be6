//go:build !(linux || darwin || freebsd || netbsd || openbsd)

package deliver

import "os"

// lockFile opens a file. Nothing keeps others from it on this system.
func lockFile(name string) (*os.File, error) { return os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) }

// syncDir does nothing: this system has no way to force the names in a directory to the disk.
func syncDir(string) error { return nil }
