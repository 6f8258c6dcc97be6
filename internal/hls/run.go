package hls

import (
	"fmt"
	"os"
	"sync"
	"time"

	"weir/internal/accessunit"
	"weir/internal/stream"
)

const (
	// idleTime is how long a packager runs on after the last request.
	idleTime = time.Minute
	// endedTime is how long the last playlists and segments of a stream that has ended are kept.
	endedTime = 2 * time.Minute
)

// Set is the packagers of all streams.
type Set struct {
	now   func() time.Duration
	conf  func(path string) Settings
	warn  func(path, text string)
	pages *pages

	mu   sync.Mutex // guards below; taken before a stream's lock and a packager's
	byID map[string]*entry
	of   map[*stream.Stream]*entry
	// folders are ours, by the hls.directory that each is in; nil where none could be made.
	folders map[string]*folder
	closed  bool
}

// entry is a packager in a Set.
type entry struct {
	*Packager
	s        *stream.Stream
	used     time.Duration
	attached bool
	late     bool // it was asked for after its end: asking again does not keep it any longer
	timer    *time.Timer
}

// NewSet returns an empty set. conf returns a stream's settings, now is the hub's clock, and
// warn is told what viewers will notice.
func NewSet(now func() time.Duration, conf func(path string) Settings, warn func(path, text string)) *Set {
	return &Set{now: now, conf: conf, warn: warn, pages: newPages(), byID: map[string]*entry{}, of: map[*stream.Stream]*entry{}, folders: map[string]*folder{}}
}

// Open returns the packager of a stream, running. It fails with ErrEnded if the stream has ended.
func (set *Set) Open(s *stream.Stream) (*Packager, error) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.closed {
		return nil, ErrEnded
	}
	e := set.of[s]
	if e == nil {
		path := s.Path()
		conf := set.conf(path)
		if conf.Directory != "" {
			conf.Directory = set.folder(path, conf.Directory)
		}
		e = &entry{s: s, Packager: NewPackager(path, Options{
			Settings: conf, Now: set.now, Warn: func(text string) { set.warn(path, text) }, pages: set.pages,
		})}
		set.of[s], set.byID[e.id] = e, e
	}
	if err := set.start(e); err != nil {
		return nil, err
	}
	return e.Packager, nil
}

// folder returns the path of our own folder in dir, "" if there can be none: then the segments
// of the stream at path stay in memory. set.mu is held.
func (set *Set) folder(path, dir string) string {
	f, known := set.folders[dir]
	if !known {
		var err error
		f, err = openFolder(dir)
		switch {
		case f == nil:
			set.warn(path, "HLS segments cannot be kept on disk and stay in memory; check hls.directory: "+err.Error())
		case err != nil:
			set.warn(path, "HLS segments of an earlier server cannot be removed from hls.directory: "+err.Error())
		}
		set.folders[dir] = f
	}
	if f == nil {
		return ""
	}
	return f.path
}

// Get returns the packager with an id, and has it run on if its stream lives; nil if there
// is none of this id and path.
func (set *Set) Get(id, path string) *Packager {
	set.mu.Lock()
	defer set.mu.Unlock()
	e := set.byID[id]
	if e == nil || e.path != path || set.closed {
		return nil
	}
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

// start makes e run and notes that it is used. set.mu is held.
func (set *Set) start(e *entry) error {
	if !e.late {
		e.used, e.late = set.now(), e.Ended()
	}
	if e.attached {
		return nil
	}
	e.resume(e.s.Headers(), e.s.Stats().KeyInterval)
	if !e.s.Attach(e.Packager) {
		e.pause()
		set.expire(e, endedTime)
		return fmt.Errorf("hls: packaging %s: %w", e.path, ErrEnded)
	}
	e.Wake()
	e.attached = true
	set.expire(e, idleTime)
	return nil
}

// expire asks again after d whether e is in use. set.mu is held.
func (set *Set) expire(e *entry, d time.Duration) {
	if e.timer == nil {
		e.timer = time.AfterFunc(d, func() { set.review(e) })
		return
	}
	e.timer.Reset(d)
}

// review stops a packager that nobody asks, and forgets one whose stream has ended.
func (set *Set) review(e *entry) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.closed {
		return
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
		set.drop(e)
	case over:
		set.expire(e, endedTime-idle)
	case !e.attached:
		set.expire(e, idleTime) // until its stream ends
	case idle >= idleTime:
		e.s.Detach(e.Packager)
		e.attached = false
		e.pause()
		set.expire(e, idleTime)
	default:
		set.expire(e, idleTime-idle)
	}
}

// drop forgets e. set.mu is held.
func (set *Set) drop(e *entry) {
	e.timer.Stop()
	delete(set.byID, e.id)
	delete(set.of, e.s)
	if e.attached {
		e.s.Detach(e.Packager)
	}
	e.pause()
	e.release()
}

// release ends every wait, and gives everything up.
func (p *Packager) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = true
	p.setReady()
	for _, r := range p.renditions {
		r.forget()
	}
	if p.disk != nil {
		p.disk.do(func() error { return os.RemoveAll(p.disk.dir) })
	}
}

// Close stops everything. Nobody waits any longer.
func (set *Set) Close() {
	set.mu.Lock()
	set.closed = true
	var disks []*disk
	for _, e := range set.byID {
		set.drop(e)
		if e.disk != nil {
			disks = append(disks, e.disk)
		}
	}
	folders := set.folders
	set.folders = nil
	set.mu.Unlock()
	for _, d := range disks {
		d.work.Wait()
	}
	for _, f := range folders {
		if f == nil {
			continue
		}
		if err := f.remove(); err != nil {
			set.warn("", "HLS segments cannot be removed from hls.directory: "+err.Error())
		}
	}
}

// Running returns how many packagers run.
func (set *Set) Running() int {
	set.mu.Lock()
	defer set.mu.Unlock()
	n := 0
	for _, e := range set.byID {
		if e.attached {
			n++
		}
	}
	return n
}

// resume lets the packager take frames again.
func (p *Packager) resume(h *stream.Headers, keyInterval time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.keyInterval = true, keyInterval
	p.headers, p.since = h, h.Version
	p.joiner.SetTracks(h.Tracks)
	if len(p.renditions) == 0 {
		p.layout()
	}
	select {
	case <-p.ready:
		p.ready = make(chan struct{})
	default:
	}
}

// pause drops what it has packaged, and keeps what the next run must know.
func (p *Packager) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended && !p.isEmptyLocked() {
		p.running = false
		return
	}
	p.running, p.keyless = false, false
	p.backlog, p.flushed, p.joiner = nil, false, accessunit.Joiner{}
	p.absent, p.absentFrom = noTrack, 0
	clear(p.standIns)
	p.dated, p.movedAt = false, 0
	p.events, p.texts = events{}, nil
	for _, r := range p.renditions {
		r.forget()
	}
}

func (p *Packager) isEmpty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isEmptyLocked()
}

func (p *Packager) isEmptyLocked() bool {
	return len(p.renditions) == 0 || len(p.renditions[0].segments) == 0
}
