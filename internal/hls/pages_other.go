//go:build !linux

package hls

import "os"

// inMemory returns nil: this system has no such files.
func inMemory() *os.File { return nil }

func descriptors() uint64 { return 0 }
