//go:build race

package archive

// raceEnabled says that the race detector makes all of it slow.
const raceEnabled = true

// scaled is how many of something a test has: with the race detector, which has the database take ten times as long, a tenth.
func scaled(n int) int { return max(n/10, 1) }
