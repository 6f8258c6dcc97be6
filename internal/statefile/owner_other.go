//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package statefile

import "os"

// likeNeighbours does nothing: on this system files have the rights of their folder.
func likeNeighbours(*os.File, string) error { return nil }

// likeAbove does nothing, either.
func likeAbove(string) error { return nil }
