package stream

import (
	ordered "container/list"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options configure a hub. The zero value serves any number of streams with Default settings.
type Options struct {
	// Settings returns a stream's settings; nil means Default for all.
	Settings func(path string) Settings
	// Limits bound the streams.
	Limits Limits
	// Notify, if not nil, is told of events, in order for one stream. It must not block for
	// long: a publisher may wait for it.
	Notify func(Event)
}

// Limits bound the streams of a hub; 0 means no bound.
type Limits struct {
	// Streams bounds those that have a publisher or wait for its return. One that waits gives way
	// to a publisher that comes.
	Streams int
	// Waiting bounds those that have had players only; 0 means as many as Streams. The oldest
	// gives way to one that comes. They never keep a publisher out.
	Waiting int
}

func (l *Limits) waiting() int {
	if l.Waiting == 0 {
		return l.Streams
	}
	return l.Waiting
}

// reference is what a reference on a stream is held for.
type reference uint8

const (
	plays reference = iota
	feeds
	kept // by the last publisher, for its return
)

// refs counts references, by what they are held for.
type refs [3]int

func (r *refs) sum() int { return r[plays] + r[feeds] + r[kept] }

// class is what decides whether a stream gives way to others.
type class uint8

// The classes. Those after fed give way to a publisher, or to a stream of their own class.
const (
	fed       class = iota // has a publisher
	abandoned              // waits for its publisher's return, and nobody plays it
	missed                 // the same, with players
	awaited                // has players, and had no publisher
	classes
)

func (r *refs) class() class {
	switch {
	case r[feeds] > 0:
		return fed
	case r[kept] > 0 && r[plays] == 0:
		return abandoned
	case r[kept] > 0:
		return missed
	}
	return awaited
}

// Hub owns the streams.
type Hub struct {
	opt   Options
	epoch time.Time
	bells sync.WaitGroup // the goroutines that wake followers

	mu       sync.Mutex // guards below
	settings func(path string) Settings
	limits   Limits
	closed   bool
	streams  map[string]*Stream
	queues   [classes]ordered.List // the streams of each class, the oldest in it first
	retired  Stats                 // sums of the streams that are gone
}

// New returns an empty hub.
func New(o Options) *Hub {
	if o.Settings == nil {
		o.Settings = func(string) Settings { return Default() }
	}
	return &Hub{opt: o, epoch: time.Now(), settings: o.Settings, limits: o.Limits, streams: map[string]*Stream{}}
}

// Now is the hub's monotonic clock, for av.Frame.Arrived.
func (h *Hub) Now() time.Duration { return time.Since(h.epoch) }

// acquire returns the stream at path, made if need be, with one more reference. If there is no
// room for it, another gives way.
func (h *Hub) acquire(path string, r reference) (*Stream, error) {
	for {
		s, victim, err := h.find(path, r)
		if victim == nil {
			return s, err
		}
		h.evict(victim)
	}
}

// evict ends a stream that must give way, unless it has a publisher again.
func (h *Hub) evict(s *Stream) {
	s.endIf(ErrEvicted, func() bool { return s.live == nil && s.next == nil })
	h.forgetIf(s, s.ended.Load)
}

// find is one try of acquire: it fails, or tells which stream must give way first.
func (h *Hub) find(path string, r reference) (s, victim *Stream, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, nil, ErrHubClosed
	}
	s = h.streams[path]
	if s == nil || r == feeds && s.class == awaited {
		if victim, full := h.full(r); full {
			if victim == nil {
				return nil, nil, ErrTooManyStreams
			}
			return nil, victim, nil
		}
	}
	if s == nil {
		s = newStream(h, path, h.settings(path))
		h.streams[path] = s
		s.class = classes // of none yet
	}
	s.refs[r]++
	h.classify(s)
	return s, nil, nil
}

// full reports whether there is no room for one more stream, and which gives way to it. mu is held.
func (h *Hub) full(r reference) (victim *Stream, full bool) {
	if r == plays {
		if n := h.limits.waiting(); n == 0 || h.queues[awaited].Len() < n {
			return nil, false
		}
		return h.queues[awaited].Front().Value.(*Stream), true
	}
	n := h.queues[fed].Len() + h.queues[abandoned].Len() + h.queues[missed].Len()
	if h.limits.Streams == 0 || n < h.limits.Streams {
		return nil, false
	}
	for _, c := range [2]class{abandoned, missed} {
		if e := h.queues[c].Front(); e != nil {
			return e.Value.(*Stream), true
		}
	}
	return nil, true
}

