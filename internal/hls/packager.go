package hls

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// Options are what a packager is made with.
type Options struct {
	Settings Settings
	// Now is the clock of the frames' arrival: the hub's.
	Now func() time.Duration
	// Warn is told, once for each cause, what viewers will notice.
	Warn func(text string)

	pages *pages // for segments that are not kept on disk
}

// Packager packages one stream. It implements stream.Muxer.
type Packager struct {
	id   string
	path string
	set  Settings
	opt  Options

	disk       *disk       // nil keeps segments in memory
	dirty      atomic.Bool // something changed that nobody has been told of
	renderings atomic.Int64

	mu         sync.Mutex // guards below; a leaf
	running    bool
	ended      bool
	headers    *stream.Headers
	since      uint32       // the headers' version when it was attached
	renditions []*Rendition // main first; made by the first headers, and kept
	settled    bool         // pace is known
	// keyInterval is the longest time between key frames that the stream had before.
	keyInterval time.Duration
	pace        pace
	backlog     []frame // until the pace is known
	frameDur    time.Duration
	inits       int
	err         error // why the newest tracks cannot be packaged
	warned      map[string]bool
	warnings    []string      // to be told by Wake
	shown       bool          // somebody was given a playlist
	shut        bool          // nobody may wait any longer
	ready       chan struct{} // closed once the main playlist has a segment
	keyless     bool          // frames came, and none with which a segment may begin
	events      events
	texts       []text // that wait for their part

	// What makes dates of times: those of one moment.
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
		o.Warn = func(string) {}
	}
	p := &Packager{
		id: newID(), path: path, set: o.Settings, opt: o,
		warned: map[string]bool{}, ready: make(chan struct{}),
	}
	if dir := o.Settings.Directory; dir != "" {
		p.opt.pages = nil
		p.disk = &disk{dir: filepath.Join(dir, p.id), warn: func(text string) {
			p.mu.Lock()
			p.warn(text)
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

// held returns the bytes of the segments that are held in memory.
func (p *Packager) held() int64 {
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

// Settings returns how it packages.
func (p *Packager) Settings() Settings { return p.set }

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
	main := p.renditions[0]
	h := headerOf(p.headers, keyOf(&e.Frame))
	if h == nil {
		return
	}
	f := frame{Frame: e.Frame, at: p.place(e, keyOf(&e.Frame) == main.lead), version: h.Version}
	if e.Flags&av.Discontinuity != 0 {
		main.jump = true
	}
	if !p.settled {
		p.collect(f)
		return
	}
	p.push(f)
}

// push hands a frame to the renditions that carry its track.
func (p *Packager) push(f frame) {
	k := keyOf(&f.Frame)
	for _, r := range p.renditions {
		if r.wants(k) {
			if k == r.lead || headerOf(p.headers, k) != nil {
				r.push(f)
			}
		}
	}
}

// place returns the time at which a frame is packaged. A lead whose time stands still is
// moved on by its arrival: else a segment would never end.
func (p *Packager) place(e *stream.Entry, lead bool) time.Duration {
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
		p.warn("the publisher's time stamps stand still: HLS goes by the time of arrival")
	}
	return at
}

// collect keeps frames until the pace can be told from them.
func (p *Packager) collect(f frame) {
	main := p.renditions[0]
	isLead := keyOf(&f.Frame) == main.lead
	if isLead && len(p.backlog) == 0 && f.Kind == av.Video && !f.IsKey() {
		p.keyless = true
		return
	}
	var starts []time.Duration
	gop := time.Duration(0) // when the newest group of pictures began
	for i := range p.backlog {
		if b := &p.backlog[i]; keyOf(&b.Frame) == main.lead {
			starts = append(starts, b.at)
			if b.IsKey() {
				gop = b.at
			}
		}
	}
	if len(starts) == 0 && !isLead || len(p.backlog) >= maxPartFrames && !isLead {
		return // what comes before the first picture is not shown
	}
	p.backlog = append(p.backlog, f)
	if !isLead || len(starts) == 0 {
		return
	}
	span := f.at - starts[0]
	p.frameDur = span / time.Duration(len(starts))
	switch {
	case f.Kind == av.Audio && span >= min(p.set.Segment, time.Second):
		p.pace = settle(&p.set, starts, f.at, p.set.Segment)
	case f.Kind == av.Video && f.IsKey() && p.set.ripe(span, f.at-gop):
		p.pace = settle(&p.set, starts, f.at, max(span, min(p.keyInterval, maxGOPs*p.set.Segment)))
	case span >= maxGOPs*p.set.Segment || len(p.backlog) >= 2*maxPartFrames:
		p.pace = settle(&p.set, starts, f.at, 0)
		p.irregular(span)
	default:
		return
	}
	p.settled = true
	backlog := p.backlog
	p.backlog = nil
	for _, b := range backlog {
		p.push(b)
	}
}

// irregular notes that a group of pictures does not fit a segment.
func (p *Packager) irregular(d time.Duration) {
	p.pace.regular = false
	p.warn(fmt.Sprintf("no key frame for %v: HLS segments begin without one, and players start late; "+
		"set the encoder's key-frame interval to %v (OBS: Keyframe Interval; ffmpeg: -g)",
		d.Round(100*time.Millisecond), p.set.Segment))
}

// warn has Wake tell of a cause, once.
func (p *Packager) warn(text string) {
	kind, _, _ := strings.Cut(text, ":")
	if i := strings.Index(kind, " for "); i > 0 {
		kind = kind[:i]
	}
	if !p.warned[kind] {
		p.warned[kind] = true
		p.warnings = append(p.warnings, text)
	}
}

func (p *Packager) note(err error) {
	p.err = err
	p.warn("a track cannot be packaged: " + err.Error())
}

// date returns the date of a time at which a frame arrived. The clock of the machine is asked
// once: a leap of it must not move what has a date already.
func (p *Packager) date(at, arrived time.Duration) time.Time {
	d := p.dateOf(at, arrived)
	if d.Before(p.dateNever) {
		d = p.dateNever
	}
	p.dateNever = d
	return d
}

// dateOf is date of what is no segment.
func (p *Packager) dateOf(at, arrived time.Duration) time.Time {
	if !p.dated {
		p.dated, p.dateAt = true, at
		p.dateIs = time.Now().Round(0).UTC().Add(-max(p.opt.Now()-arrived, 0))
	}
	return p.dateIs.Add(at - p.dateAt).Truncate(time.Millisecond)
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
	p.backlog = nil
	for _, r := range p.renditions {
		r.stop()
	}
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
	if !p.settled && len(p.backlog) > 1 && len(p.renditions) > 0 { // shorter than one segment
		backlog := p.backlog
		p.backlog = nil
		var starts []time.Duration
		for i := range backlog {
			if keyOf(&backlog[i].Frame) == p.renditions[0].lead {
				starts = append(starts, backlog[i].at)
			}
		}
		if len(starts) > 1 {
			p.pace = settle(&p.set, starts[:len(starts)-1], starts[len(starts)-1], p.set.Segment)
			p.settled = true
			for _, b := range backlog {
				p.push(b)
			}
		}
	}
	p.ended = true
	p.dirty.Store(true)
	for _, r := range p.renditions {
		r.stop()
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

// tell tells the warnings that have gathered, without locks.
func (p *Packager) tell() {
	p.mu.Lock()
	warnings := p.warnings
	p.warnings = nil
	p.mu.Unlock()
	for _, w := range warnings {
		p.opt.Warn(w)
	}
}

// presentable reports whether every playlist has a segment, so that none is empty.
func (p *Packager) presentable() bool {
	return len(p.renditions) > 0 && !slices.ContainsFunc(p.renditions, func(r *Rendition) bool {
		return len(r.segments) == 0 || !r.segments[0].whole
	})
}

func (p *Packager) setReady() {
	select {
	case <-p.ready:
	default:
		close(p.ready)
	}
}

// Errors of waiting.
var (
	// ErrNoKeyFrames says that the stream has video in which nobody can start.
	ErrNoKeyFrames = errors.New("hls: the stream has had no key frame: set the encoder's key-frame interval to 2 seconds (OBS: Keyframe Interval; ffmpeg: -g)")
	// ErrCodec says that HLS can carry none of the stream's tracks.
	ErrCodec = errors.New("hls: segments can carry none of the stream's codecs")
	// ErrNothing says that there is no segment yet.
	ErrNothing = errors.New("hls: there is no segment yet")
	// ErrEnded says that the stream has ended.
	ErrEnded = errors.New("hls: the stream has ended")
	// ErrUnknown says that there is no such resource, or no longer.
	ErrUnknown = errors.New("hls: there is no such resource")
)

// IsReady reports whether there is a playlist, so that Ready would not wait.
func (p *Packager) IsReady() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown = p.shown || p.presentable()
	return p.presentable()
}

// Ready waits until there is a playlist. When ctx ends before, it returns the reason as far
// as it is known: ErrNoKeyFrames, ErrCodec or ErrNothing.
func (p *Packager) Ready(ctx context.Context) error {
	p.mu.Lock()
	ready := p.ready
	p.mu.Unlock()
	select {
	case <-ready:
	case <-ctx.Done():
	}
	defer p.tell()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.presentable():
		p.shown = true
		return nil
	case p.ended || p.shut:
		return ErrEnded
	case len(p.renditions) == 0 && p.headers != nil && len(p.headers.Tracks) > 0:
		return ErrCodec
	case p.keyless && !p.settled || p.settled && p.renditions[0].wanting && p.renditions[0].lead.kind == av.Video:
		p.warn("HLS cannot begin: the stream has no key frame; set the encoder's key-frame interval to 2 seconds (OBS: Keyframe Interval; ffmpeg: -g)")
		return ErrNoKeyFrames
	}
	return ErrNothing
}
