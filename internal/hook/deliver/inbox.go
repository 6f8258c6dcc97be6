package deliver

import (
	"container/list"
	"sync"

	"weir/internal/event"
)

const (
	// maxInbox is how many events of the lower ranks wait at most for being queued.
	maxInbox = 8192
	// maxInboxKept is how many wait with those of rankKept. Only publishers that were let in cause those, a few
	// each, so it takes that many while the disk of the journal stands still.
	maxInboxKept = maxEvents
)

// inbox holds events between the bus, which waits for nobody, and the intake of the hook, which waits for
// the disk if the hook has a journal. What is too much is thrown away by rank, as in the queue.
type inbox struct {
	come chan struct{} // of one: says that something has changed

	mu     sync.Mutex           // guards below; a leaf, taken under the lock of the bus
	events list.List            // of *letter, the oldest first
	ranks  [rankKept]*list.List // of *list.Element of events, by rank
	lost   int                  // thrown away since the last next
	closed bool
}

// letter is an event in an inbox.
type letter struct {
	event  event.Event
	rank   rank
	inRank *list.Element // its place among those of its rank; nil for rankKept
}

func newInbox() *inbox {
	b := &inbox{come: make(chan struct{}, 1)}
	for i := range b.ranks {
		b.ranks[i] = list.New()
	}
	return b
}

// put takes an event in. It does not wait.
func (b *inbox) put(e event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	defer b.stir()
	l := &letter{event: e, rank: rankOf(e.Type)}
	if n := b.events.Len(); n >= maxInbox {
		old := b.victim(l.rank)
		if old == nil && (l.rank < rankKept || n >= maxInboxKept) {
			b.lost++
			return
		}
		if old != nil {
			b.remove(old)
			b.lost++
		}
	}
	at := b.events.PushBack(l)
	if l.rank < rankKept {
		l.inRank = b.ranks[l.rank].PushBack(at)
	}
}

// victim returns the oldest event of the lowest rank, which is at most r; nil if there is none. mu is held.
func (b *inbox) victim(r rank) *list.Element {
	for i := rank(0); i <= r && i < rankKept; i++ {
		if e := b.ranks[i].Front(); e != nil {
			return e.Value.(*list.Element) //nolint:forcetypeassert // only elements are in it
		}
	}
	return nil
}

// remove takes an event out. mu is held.
func (b *inbox) remove(at *list.Element) event.Event {
	l := b.events.Remove(at).(*letter) //nolint:forcetypeassert // only letters are in it
	if l.inRank != nil {
		b.ranks[l.rank].Remove(l.inRank)
	}
	return l.event
}

// next waits for events and returns the oldest, at most as many as given, and how many were thrown away since the
// last call. It reports false with the last ones, after close.
func (b *inbox) next(most int) (events []event.Event, lost int, open bool) {
	for {
		events, lost, open = b.take(most)
		if len(events) > 0 || lost > 0 || !open {
			return events, lost, open
		}
		<-b.come
	}
}

// take is next without the wait.
func (b *inbox) take(most int) (events []event.Event, lost int, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(events) < most && b.events.Len() > 0 {
		events = append(events, b.remove(b.events.Front()))
	}
	lost, b.lost = b.lost, 0
	return events, lost, !b.closed || b.events.Len() > 0
}

// close ends the inbox. What is in it can still be taken.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.stir()
}

// waiting returns how many events are in the inbox.
func (b *inbox) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events.Len()
}

func (b *inbox) stir() {
	select {
	case b.come <- struct{}{}:
	default:
	}
}
