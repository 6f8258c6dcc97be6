//go:build !unix

package archive

import (
	"testing"
	"time"
)

// cpuTime is not known on this system.
func cpuTime(*testing.T) time.Duration { return 0 }
