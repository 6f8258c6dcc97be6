//go:build !race

package archive

// raceEnabled says that the race detector makes all of it slow.
const raceEnabled = false

// scaled is how many of something a test has: with the race detector a tenth.
func scaled(n int) int { return n }
