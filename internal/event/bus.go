package event

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bus hands events to subscribers without ever waiting for one.
type Bus struct {
	subs atomic.Pointer[[]*Subscription] // changed under mu; nil or empty without subscribers

	mu  sync.Mutex // held while an event is handed out, so that all get them in one order; a leaf
	ids ids
}

// NewBus returns a bus without subscribers.
func NewBus() *Bus { return &Bus{} }

// Publish hands e to those who subscribed to its type, in the order of calls. It sets ID and Time if
// they are empty. A subscriber whose buffer is full misses the event.
func (b *Bus) Publish(e Event) {
	if !b.wanted(e.Type) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Round(0)
	if e.ID == "" {
		e.ID = b.ids.next(e.Time)
	}
	for _, s := range b.list() {
		s.offer(e)
	}
}

// wanted reports whether somebody has subscribed to one of the types.
func (b *Bus) wanted(types ...string) bool {
	return slices.ContainsFunc(b.list(), func(s *Subscription) bool {
		return slices.ContainsFunc(types, func(t string) bool { return Matches(s.types, t) })
	})
}

func (b *Bus) list() []*Subscription {
	if p := b.subs.Load(); p != nil {
		return *p
	}
	return nil
}

// Subscribe begins to collect events of the types, which may end in ".*"; nil stands for all. buffer
// is how many wait at most for their reader, at least 1. The caller must close the subscription.
func (b *Bus) Subscribe(buffer int, types []string) *Subscription {
	s := &Subscription{bus: b, c: make(chan Event, max(buffer, 1)), types: slices.Clone(types)}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := append(slices.Clone(b.list()), s)
	b.subs.Store(&next)
	return s
}

// Subscription is the events that one reader gets.
type Subscription struct {
	bus     *Bus
	c       chan Event
	types   []string
	dropped atomic.Uint64
	closed  bool // guarded by bus.mu
}

// offer gives the event to the reader if it wants it and has room. bus.mu is held.
func (s *Subscription) offer(e Event) {
	if !Matches(s.types, e.Type) {
		return
	}
	select {
	case s.c <- e:
	default:
		s.dropped.Add(1)
	}
}

// C returns the channel of the events. Close closes it; what was collected before can still be read.
func (s *Subscription) C() <-chan Event { return s.c }

// Dropped returns how many events the reader missed because its buffer was full.
func (s *Subscription) Dropped() uint64 { return s.dropped.Load() }

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	b := s.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	next := slices.DeleteFunc(slices.Clone(b.list()), func(o *Subscription) bool { return o == s })
	b.subs.Store(&next)
	close(s.c)
}
