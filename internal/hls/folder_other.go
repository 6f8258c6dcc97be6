//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package hls

import (
	"errors"
	"os"
)

// lockFile always fails: there are no locks of files here.
func lockFile(*os.File) error { return errors.ErrUnsupported }
