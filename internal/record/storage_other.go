//go:build !linux && !darwin

package record

import (
	"errors"
	"os"
)

// lock does nothing: on this system one server alone may use a directory.
func lock(*os.File) error { return nil }

// room is not known on this system.
func room(*os.File) (free, total int64, err error) { return 0, 0, errors.ErrUnsupported }
