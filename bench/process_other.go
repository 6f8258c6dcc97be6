//go:build !linux

package bench

import (
	"errors"
	"fmt"
	"time"
)

// processTime returns the processor time that a process has used.
func processTime(pid int) (time.Duration, error) {
	return 0, fmt.Errorf("processor time of process %d: %w on this system", pid, errors.ErrUnsupported)
}

// processMemory returns the bytes of memory that a process has in use.
func processMemory(pid int) (int64, error) {
	return 0, fmt.Errorf("memory of process %d: %w on this system", pid, errors.ErrUnsupported)
}
