package hls

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/av"
	"weir/internal/accessunit"
	"weir/internal/stream"
)

// Options are what a packager is made with.
type Options struct {
	Settings Settings
	// Now is the clock of the frames' arrival: the hub's.
	Now func() time.Duration
	// Warn is told, once for each cause, what viewers will notice.
	Warn func(Warning)

	pages    *pages   // for segments that are not kept on disk
	listener Listener // nil: none
}

// Warning says what viewers will notice of something, and what to do about it.
type Warning struct {
	Text   string // a constant of the package
	Detail string // how long, which track, which error; may be empty
}

// Packager packages one stream. It implements stream.Muxer.
type Packager struct {
	id       string
	path     string
	settings Settings
	opt      Options

	disk  *disk       // nil keeps segments in memory
	dirty atomic.Bool // something changed that nobody has been told of

	mu         sync.Mutex // guards below; a leaf
	running    bool
	ended      bool
	headers    *stream.Headers
	since      uint32       // the headers' version when it was attached
	renditions []*Rendition // main first; made by the first headers, and kept
	container  Container    // of the renditions
	settled    bool         // pace is known
	// keyInterval is the longest time between key frames that the stream had before.
	keyInterval time.Duration
	pace        pace
	backlog     []early // until the pace is known
	flushed     bool    // a Flush came since the backlog's last frame
	frameDur    time.Duration
	joiner      accessunit.Joiner
	// standIns are the tracks' frames for the time in which they are silent.
	standIns map[trackKey]*standIn
	// absent is a lead that sends nothing; its kind is av.Data if there is none. The others
	// are packaged without it until it comes.
	absent     trackKey
	absentFrom time.Duration // when others came first while the lead did not; 0: not so
	fits       map[trackKey]fit
	inits      int
	err        error // why the newest tracks cannot be packaged
	warned     map[string]bool
	warnings   []Warning     // to be told by Wake
	finished   []Done        // likewise
	shown      bool          // a viewer was given a playlist
	shut       bool          // nobody may wait any longer
	ready      chan struct{} // closed once the main playlist has a segment
	keyless    bool          // frames came, and none with which a segment may begin
	events     events
	texts      []text // that wait for their part

	// The date of one moment, from which the dates of all others follow.
	dated     bool
	dateAt    time.Duration
	dateIs    time.Time
	dateNever time.Time // no later date is before it

	// The repair of a clock that stands still.
	shift   time.Duration
	moved   time.Duration // the lead's newest time
	movedAt time.Duration // its arrival
}

// NewPackager returns the packager of the stream at path. It does nothing until it is attached.
func NewPackager(path string, o Options) *Packager {
	if o.Warn == nil {
		o.Warn = func(Warning) {}
	}
	p := &Packager{
		id: newID(), path: path, settings: o.Settings, opt: o,
		warned: map[string]bool{}, ready: make(chan struct{}),
		standIns: map[trackKey]*standIn{}, absent: noTrack, fits: map[trackKey]fit{},
	}
	if dir := o.Settings.Directory; dir != "" {
		p.opt.pages = nil
		p.disk = &disk{dir: filepath.Join(dir, p.id), warn: func(err error) {
			p.mu.Lock()
			p.warn("segments cannot be kept on disk and stay in memory; check hls.directory", err.Error())
			p.mu.Unlock()
			p.tell()
		}}
	}
	return p
}

// idSize is the characters of an id: 60 random bits.
const idSize = 12

func newID() string { return strings.ToLower(rand.Text()[:idSize]) }

// ID returns the packager's id, which is in all its names.
func (p *Packager) ID() string { return p.id }

// Path returns the stream's path.
func (p *Packager) Path() string { return p.path }

