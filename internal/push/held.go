package push

import (
	"sync"
	"time"
)

// heldTime is how long a server may still hold a connection of ours that was lost, and refuse the next one for it: nginx-rtmp notices
// after a minute and a half, services within a few minutes. Within it refusals are tried again soon, at least every heldWait.
const (
	heldTime = 5 * time.Minute
	heldWait = 10 * time.Second
)

// place is one stream's place at a server, as it is configured.
type place struct{ path, url, key string }

// held remembers the places that were taken until lately, by when that ended. Its zero value is ready.
type held struct {
	mu sync.Mutex
	at map[place]time.Time
}

// until notes that a session has ended, and that the server may not have noticed.
func (h *held) until(p place, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for old, ended := range h.at {
		if at.Sub(ended) > heldTime {
			delete(h.at, old)
		}
	}
	if h.at == nil {
		h.at = map[place]time.Time{}
	}
	h.at[p] = at
}

// free notes that the server holds it no longer.
func (h *held) free(p place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.at, p)
}

// lately reports whether a session there has ended so lately that the server may still hold it.
func (h *held) lately(p place) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.at[p]
	return ok && time.Since(at) < heldTime
}
