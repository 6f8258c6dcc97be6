package hls

import (
	"sync"
	"time"
)

const (
	// takenTime is for how long it is known that an id was taken: longer than a viewer may begin with it, which is tokenTime
	// after it was given out, and what gave it out may say it again for half a minute.
	takenTime = tokenTime + time.Minute
	// maxTaken bounds the ids that are known; past it sessions get ids that nobody was asked about.
	maxTaken = 1 << 16
)

// takenIDs are the ids of sessions that were told to who was asked about a viewer, and that a session has. Viewers that
// cannot be told apart are asked about once; one of them gets the id.
type takenIDs struct {
	mu sync.Mutex // guards below; a leaf
	at map[string]time.Time
}

// take reports whether a session may have an id, which no other one gets from then on.
func (t *takenIDs) take(id string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, taken := t.at[id]; taken || id == "" || len(t.at) >= maxTaken {
		return false
	}
	if t.at == nil {
		t.at = map[string]time.Time{}
	}
	t.at[id] = now
	return true
}

// sweep forgets those that nobody can begin with any more.
func (t *takenIDs) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, at := range t.at {
		if now.Sub(at) > takenTime {
			delete(t.at, id)
		}
	}
}
