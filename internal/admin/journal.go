package admin

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"weir/internal/event"
)

const (
	// journalSize is how many events are kept for clients: how far one may be behind, and how long
	// ago it may have lost its connection.
	journalSize = 2048
	// busBuffer is how many events the bus may hold for us.
	busBuffer = 4096
)

// collected are the types of events that clients are told of: all but segments, which come so often that nothing else
// would be left of what the journal keeps.
func collected() []string {
	return slices.DeleteFunc(event.Types(), func(typ string) bool { return typ == event.SegmentDone })
}

// Events is where events come from: a *event.Bus.
type Events interface {
	Subscribe(buffer int, types []string) *event.Subscription
}

// entry is one event as it is sent.
type entry struct {
	id, kind string
	data     []byte // JSON
}

// journal keeps the newest events. All clients read the same entries, each with a number of its own
// that is the next one to read: so clients cost nothing when an event comes, and nobody waits for a
// slow one.
type journal struct {
	mu    sync.Mutex // guards below
	ring  [journalSize]entry
	next  uint64        // the number of the next event; event n is at n % journalSize
	come  chan struct{} // closed when the next one comes, or when it is over
	cause error         // with which it is over
}

func newJournal() *journal { return &journal{come: make(chan struct{})} }

// Errors that end a client's reading.
var (
	errBehind = errors.New("slow")
	errOver   = errors.New("shutdown")
)

// run takes the events of a subscription until ctx ends, and closes it. Then readers get errOver.
func (j *journal) run(ctx context.Context, sub *event.Subscription) {
	defer sub.Close()
	lost := uint64(0)
	for {
		select {
		case <-ctx.Done():
			j.close(errOver)
			return
		case e, ok := <-sub.C():
			if !ok {
				j.close(errOver)
				return
			}
			if n := sub.Dropped(); n > lost { // more came at once than the bus holds for us
				j.add(gap(n-lost, e.Time))
				lost = n
			}
			if data, err := json.Marshal(&e); err == nil {
				j.add(entry{e.ID, e.Type, data})
			}
		}
	}
}

// gap is an entry that says that events are missing.
func gap(n uint64, at time.Time) entry {
	data, _ := json.Marshal(map[string]any{"lost": n, "time": at}) // these can be marshalled
	return entry{"", "gap", data}
}

func (j *journal) add(e entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ring[j.next%journalSize] = e
	j.next++
	close(j.come)
	j.come = make(chan struct{})
}

func (j *journal) close(cause error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cause == nil {
		j.cause = cause
		close(j.come)
	}
}

// head returns the number of the next event, and the id of the newest one.
func (j *journal) head() (next uint64, id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for n := j.next; n > 0 && n+journalSize > j.next && id == ""; n-- {
		id = j.ring[(n-1)%journalSize].id
	}
	return j.next, id
}

// find returns the number of the event after the one with an id; false if that is not kept.
func (j *journal) find(id string) (uint64, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for n := j.next; n > 0 && n+journalSize > j.next; n-- {
		if j.ring[(n-1)%journalSize].id == id {
			return n, true
		}
	}
	return 0, false
}

// read returns the events from number n on, at most most of them. If there are none, come is closed
// when there are. It fails with errBehind if event n is not kept any more, and with errOver after
// the last one.
func (j *journal) read(n uint64, most int) (list []entry, come <-chan struct{}, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n+journalSize < j.next {
		return nil, nil, errBehind
	}
	for ; n < j.next && len(list) < most; n++ {
		list = append(list, j.ring[n%journalSize])
	}
	if len(list) == 0 && j.cause != nil {
		return nil, nil, j.cause
	}
	return list, j.come, nil
}
