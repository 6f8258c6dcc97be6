package peer

import "fmt"

// Start says where in a live stream a player begins.
type Start uint8

// The places to start.
const (
	// Burst is the oldest key frame that is kept, with all that followed it.
	Burst Start = iota
	// Live is the newest key frame and the pictures that followed it, squeezed to the present, and
	// then what comes: the first picture is there at once, and the player stands at live.
	Live
	// Key is the next key frame.
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

// StartOf returns where a player of path begins whose query has start=word: there if word is a
// start, else where the settings of the stream say.
func (d *Door) StartOf(path, word string) Start {
	if s, err := ParseStart(word); err == nil {
		return s
	}
	return d.Start(path)
}
