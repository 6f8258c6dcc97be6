//go:build race

package archive

// raceEnabled says that the race detector makes all of it slow.
const raceEnabled = true
