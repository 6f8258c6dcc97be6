package deliver

import (
	"container/heap"
	"container/list"
	"sync"
	"time"
)

const (
	// maxEvents and maxBytes bound a queue. Past them events are thrown away by their rank.
	maxEvents = 100_000
	maxBytes  = 64 << 20
	// hardFactor times these bound a queue of events that are never thrown away: past that, new ones are.
	hardFactor = 2
)

// queue holds the events of one hook in lanes: those of a stream are taken one after the other.
type queue struct {
	batch int // how many events are taken at once; with more than one there is one lane for all
	most  int // how many lanes are in flight at once

	mu      sync.Mutex // guards below; a leaf
	lanes   map[string]*lane
	ready   list.List            // of *lane, in the order in which they became so
	waiting lanes                // for another try
	flying  int                  // lanes that were taken and are not done
	ranks   [rankKept]*list.List // of *item that may be thrown away, the oldest first
	n       int
	bytes   int
	paused  time.Time // nothing is taken before
	off     bool      // nothing is taken or added any more
}

// lane is the events of one stream.
type lane struct {
	key     string
	items   list.List // of *item, the oldest first; not those in sending
	sending []*item   // taken and not done: in flight, or waiting for another try
	tries   int       // of sending
	next    time.Time // of the next try, while waiting
}

// lanes is a heap by the next try.
type lanes []*lane

func (h lanes) Len() int           { return len(h) }
func (h lanes) Less(i, j int) bool { return h[i].next.Before(h[j].next) }
func (h lanes) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *lanes) Push(x any) { *h = append(*h, x.(*lane)) } //nolint:forcetypeassert // only lanes are pushed

// Pop implements heap.Interface.
func (h *lanes) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return l
}

func newQueue(batch, most int) *queue {
	q := &queue{batch: batch, most: most, lanes: map[string]*lane{}}
	for i := range q.ranks {
		q.ranks[i] = list.New()
	}
	return q
}

// add queues an event in the lane with its key. It returns those that had to be thrown away for it,
// perhaps it itself.
func (q *queue) add(it *item) (dropped []*item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.off {
		return []*item{it}
	}
	for q.n >= maxEvents || q.bytes+it.size() > maxBytes {
		old := q.victim(it.rank)
		if old == nil {
			break
		}
		q.remove(old)
		dropped = append(dropped, old)
	}
	bound := 1
	if it.rank == rankKept {
		bound = hardFactor
	}
	if q.n >= bound*maxEvents || q.bytes+it.size() > bound*maxBytes {
		return append(dropped, it)
	}
	if q.batch > 1 {
		it.key = ""
	}
	l := q.lanes[it.key]
	if l == nil {
		l = &lane{key: it.key}
		q.lanes[it.key] = l
		q.ready.PushBack(l)
	}
	it.inLane = l.items.PushBack(it)
	if it.rank < rankKept {
		it.inRank = q.ranks[it.rank].PushBack(it)
	}
	q.n++
	q.bytes += it.size()
	return dropped
}

// victim returns the oldest event of the lowest rank, which is at most r; nil if there is none. mu is
// held.
func (q *queue) victim(r rank) *item {
	for i := rank(0); i <= r && i < rankKept; i++ {
		if e := q.ranks[i].Front(); e != nil {
			return e.Value.(*item) //nolint:forcetypeassert // only items are in it
		}
	}
	return nil
}

// remove takes an event that is not in flight out of the queue. mu is held.
func (q *queue) remove(it *item) {
	q.detach(it)
	q.n--
	q.bytes -= it.size()
	// Its lane stays, perhaps empty: take drops it.
}

// detach takes an event off its lists. mu is held.
func (q *queue) detach(it *item) {
	if it.inRank != nil {
		q.ranks[it.rank].Remove(it.inRank)
		it.inRank = nil
	}
	if l := q.lanes[it.key]; l != nil && it.inLane != nil {
		l.items.Remove(it.inLane)
	}
	it.inLane = nil
}

// take returns a lane whose sending is to be sent now; done or again must follow. If it returns nil, at is
// when there may be one, or zero: after an add, done or again.
func (q *queue) take(now time.Time) (l *lane, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.off || q.flying >= q.most {
		return nil, time.Time{}
	}
	if now.Before(q.paused) {
		return nil, q.paused
	}
	for len(q.waiting) > 0 && !q.waiting[0].next.After(now) {
		q.ready.PushBack(heap.Pop(&q.waiting))
	}
	for q.ready.Len() > 0 {
		l, _ := q.ready.Remove(q.ready.Front()).(*lane)
		for len(l.sending) < q.batch && l.tries == 0 && l.items.Len() > 0 {
			it, _ := l.items.Front().Value.(*item)
			q.detach(it)
			l.sending = append(l.sending, it)
		}
		if len(l.sending) > 0 {
			q.flying++
			return l, time.Time{}
		}
		delete(q.lanes, l.key)
	}
	if len(q.waiting) > 0 {
		at = q.waiting[0].next
	}
	return nil, at
}

// done says that what was taken with l is not to be tried again.
func (q *queue) done(l *lane) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.flying--
	if q.off {
		return
	}
	for _, it := range l.sending {
		q.n--
		q.bytes -= it.size()
	}
	l.sending, l.tries = nil, 0
	if l.items.Len() > 0 {
		q.ready.PushBack(l)
	} else {
		delete(q.lanes, l.key)
	}
}

// again says that what was taken with l is to be tried again at a time.
func (q *queue) again(l *lane, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.flying--
	l.tries++
	l.next = at
	heap.Push(&q.waiting, l)
}

// pause makes take return nothing before a time.
func (q *queue) pause(until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if until.After(q.paused) {
		q.paused = until
	}
}

// clear throws everything away, and all that comes later. It returns what was not in flight.
func (q *queue) clear() (dropped []*item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.off = true
	for _, l := range q.waiting {
		dropped = append(dropped, l.sending...)
	}
	for e := q.ready.Front(); e != nil; e = e.Next() { // one that has waited is ready with what it tries again
		dropped = append(dropped, e.Value.(*lane).sending...) //nolint:forcetypeassert // only lanes are in it
	}
	for _, l := range q.lanes {
		for e := l.items.Front(); e != nil; e = e.Next() {
			dropped = append(dropped, e.Value.(*item)) //nolint:forcetypeassert // only items are in it
		}
	}
	q.lanes, q.waiting, q.n, q.bytes = map[string]*lane{}, nil, 0, 0
	q.ready.Init()
	for _, l := range q.ranks {
		l.Init()
	}
	return dropped
}

// state returns how many events wait or are in flight, and when the next that failed is tried again.
func (q *queue) state() (n int, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		if next = q.waiting[0].next; next.Before(q.paused) {
			next = q.paused
		}
	}
	return q.n, next
}

// idle reports whether nothing is in flight, and nothing is left that has not been tried.
func (q *queue) idle(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.flying == 0 && (q.off || q.ready.Len() == 0 || now.Before(q.paused))
}
