//go:build !linux

package bench

import (
	"context"
	"errors"
	"fmt"
)

// Floor needs Linux.
func Floor(context.Context, FloorConfig) (FloorReport, error) {
	return FloorReport{}, fmt.Errorf("the floor: %w on this system: it is a loop of Linux system calls", errors.ErrUnsupported)
}
