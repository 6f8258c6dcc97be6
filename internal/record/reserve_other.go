//go:build !linux

package record

import (
	"errors"
	"os"
)

// reserve is not known on this system.
func reserve(*os.File, int64, int64) error { return errors.ErrUnsupported }