// Ended reports whether the stream has ended.
func (p *Packager) Ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// memory returns the bytes of the segments that are in memory.
func (p *Packager) memory() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := int64(0)
	for _, r := range p.renditions {
		for _, s := range r.segments {
			if s.isStored() {
				n += int64(s.size)
			}
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

// Append implements stream.Muxer.
func (p *Packager) Append(e *stream.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		return
	}
	if e.Headers != p.headers {
		if e.Headers.Version < p.since && !p.hasLead(e.Headers) {
			return // from before the stream had its video
		}
		p.retrack(e.Headers)
	}
	if len(p.renditions) == 0 {
		return
	}
	if e.Kind == av.Data {
		p.data(e)
		return
	}
	if e.Type != av.Media || len(e.Payload) == 0 {
		return
	}
	for _, f := range p.joiner.Put(&e.Frame) {
		p.take(f)
	}
}

// take takes a whole access unit of video, or a frame of sound.
func (p *Packager) take(media av.Frame) {
	k := keyOf(&media)
	if k == p.absent {
		p.absent = noTrack
		p.retrack(p.headers)
	}
	main := p.renditions[0]
	h := headerOf(p.headers, k)
	if h == nil {
		return
	}
	f := frame{Frame: media, at: p.place(&media, k == main.lead), version: h.Version}
	jump := media.Flags&av.Discontinuity != 0
	if !p.settled {
		p.collect(f, jump)
		return
	}
	if jump {
		main.jump = true
		clear(p.standIns)
	}
	p.push(f)
}

// send hands a frame to the renditions that carry its track.
func (p *Packager) send(f frame) {
	k := keyOf(&f.Frame)
	for _, r := range p.renditions {
		if r.wants(k) && (k == r.lead || headerOf(p.headers, k) != nil) {
			r.push(f)
		}
	}
}

// place returns the time at which a frame is packaged. A lead whose time stands still is
// moved on by its arrival: else a segment would never end.
func (p *Packager) place(e *av.Frame, lead bool) time.Duration {
	at := e.DTS + p.shift
	if !lead {
		return at
	}
	switch {
	case at > p.moved || p.movedAt == 0:
		p.moved, p.movedAt = at, e.Arrived
	case e.Arrived-p.movedAt > clockStall:
		p.shift += p.moved + e.Arrived - p.movedAt - at
		at = e.DTS + p.shift
		p.moved, p.movedAt = at, e.Arrived
		p.warn("the publisher's time stamps stand still: segments are timed by when frames arrive", "")
	}
	return at
}

// stop ends the open segments: something else comes next.
func (p *Packager) stop() {
	clear(p.standIns)
	for _, r := range p.renditions {
		r.stop()
	}
}

// irregular notes that a group of pictures does not fit a segment.
func (p *Packager) irregular(d time.Duration) {
	p.pace.regular = false
	p.warn("key frames are too far apart: segments begin without one, and players start late; "+
		"set the encoder's key-frame interval to hls.segment or less (OBS: Keyframe Interval; ffmpeg: -g)",
		fmt.Sprintf("no key frame for %v, hls.segment is %v", d.Round(100*time.Millisecond), p.settings.Segment))
}

// warn has Wake tell of a cause, once.
func (p *Packager) warn(text, detail string) { p.warnOnce(text, Warning{text, detail}) }

// warnOnce has Wake tell w, unless something with this key was told before.
func (p *Packager) warnOnce(key string, w Warning) {
	if !p.warned[key] {
		p.warned[key] = true
		p.warnings = append(p.warnings, w)
	}
}

// note notes why a track cannot be packaged.
func (p *Packager) note(err error) {
	p.err = err
	p.warn("a track cannot be packaged", err.Error())
}

// textsUntil takes the texts that are due by a time.
func (p *Packager) textsUntil(end time.Duration) (due []text) {
	p.texts = slices.DeleteFunc(p.texts, func(t text) bool {
		if t.at < end {
			due = append(due, t)
		}
		return t.at < end
	})
	return due
}

// Flush implements stream.Muxer: another publisher or another configuration comes.
func (p *Packager) Flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		return
	}
	for _, f := range p.joiner.Flush() {
		p.take(f)
	}
	if !p.settled { // the backlog is kept: only its end is known better now
		p.flushed = true
		return
	}
	p.stop()
}

// End implements stream.Muxer.
func (p *Packager) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		return
	}
	p.finish()
}

// finish ends the playlists. mu is held.
func (p *Packager) finish() {
	if len(p.renditions) > 0 {
		for _, f := range p.joiner.Flush() {
			p.take(f)
		}
		if starts, _ := p.starts(); !p.settled && len(starts) > 1 { // shorter than one segment
			n := len(starts) - 1
			p.begin(settle(&p.settings, starts[:n], starts[n], p.settings.Segment))
		}
	}
	p.ended = true
	p.dirty.Store(true)
	p.stop()
	for _, r := range p.renditions {
		r.changed()
	}
}

// Wake implements stream.Muxer: it wakes the requests that wait for what is new.
func (p *Packager) Wake() {
	if !p.dirty.Swap(false) {
		return
	}
	p.mu.Lock()
	for _, r := range p.renditions {
		r.notify()
	}
	if p.ended || p.presentable() {
		p.setReady()
	}
	p.mu.Unlock()
	p.tell()
}

// tell tells what has gathered, without locks.
func (p *Packager) tell() {
	p.mu.Lock()
	warnings, finished := p.warnings, p.finished
	p.warnings, p.finished = nil, nil
	p.mu.Unlock()
	for _, w := range warnings {
		p.opt.Warn(w)
	}
	for _, d := range finished {
		p.opt.listener.SegmentDone(p.path, d)
	}
}
