package stream

import (
	"errors"
	"time"
)

// Settings are the settings of one stream, found by its path.
type Settings struct {
	// Reject refuses a second publisher instead of letting it take over.
	Reject bool
	// Grace is how long the stream waits for its publisher to return before it ends, when the
	// publisher's connection broke.
	Grace time.Duration
	// GraceAfterStop is the same for a publisher that announced that it was stopping; 0 ends the stream with it.
	GraceAfterStop time.Duration
	// Cache bounds the list of recent frames.
	Cache Cache
	// MaxLag is how far a follower may fall behind before it skips. No frame is kept longer for one.
	MaxLag time.Duration
	// MaxPlayers bounds the players; 0 means no bound.
	MaxPlayers int
	// Low says that players are to be served at once, never gathered to save CPU.
	Low bool
}

// Cache bounds what a stream keeps for players that join. Past a bound the start
// point is dropped and players wait for the next key frame.
type Cache struct {
	GOPs   int // newest key frames kept as start points; 0: none
	Bytes  int64
	Frames int
	Time   time.Duration
}

// Default returns the settings of a stream that has none of its own.
func Default() Settings {
	return Settings{
		Grace:          15 * time.Second,
		GraceAfterStop: 5 * time.Second,
		Cache:          Cache{GOPs: 1, Bytes: 32 << 20, Frames: 3000, Time: 30 * time.Second},
		MaxLag:         8 * time.Second,
	}
}

// Errors that refuse a publisher or a player.
var (
	// ErrBusy refuses a publisher: the stream has another one, which stays.
	ErrBusy = errors.New("stream: another publisher is live")
	// ErrFighting refuses a publisher: encoders take the stream from each other again and again.
	ErrFighting = errors.New("stream: several publishers fight for this name")
	// ErrTooManyStreams refuses a new stream.
	ErrTooManyStreams = errors.New("stream: too many streams")
	// ErrTooManyPlayers refuses a player.
	ErrTooManyPlayers = errors.New("stream: too many players")
	// ErrHubClosed refuses both once the hub was closed.
	ErrHubClosed = errors.New("stream: the server stops")
)

// Causes with which a publisher, a follower or a stream ends.
var (
	// ErrUnpublished ends a publisher that announced that it was stopping: see Publisher.Close.
	ErrUnpublished = errors.New("stream: the publisher stopped")
	// ErrEvicted ends a stream without a publisher that made room for a published stream, or for one that
	// players began waiting for later.
	ErrEvicted = errors.New("stream: gave way to others: too many streams")
	// ErrLagged is what a strict follower that fell behind gets.
	ErrLagged = errors.New("stream: too slow: frames were missed")
	// ErrTakenOver ends a publisher: another with the same right took its place.
	ErrTakenOver = errors.New("stream: another publisher took over")
	// ErrClosed ends a publisher or follower that was closed by its owner.
	ErrClosed = errors.New("stream: closed")
)

const (
	maxTracks = 16 // a kind
	// handover is how long an old publisher feeds the stream while the new one has sent no key frame.
	handover = 2 * time.Second
	// After fights takeovers within fightTime, the current publisher keeps the stream for another fightTime,
	// unless it sends nothing for silentTime.
	fights     = 3
	fightTime  = 30 * time.Second
	silentTime = 2 * time.Second
	// A publisher that has sent nothing for stallTime is shown as stalled, and after stallNotice an event says so.
	stallTime   = 1500 * time.Millisecond
	stallNotice = 5 * time.Second
	// While the main video is silent for quietTime, or for quietFrames times the time between its
	// frames, and sound goes on, players may join as in a stream without video.
	quietTime   = 2500 * time.Millisecond
	quietFrames = 4
	// keyWait is how long video without a key frame is held back after a change of publisher.
	keyWait = 10 * time.Second
	// audioSync is the time between two starts in a stream of sound alone.
	audioSync = time.Second
	// metadataEvery bounds how often changed metadata is passed on.
	metadataEvery = 100 * time.Millisecond
	// settleTime after its first frame a stream is assumed to have all its tracks.
	settleTime  = time.Second
	maxMetadata = 64 << 10
)
