package event

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bus hands events to those who want them without ever waiting for one.
type Bus struct {
	taps atomic.Pointer[[]*tap] // changed under mu; nil or empty if nobody wants events

	mu  sync.Mutex // held while an event is handed out, so that all get them in one order
	ids ids
}

// tap is one who is handed events.
type tap struct {
	types []string
	take  func(e Event)
}

// NewBus returns a bus that nobody listens to.
func NewBus() *Bus { return &Bus{} }

// Publish hands e to those who want its type, in the order of calls. It sets ID and Time if they are empty.
func (b *Bus) Publish(e Event) {
	if !b.Wanted(e.Type) {
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
	for _, t := range b.list() {
		if Matches(t.types, e.Type) {
			t.take(e)
		}
	}
}

// Wanted reports whether somebody wants one of the types.
func (b *Bus) Wanted(types ...string) bool {
	return slices.ContainsFunc(b.list(), func(t *tap) bool {
		return slices.ContainsFunc(types, func(typ string) bool { return Matches(t.types, typ) })
	})
}

func (b *Bus) list() []*tap {
	if p := b.taps.Load(); p != nil {
		return *p
	}
	return nil
}

// Attach hands events of the types, which may end in ".*", to take from now on; nil stands for all. take is
// called under the bus's lock: it must neither wait nor call the bus. After detach, which may be called more than
// once, it is not called any more.
func (b *Bus) Attach(types []string, take func(e Event)) (detach func()) {
	t := &tap{slices.Clone(types), take}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := append(slices.Clone(b.list()), t)
	b.taps.Store(&next)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		left := slices.DeleteFunc(slices.Clone(b.list()), func(o *tap) bool { return o == t })
		b.taps.Store(&left)
	}
}

// Subscribe begins to collect events of the types, as Attach has them. buffer is how many wait at most for their
// reader, at least 1; beyond it the newest are missed. The caller must close the subscription.
func (b *Bus) Subscribe(buffer int, types []string) *Subscription {
	s := &Subscription{c: make(chan Event, max(buffer, 1))}
	s.detach = b.Attach(types, s.offer)
	return s
}

// Subscription is the events that one reader gets.
type Subscription struct {
	c       chan Event
	detach  func()
	dropped atomic.Uint64
	once    sync.Once // closes c
}

// offer gives the event to the reader if it has room.
func (s *Subscription) offer(e Event) {
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
	s.detach()
	s.once.Do(func() { close(s.c) })
}
