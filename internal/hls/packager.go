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
	"weir/internal/accessunit"
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
	id       string
	path     string
	settings Settings
	opt      Options

	disk       *disk       // nil keeps segments in memory
	dirty      atomic.Bool // something changed that nobody has been told of
	renderings atomic.Int64

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
	warnings   []string      // to be told by Wake
	shown      bool          // a viewer was given a playlist
	shut       bool          // nobody may wait any longer
	ready      chan struct{} // closed once the main playlist has a segment
	keyless    bool          // frames came, and none with which a segment may begin
	events     events
	texts      []text // that wait for their part

	// The date of one moment, from which the dates of all times are told.
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
		id: newID(), path: path, settings: o.Settings, opt: o,
		warned: map[string]bool{}, ready: make(chan struct{}),
		standIns: map[trackKey]*standIn{}, absent: noTrack, fits: map[trackKey]fit{},
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

// Settings returns how it packages.
func (p *Packager) Settings() Settings { return p.settings }

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
		p.warn("the publisher's time stamps stand still: HLS goes by the time of arrival")
	}
	return at
}

// early is a frame of the backlog, with what came just before it.
type early struct {
	frame
	headers       *stream.Headers
	flushed, jump bool
}

// collect keeps frames until the pace can be told from them. jump says that f is discontinuous.
func (p *Packager) collect(f frame, jump bool) {
	flushed := p.flushed
	p.flushed = false
	if flushed && jump { // another publisher: what there is would not be the time from key frame to key frame
		p.backlog = nil
	}
	lead := p.renditions[0].lead
	isLead := keyOf(&f.Frame) == lead
	starts, gop := p.starts()
	switch {
	case isLead && len(starts) == 0 && f.Kind == av.Video && !f.IsKey():
		p.keyless = true
		return
	case !isLead && len(starts) == 0: // what comes before the first picture is not shown
		p.misses(lead, &f)
		return
	case !isLead && len(p.backlog) >= maxPartFrames:
		return
	}
	p.absentFrom = 0
	p.backlog = append(p.backlog, early{f, p.headers, flushed, jump})
	if len(starts) == 0 {
		return
	}
	last := starts[len(starts)-1]
	span := f.at - starts[0]
	if !isLead {
		if f.at-last > silentTime && f.Arrived-p.arrivedOf(lead) > silentTime { // the lead is silent: go on with what there is
			end := last + max(p.frameDur, time.Millisecond)
			p.begin(settle(&p.settings, starts, end, p.settings.Segment))
		}
		return
	}
	p.frameDur = span / time.Duration(len(starts))
	switch {
	case f.Kind == av.Audio && span >= min(p.settings.Segment, time.Second):
		p.begin(settle(&p.settings, starts, f.at, p.settings.Segment))
	case f.Kind == av.Video && f.IsKey() && p.settings.ripe(span, f.at-gop):
		p.begin(settle(&p.settings, starts, f.at, max(span, min(p.keyInterval, maxGOPs*p.settings.Segment))))
	case span >= maxGOPs*p.settings.Segment || len(p.backlog) >= 2*maxPartFrames:
		pace := settle(&p.settings, starts, f.at, 0)
		p.irregular(span)
		p.begin(pace)
	}
}

// starts lists when the lead's frames in the backlog begin, and when the newest group of
// pictures does.
func (p *Packager) starts() (starts []time.Duration, gop time.Duration) {
	for i := range p.backlog {
		if b := &p.backlog[i]; keyOf(&b.Frame) == p.renditions[0].lead {
			starts = append(starts, b.at)
			if b.IsKey() {
				gop = b.at
			}
		}
	}
	return starts, gop
}

// arrivedOf is when the newest frame of a track in the backlog arrived.
func (p *Packager) arrivedOf(k trackKey) (arrived time.Duration) {
	for i := range p.backlog {
		if b := &p.backlog[i]; keyOf(&b.Frame) == k {
			arrived = b.Arrived
		}
	}
	return arrived
}

// misses notes that f came although the lead has sent nothing so far. If it sends nothing for long,
// the others are packaged without it.
func (p *Packager) misses(lead trackKey, f *frame) {
	switch {
	case p.keyless: // it sends, but no key frames
	case p.absentFrom == 0:
		p.absentFrom = max(f.Arrived, 1)
	case f.Arrived-p.absentFrom > silentTime:
		p.absent, p.absentFrom = lead, 0
		p.retrack(p.headers)
	}
}

// begin makes segments of the backlog, at a pace that is good for all that follows.
func (p *Packager) begin(pace pace) {
	p.pace, p.settled = pace, true
	backlog := p.backlog
	p.backlog = nil
	if len(backlog) > 0 {
		agree(backlog)
		p.headers = backlog[0].headers
		p.silentFrom(backlog)
	}
	for i := range backlog {
		b := &backlog[i]
		if b.flushed && i > 0 {
			p.stop()
		}
		if b.headers != p.headers {
			p.retrack(b.headers)
		}
		if b.jump && i > 0 {
			p.renditions[0].jump = true
			clear(p.standIns)
		}
		p.push(b.frame)
	}
}

// agree gives the first frames of a backlog the headers of a later one that only tell more: the first
// segment has all tracks that came meanwhile.
func agree(backlog []early) {
	h, n := backlog[0].headers, 1
	for i := 1; i < len(backlog); i++ {
		b := &backlog[i]
		if b.flushed || b.headers != h && !extends(b.headers, h) {
			break
		}
		h, n = b.headers, i+1
	}
	for i := range backlog[:n] {
		backlog[i].headers = h
	}
}

// extends reports whether h has all tracks of old as they were.
func extends(h, old *stream.Headers) bool {
	for i := range old.Tracks {
		was := &old.Tracks[i]
		now := headerOf(h, trackKey{was.Kind, was.ID})
		if now == nil || now.Version != was.Version || now.Codec != was.Codec {
			return false
		}
	}
	return true
}

// silentFrom notes which tracks are silent in the whole of the backlog.
func (p *Packager) silentFrom(backlog []early) {
	first := &backlog[0]
	for i := range p.headers.Tracks {
		k := trackKey{p.headers.Tracks[i].Kind, p.headers.Tracks[i].ID}
		if !slices.ContainsFunc(backlog, func(b early) bool { return keyOf(&b.Frame) == k }) {
			p.standIns[k] = &standIn{active: true, end: first.at, own: first.at, arrived: first.Arrived}
		}
	}
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
	p.warn(fmt.Sprintf("no key frame for %v: HLS segments begin without one, and players start late; "+
		"set the encoder's key-frame interval to %v (OBS: Keyframe Interval; ffmpeg: -g)",
		d.Round(100*time.Millisecond), p.settings.Segment))
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
