package stream

import (
	"slices"
	"sync"
	"sync/atomic"
)

// groupSize followers wait on one channel.
const groupSize = 64

// bell wakes the followers of a stream that wait for the next frame. The publisher only strikes it,
// which costs the same for one follower as for thousands: a goroutine wakes them, group by group.
// It runs while there are followers.
//
// No wake-up is lost: a follower first arms its group, then the bell, and then looks once more
// for a frame. The publisher first appends a frame, then looks whether the bell is armed. Of a
// follower that arms and a publisher that appends at the same time, one sees the other.
type bell struct {
	armed  atomic.Bool
	kick   chan struct{}            // has room for one: frames that come while it is full wake once
	groups atomic.Pointer[[]*group] // replaced, never changed

	mu      sync.Mutex // guards below; a leaf
	members int
	running bool // the goroutine runs, or begins to
	ended   bool // the stream has ended: no follower waits any more
}

// group is a set of followers that are woken together.
type group struct {
	bell    *bell
	members int // guarded by bell.mu

	mu    sync.Mutex // guards below; a leaf
	armed bool
	wake  chan struct{} // closed and replaced when the bell rings
}

func (b *bell) init() {
	b.kick = make(chan struct{}, 1)
	b.groups.Store(new([]*group))
}

// join adds a follower; wg waits for the bell's goroutine.
func (b *bell) join(wg *sync.WaitGroup) *group {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.members++
	if !b.running && !b.ended {
		b.running = true
		wg.Go(b.run)
	}
	groups := *b.groups.Load()
	for _, g := range groups {
		if g.members < groupSize {
			g.members++
			return g
		}
	}
	g := &group{bell: b, members: 1, wake: make(chan struct{})}
	groups = append(slices.Clip(groups), g)
	b.groups.Store(&groups)
	return g
}

// leave takes a follower out of its group.
func (b *bell) leave(g *group) {
	b.mu.Lock()
	b.members--
	last := b.members == 0
	if g.members--; g.members == 0 {
		groups := slices.DeleteFunc(slices.Clone(*b.groups.Load()), func(o *group) bool { return o == g })
		b.groups.Store(&groups)
	}
	b.mu.Unlock()
	if last {
		b.rouse()
	}
}

// strike wakes the waiting followers after a frame has been appended.
func (b *bell) strike() {
	if b.armed.Load() && b.armed.Swap(false) {
		b.rouse()
	}
}

// rouse wakes the bell's goroutine, unless it is about to run anyway.
func (b *bell) rouse() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// silence wakes all followers for the last time. It does so itself: the bell's goroutine may be done
// with a group that was armed since, and end now.
func (b *bell) silence() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
	b.ring()
	b.rouse()
}

// run wakes followers until there are none, or the stream has ended.
func (b *bell) run() {
	for range b.kick {
		b.ring()
		b.mu.Lock()
		if b.members == 0 || b.ended {
			b.running = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
	}
}

// ring wakes the groups with waiting followers.
func (b *bell) ring() {
	for _, g := range *b.groups.Load() {
		g.ring()
	}
}

// wait returns a channel that is closed after the next frame, or the end.
func (g *group) wait() <-chan struct{} {
	g.mu.Lock()
	wake := g.wake
	g.armed = true
	g.mu.Unlock()
	if !g.bell.armed.Load() {
		g.bell.armed.Store(true)
	}
	return wake
}

func (g *group) ring() {
	g.mu.Lock()
	if !g.armed {
		g.mu.Unlock()
		return
	}
	wake := g.wake
	g.armed, g.wake = false, make(chan struct{})
	g.mu.Unlock()
	close(wake)
}
