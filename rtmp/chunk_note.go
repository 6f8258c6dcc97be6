package rtmp

// noteSet is the set of peculiarities seen of a peer.
type noteSet uint16

const (
	noteOmitsExt noteSet = 1 << iota
	noteSmallExt
	noteAbsoluteDelta
	noteNoDoubling
	noteRestarted
	noteContinued
)

var noteTexts = [...]string{
	"no extended timestamp on continuation chunks",
	"extended timestamp below 0xffffff",
	"absolute extended timestamp where a delta is due",
	"fmt 3 after a large absolute timestamp; taken as the same time",
	"new message before the last one on its chunk stream was complete",
	"full header on a continuation chunk",
}

// details returns the texts of the notes in s.
func (s noteSet) details() []string {
	var texts []string
	for i, t := range noteTexts {
		if s&(1<<i) != 0 {
			texts = append(texts, t)
		}
	}
	return texts
}
