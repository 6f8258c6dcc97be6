package deliver

import (
	"slices"
	"sync"
	"time"
)

// Delivery is one event that a hook was sent, or is to be.
type Delivery struct {
	ID       string // the event's, the same on every try
	Type     string
	Stream   string    // its path; empty for none
	Time     time.Time // of the last try
	Attempts int
	Status   int           // the receiver's, or the command's exit status; 0 if none came
	Duration time.Duration // of the last try
	Done     bool          // it was received
	Error    string        // why the last try failed
}

// maxHistory is how many deliveries of a hook are remembered.
const maxHistory = 100

// history is the newest deliveries of a hook.
type history struct {
	mu   sync.Mutex // guards below; a leaf
	ring [maxHistory]record
	n    uint64 // how many were recorded so far
}

type record struct {
	Delivery
	item *item
}

// add records a try.
func (h *history) add(items []*item, at time.Time, took time.Duration, res result) {
	text := ""
	if res.err != nil {
		text = res.err.Error()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, it := range items {
		var r *record
		if res.tries > 0 {
			r = h.find(it.id)
		}
		if r == nil {
			r = &h.ring[h.n%maxHistory]
			h.n++
			*r = record{Delivery: Delivery{ID: it.id, Type: it.typ, Stream: it.stream}, item: it}
		}
		r.Time, r.Duration, r.Status, r.Done, r.Error, r.Attempts = at, took, res.status, res.err == nil, text, res.tries+1
	}
}

// find returns the newest record of an id. mu is held.
func (h *history) find(id string) *record {
	for i := range min(h.n, maxHistory) {
		if r := &h.ring[(h.n-1-i)%maxHistory]; r.ID == id {
			return r
		}
	}
	return nil
}

// list returns the records, the newest first.
func (h *history) list() []Delivery {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]Delivery, 0, min(h.n, maxHistory))
	for i := range min(h.n, maxHistory) {
		all = append(all, h.ring[(h.n-1-i)%maxHistory].Delivery)
	}
	slices.SortStableFunc(all, func(a, b Delivery) int { return b.Time.Compare(a.Time) })
	return all
}

// again returns the event of an id to be sent once more; nil if it is not remembered.
func (h *history) again(id string) *item {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.find(id)
	if r == nil {
		return nil
	}
	it := *r.item
	it.n, it.inLane, it.inRank = 0, nil, nil
	return &it
}
