package stream

import (
	"sort"
	"sync"
	"time"
)

// Event is something that happened to a stream, for logs and hooks.
type Event struct {
	Path string
	Kind EventKind
}

// EventKind names an event.
type EventKind uint8

// The events.
const (
	// Started: the first publisher's first media frame.
	Started EventKind = iota
	// Waiting: the publisher is gone and the stream waits for its return.
	Waiting
	// Resumed: another publisher's first frame, after Waiting or by taking over.
	Resumed
	// Ended: no publisher returned in time, or it was kicked.
	Ended
	// NoKeyFrames: the cache's bounds were passed without a key frame.
	NoKeyFrames
	// Fighting: publishers take the stream from each other; the present one stays.
	Fighting
	// Retracked: a track came or went, or has another codec, since Started.
	Retracked
)

// Options configure a hub. The zero value serves any number of streams with Default settings.
type Options struct {
	// Settings returns a stream's settings; nil means Default for all.
	Settings func(path string) Settings
	// MaxStreams bounds the streams; 0 means no bound.
	MaxStreams int
	// Notify, if not nil, is told of events, in order for one stream, on the goroutine that
	// caused them. It must not block for long: a publisher waits for it.
	Notify func(Event)
}

// Hub owns the streams.
type Hub struct {
	opt   Options
	epoch time.Time

	mu      sync.Mutex // guards below
	streams map[string]*Stream
	retired Stats // sums of the streams that are gone
}

// New returns an empty hub.
func New(o Options) *Hub {
	if o.Settings == nil {
		o.Settings = func(string) Settings { return Default() }
	}
	return &Hub{opt: o, epoch: time.Now(), streams: map[string]*Stream{}}
}

// Now is the hub's monotonic clock, for av.Frame.Arrived.
func (h *Hub) Now() time.Duration { return time.Since(h.epoch) }

// acquire returns the stream at path, made if need be, with one more reference.
func (h *Hub) acquire(path string) (*Stream, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.streams[path]
	if s == nil {
		if h.opt.MaxStreams > 0 && len(h.streams) >= h.opt.MaxStreams {
			return nil, ErrTooManyStreams
		}
		s = newStream(h, path, h.opt.Settings(path))
		h.streams[path] = s
	}
	s.refs++
	return s, nil
}

// release gives one reference back; a stream without any is forgotten.
func (h *Hub) release(s *Stream) {
	h.mu.Lock()
	s.refs--
	last := s.refs == 0
	h.mu.Unlock()
	if last {
		h.forgetIf(s, func() bool { return s.refs == 0 })
	}
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
		h.retired.add(&stats)
	}
}

// Totals returns the sums of all streams so far: frames, bytes and repairs, which never fall.
func (h *Hub) Totals() Stats {
	list := h.List()
	h.mu.Lock()
	sum := h.retired
	h.mu.Unlock()
	for _, s := range list {
		st := s.Stats()
		sum.add(&st)
	}
	return sum
}

func (h *Hub) notify(s *Stream, kinds ...EventKind) {
	if h.opt.Notify == nil {
		return
	}
	for _, k := range kinds {
		h.opt.Notify(Event{s.path, k})
	}
}

// Play returns the stream at path for one player, whether or not it has a publisher.
// The player calls Leave once when it is gone. It fails with ErrTooManyStreams or ErrTooManyPlayers.
func (h *Hub) Play(path string) (*Stream, error) {
	s, err := h.acquire(path)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	full := s.set.MaxPlayers > 0 && s.players >= s.set.MaxPlayers
	if !full {
		s.players++
	}
	s.mu.Unlock()
	if full {
		h.release(s)
		return nil, ErrTooManyPlayers
	}
	return s, nil
}

// Leave undoes Play.
func (s *Stream) Leave() {
	s.mu.Lock()
	s.players--
	s.mu.Unlock()
	s.hub.release(s)
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
	l := make([]*Stream, 0, len(h.streams))
	for _, s := range h.streams {
		l = append(l, s)
	}
	h.mu.Unlock()
	sort.Slice(l, func(i, j int) bool { return l[i].path < l[j].path })
	return l
}

// Len returns the number of streams.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams)
}

// Close ends every publisher with cause, without grace, and with them their streams.
func (h *Hub) Close(cause error) {
	for _, s := range h.List() {
		s.end(cause)
	}
}
