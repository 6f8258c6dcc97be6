package hls

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"weir/internal/stream"
)

const (
	// idleTime is how long a packager runs on after the last request.
	idleTime = time.Minute
	// endedTime is how long the last playlists and segments of a stream that has ended are kept.
	endedTime = 2 * time.Minute
)

// Set holds the packagers of all streams.
type Set struct {
	now   func() time.Duration
	conf  func(path string) Settings
	warn  func(path string, w Warning)
	pages *pages

	listener Listener // nil: none

	mu   sync.Mutex // guards below, and the fields of entries that say so; taken before a packager's lock
	byID map[string]*entry
	of   map[*stream.Stream]*entry
	// places are our folders, by the hls.directory that each is in.
	places map[string]*place
	closed bool
}

// entry is a packager in a Set.
type entry struct {
	s *stream.Stream

	// turn is held while the packager is made, attached, detached or given up. That may take as long as
	// packaging all that the stream keeps, or as a slow disk: only requests for this stream wait for it.
	// It is taken before Set.mu and the stream's lock.
	turn      sync.Mutex
	*Packager // made by the first start, and then in Set.byID

	// Guarded by Set.mu.
	attached bool // changed with turn held too
	gone     bool // dropped; likewise
	used     time.Duration
	late     bool // it was asked for after its end: asking again does not keep it any longer
	timer    *time.Timer
}

// place is our own folder in a hls.directory.
type place struct {
	once   sync.Once // opens it
	folder *folder   // nil if none could be made
}

// NewSet returns an empty set. conf returns a stream's settings, now is the hub's clock, and
// warn is told what viewers will notice.
func NewSet(now func() time.Duration, conf func(path string) Settings, warn func(path string, w Warning)) *Set {
	return &Set{now: now, conf: conf, warn: warn, pages: newPages(), byID: map[string]*entry{}, of: map[*stream.Stream]*entry{}, places: map[string]*place{}}
}

// Open returns the packager of a stream, running. It fails with ErrEnded if the stream has ended.
func (set *Set) Open(s *stream.Stream) (*Packager, error) {
	set.mu.Lock()
	if set.closed {
		set.mu.Unlock()
		return nil, ErrEnded
	}
	e := set.of[s]
	if e == nil {
		e = &entry{s: s}
		set.of[s] = e
	}
	set.mu.Unlock()
	if err := set.start(e); err != nil {
		return nil, err
	}
	return e.Packager, nil
}

// Get returns the packager with an id, and has it run on if its stream lives; nil if there
// is none of this id and path.
func (set *Set) Get(id, path string) *Packager {
	set.mu.Lock()
	e := set.byID[id]
	if e == nil || e.path != path || set.closed {
		set.mu.Unlock()
		return nil
	}
	set.mu.Unlock()
	if err := set.start(e); err != nil && e.isEmpty() {
		return nil
	}
	return e.Packager
}

// Memory returns the bytes of the segments that are in memory.
func (set *Set) Memory() int64 {
	set.mu.Lock()
	defer set.mu.Unlock()
	n := int64(0)
	for _, e := range set.byID {
		n += e.memory()
	}
	return n
}

// start makes e run if it does not, and notes that it is used.
func (set *Set) start(e *entry) error {
	if running, err := set.use(e); running || err != nil {
		return err
	}
	e.turn.Lock()
	defer e.turn.Unlock()
	if running, err := set.use(e); running || err != nil { // another request was first
		return err
	}
	if e.Packager == nil {
		set.pack(e)
	}
	e.resume(e.s.Headers(), e.s.Stats().KeyInterval)
	attached := e.s.Attach(e.Packager)
	if attached {
		e.Wake()
	} else {
		e.pause()
	}
	set.mu.Lock()
	defer set.mu.Unlock()
	e.attached = attached
	if !attached {
		set.expire(e, endedTime)
		return fmt.Errorf("hls: packaging %s: %w", e.path, ErrEnded)
	}
	set.expire(e, idleTime)
	return nil
}

// use notes that e is used, and reports whether it runs. It fails with ErrEnded if e was given up meanwhile.
func (set *Set) use(e *entry) (running bool, err error) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.closed || e.gone {
		return false, ErrEnded
	}
	if !e.late {
		e.used, e.late = set.now(), e.Packager != nil && e.Ended()
	}
	return e.attached, nil
}

