//go:build !race

package rtmp

// raceEnabled says that memory cannot be measured.
const raceEnabled = false
