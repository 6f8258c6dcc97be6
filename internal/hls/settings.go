package hls

import "time"

// Container is what segments are.
type Container uint8

// The containers.
const (
	FMP4 Container = iota
	TS
)

// Settings are how a stream is packaged. Default has usable ones.
type Settings struct {
	LowLatency bool
	// Segment is how long segments should be; they are as long as groups of pictures make them.
	Segment time.Duration
	// Part is how long the parts of a segment are at most.
	Part time.Duration
	// Window is how many whole segments a playlist has, at least 3.
	Window    int
	Container Container
	// Directory is where segments are kept instead of in memory; "" is memory.
	Directory string
}

// Default returns the settings of a stream that has none of its own.
func Default() Settings {
	return Settings{LowLatency: true, Segment: 2 * time.Second, Part: 200 * time.Millisecond, Window: 7}
}

const (
	// maxGOPs is how many times the segment of the settings the first group of pictures may last before the
	// target duration is settled without knowing its end.
	maxGOPs = 5
	// slack is how far below half a second over the target a segment is ended: EXTINF is rounded.
	slack = 50 * time.Millisecond
	// partsListed is how many target durations from the end on parts are listed (RFC 8216bis §4.4.4.9).
	partsListed = 3
	// maxPartBytes and maxPartFrames bound the pictures of a part, whatever its time.
	maxPartBytes  = 32 << 20
	maxPartFrames = 4096
	// maxQueued and maxQueuedTime bound the frames that wait for a segment to begin.
	maxQueued     = 4096
	maxQueuedTime = 10 * time.Second
	// maxEarly is how long before the first picture sound may begin.
	maxEarly = 100 * time.Millisecond
	// piece is about how long the fragments of segments without parts are.
	piece = time.Second
	// clockStall is how long frames may come in with one and the same time before the time of
	// their arrival is believed instead.
	clockStall = time.Second
	// maxCTS bounds how long after its decoding a picture is shown.
	maxCTS = 10 * time.Second
	// maxDrift is how far counted samples of sound may get from its time stamps.
	maxDrift = 100 * time.Millisecond
)