// classify puts s where its references say, if it is still known. mu is held.
func (h *Hub) classify(s *Stream) {
	if h.streams[s.path] != s {
		return
	}
	if c := s.refs.class(); c != s.class {
		if s.queue != nil {
			h.queues[s.class].Remove(s.queue)
		}
		s.class, s.queue = c, h.queues[c].PushBack(s)
	}
}

// release gives one reference back; a stream without any is forgotten.
func (h *Hub) release(s *Stream, r reference) {
	h.mu.Lock()
	s.refs[r]--
	last := s.refs.sum() == 0
	h.classify(s)
	h.mu.Unlock()
	if last {
		h.forgetIf(s, func() bool { return s.refs.sum() == 0 })
	}
}

// keep makes the last publisher's reference one that is kept for its return.
func (h *Hub) keep(s *Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.refs[feeds]--
	s.refs[kept]++
	h.classify(s)
}

// forget makes room for a new stream of the same path while players still leave an ended one.
func (h *Hub) forget(s *Stream) { h.forgetIf(s, func() bool { return true }) }

// forgetIf takes s off the map if it is there and still wanted, which is asked under the lock.
func (h *Hub) forgetIf(s *Stream, wanted func() bool) {
	stats := s.Stats()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[s.path] == s && wanted() {
		delete(h.streams, s.path)
		h.queues[s.class].Remove(s.queue)
		h.retired.add(&stats)
	}
}

// Apply makes set say the settings of streams from now on, also of those there are.
func (h *Hub) Apply(set func(path string) Settings) {
	h.mu.Lock()
	h.settings = set
	h.mu.Unlock()
	for _, s := range h.List() { // one that comes meanwhile asks set itself
		s.SetSettings(set(s.path))
	}
}

// SetLimits changes the bounds. The streams that there are stay; the next one that comes makes
// as many give way as are too many.
func (h *Hub) SetLimits(l Limits) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.limits = l
}

// Totals returns the sums of all streams so far: frames, bytes and repairs, which never fall.
func (h *Hub) Totals() Stats {
	h.mu.Lock()
	sum := h.retired
	streams := slices.Collect(maps.Values(h.streams)) // at once with it: one that ends now is counted once
	h.mu.Unlock()
	for _, s := range streams {
		st := s.Stats()
		sum.add(&st)
	}
	return sum
}

// Play returns the stream at path for one player, whether or not it has a publisher. The player
// calls Leave once when it is gone. It fails with ErrTooManyPlayers or ErrHubClosed.
func (h *Hub) Play(path string) (*Stream, error) {
	s, err := h.acquire(path, plays)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	most := s.settings.Load().MaxPlayers
	if s.live != nil && s.live.info.MaxPlayers > 0 && (most == 0 || s.live.info.MaxPlayers < most) {
		most = s.live.info.MaxPlayers
	}
	full := most > 0 && s.players >= most
	if !full {
		s.players++
	}
	s.mu.Unlock()
	if full {
		h.release(s, plays)
		return nil, ErrTooManyPlayers
	}
	return s, nil
}

// Leave undoes Play.
func (s *Stream) Leave() {
	s.mu.Lock()
	s.players--
	s.mu.Unlock()
	s.hub.release(s, plays)
}

// Get returns the stream at path without a reference, nil if there is none.
func (h *Hub) Get(path string) *Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.streams[path]
}

// List returns the streams ordered by path.
func (h *Hub) List() []*Stream {
	h.mu.Lock()
	l := slices.Collect(maps.Values(h.streams))
	h.mu.Unlock()
	slices.SortFunc(l, func(a, b *Stream) int { return strings.Compare(a.path, b.path) })
	return l
}

// Len returns the number of streams.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

// End ends the stream at path with cause, whether it has a publisher, waits for its return or has
// only players. It reports false if there is none.
func (h *Hub) End(path string, cause error) bool {
	s := h.Get(path)
	return s != nil && s.endIf(cause, func() bool { return true })
}

// EndUnbegun ends the stream at path with cause if players wait for it to begin and nobody is connected who could make it. It reports
// whether it ended it.
func (h *Hub) EndUnbegun(path string, cause error) bool {
	s := h.Get(path)
	return s != nil && s.endIf(cause, func() bool { return s.live == nil && s.next == nil && s.stats.Publishers == 0 })
}

// Close ends every publisher with cause, without grace, and with them their streams. There are
// no new ones from then on.
func (h *Hub) Close(cause error) {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	for _, s := range h.List() {
		s.end(cause)
	}
	h.bells.Wait()
}