// pack makes the packager of e. e.turn is held.
func (set *Set) pack(e *entry) {
	path := e.s.Path()
	conf := set.conf(path)
	if conf.Directory != "" {
		conf.Directory = set.folder(path, conf.Directory)
	}
	p := NewPackager(path, Options{
		Settings: conf, Now: set.now, Warn: func(w Warning) { set.warn(path, w) }, pages: set.pages, listener: set.listener,
	})
	set.mu.Lock()
	defer set.mu.Unlock()
	e.Packager = p
	set.byID[p.id] = e
}

// folder returns the path of our own folder in dir, "" if there can be none: then the segments
// of the stream at path stay in memory. The turn of that stream's entry is held, and no lock.
func (set *Set) folder(path, dir string) string {
	set.mu.Lock()
	p := set.places[dir]
	if p == nil {
		p = &place{}
		set.places[dir] = p
	}
	set.mu.Unlock()
	p.once.Do(func() {
		var err error
		p.folder, err = openFolder(dir)
		switch {
		case p.folder == nil:
			set.warn(path, Warning{"segments cannot be kept on disk and stay in memory; check hls.directory", err.Error()})
		case err != nil:
			set.warn(path, Warning{"segments of an earlier server cannot be removed from hls.directory", err.Error()})
		}
	})
	if p.folder == nil {
		return ""
	}
	return p.folder.path
}

// expire asks again after d whether e is in use. set.mu is held.
func (set *Set) expire(e *entry, d time.Duration) {
	if e.timer == nil {
		e.timer = time.AfterFunc(d, func() { set.review(e) })
		return
	}
	e.timer.Reset(d)
}

// review stops a packager that nobody asks, and gives up one whose stream has ended.
func (set *Set) review(e *entry) {
	e.turn.Lock()
	defer e.turn.Unlock()
	switch stop, drop := set.judge(e); {
	case drop:
		set.drop(e)
	case stop:
		e.s.Detach(e.Packager)
		e.pause()
	}
}

// judge says whether e is to be stopped, which it then counts as, or dropped, and when it is to be asked next.
// e.turn is held.
func (set *Set) judge(e *entry) (stop, drop bool) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.closed || e.gone {
		return false, false
	}
	idle := set.now() - e.used
	over := false
	select {
	case <-e.s.Over():
		over = true
	default:
	}
	switch {
	case over && idle >= endedTime:
		return false, true
	case over:
		set.expire(e, endedTime-idle)
	case !e.attached:
		set.expire(e, idleTime) // until its stream ends
	case idle >= idleTime:
		e.attached = false
		set.expire(e, idleTime)
		return true, false
	default:
		set.expire(e, idleTime-idle)
	}
	return false, false
}

// drop gives e up. e.turn is held.
func (set *Set) drop(e *entry) {
	set.mu.Lock()
	if e.gone {
		set.mu.Unlock()
		return
	}
	if e.timer != nil {
		e.timer.Stop()
	}
	delete(set.of, e.s)
	attached := e.attached
	e.attached, e.gone = false, true
	if e.Packager != nil {
		delete(set.byID, e.id)
	}
	set.mu.Unlock()
	if attached {
		e.s.Detach(e.Packager)
	}
	if e.Packager != nil {
		e.pause()
		e.release()
	}
}

// Close stops everything. Nobody waits any longer.
func (set *Set) Close() {
	set.mu.Lock()
	set.closed = true
	entries := slices.Collect(maps.Values(set.of))
	set.mu.Unlock()
	for _, e := range entries {
		e.turn.Lock() // waits for a start in progress; there will be no other
		set.drop(e)
		e.turn.Unlock()
	}
	for _, e := range entries {
		if e.Packager != nil && e.disk != nil {
			e.disk.work.Wait()
		}
	}
	set.mu.Lock()
	places := set.places
	set.places = nil
	set.mu.Unlock()
	for _, p := range places {
		if p.folder == nil {
			continue
		}
		if err := p.folder.remove(); err != nil {
			set.warn("", Warning{"segments cannot be removed from hls.directory", err.Error()})
		}
	}
}
