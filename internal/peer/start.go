package peer

import "fmt"

// Start says where in a live stream a player begins.
type Start uint8

// The ways to start.
const (
	// Burst starts at the oldest key frame that is kept.
	Burst Start = iota
	// Live sends the newest key frame and the pictures since, squeezed to the present, and then
	// what comes: the first picture appears at once, and the player is at live.
	Live
	// Key starts at the next key frame.
	Key
)

var startWords = [...]string{Burst: "burst", Live: "live", Key: "key"}

// String returns the word: "live".
func (s Start) String() string { return startWords[s] }

// ParseStart is the inverse of String.
func ParseStart(word string) (Start, error) {
	for s, w := range startWords {
		if w == word {
			return Start(s), nil
		}
	}
	return 0, fmt.Errorf("start is live, burst or key, not %q", word)
}

// StartOf returns where a player of path begins: as the word of its query says if that is a Start; a
// server that fetches the stream, as its hops tell, where it has all of a group of pictures for its own players; else as the
// settings of the stream say.
func (d *Door) StartOf(path, word string, hops []string) Start {
	if s, err := ParseStart(word); err == nil {
		return s
	}
	if len(hops) > 0 {
		return Burst
	}
	return d.Start(path)
}
