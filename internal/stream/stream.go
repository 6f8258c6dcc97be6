package stream

import (
	"cmp"
	ordered "container/list"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"weir/av"
	"weir/internal/timeline"
)

// Muxer turns a stream's frames into bytes. All its methods but Wake are called under
// the stream's lock, do memory work only and keep no pointer to the entry, only to
// what it points to.
type Muxer interface {
	// Append hands over the next frame.
	Append(e *Entry)
	// Flush says that players must not start at what was appended so far.
	Flush()
	// End says that the stream has ended; nothing follows.
	End()
	// Wake is called after the lock was released: what was appended may be sent.
	Wake()
}

// Idler is a Muxer that wants to know when the stream has lost its publisher and waits for its
// return. Players that join then must not be shown the last pictures as if they were live.
type Idler interface {
	// Idle is called under the stream's lock, like Flush.
	Idle()
}

// trackKey names a track within a stream.
type trackKey struct {
	kind av.Kind
	id   uint8
}

// Stream is one path's frames. It has at most one live publisher.
type Stream struct {
	hub  *Hub
	path string

	// Guarded by hub.mu.
	refs  refs
	class class
	queue *ordered.Element // its place among those of its class

	settings atomic.Pointer[Settings] // replaced, never changed
	ended    atomic.Bool              // set under mu
	list     list                     // appended to under mu
	bell     bell

	mu       sync.Mutex // guards below
	live     *Publisher
	next     *Publisher // takes over at its first key frame
	players  int
	grace    *time.Timer   // running while the stream waits for its publisher's return
	graces   int           // how many there were
	stopped  bool          // the publisher announced that it was stopping: GraceAfterStop holds
	left     time.Duration // when the publisher left
	takeover *time.Timer
	fight    fightState
	events   []Event // to be told, in order
	telling  bool    // a goroutine is telling them

	time     timeline.Timeline
	tracks   map[trackKey]*track
	headers  *Headers
	metadata []byte
	metaAt   time.Duration // when metadata last changed
	metaNext []byte        // newer metadata, held back by metadataEvery
	changed  bool          // headers must be made anew
	// retracked says that Retracked is to be told.
	retracked bool
	muxers    []Muxer // replaced, never changed

	begun    chan struct{} // closed at the first media frame
	settled  chan struct{} // closed when all tracks are known, as far as one can tell
	over     chan struct{} // closed when the stream has ended
	cause    error         // of its end; set before ended
	settling *time.Timer
	noVideo  bool // the present publisher says that there is none; likewise audio
	noAudio  bool

	synced   bool          // an audio-only stream has a sync point
	syncedAt time.Duration // its DTS
	keyed    bool          // the publisher has sent a key frame
	keyAt    time.Duration // the DTS of the newest
	broken   bool          // the next media frame is a discontinuity
	hold     time.Duration // arrival until which video waits for a key frame; 0: it does not
	lull     lull
	heard    time.Duration // when the live publisher last sent anything
	stall    *time.Timer   // looks whether it is silent
	stalled  bool          // that was told
	repaired repairs       // what was told of the present publisher
	stats    Stats
	meter    meter
}

func newStream(h *Hub, path string, set Settings) *Stream {
	s := &Stream{
		hub: h, path: path,
		tracks:  map[trackKey]*track{},
		headers: &Headers{},
		begun:   make(chan struct{}),
		settled: make(chan struct{}),
		over:    make(chan struct{}),
	}
	s.settings.Store(&set)
	s.list.init(set.Cache, set.MaxLag)
	s.bell.init()
	return s
}

// Path returns the stream's path.
func (s *Stream) Path() string { return s.path }

// SetSettings changes the stream's settings. They hold at once: for what is kept, for followers,
// and for a grace that runs. Players and publishers that there are stay.
func (s *Stream) SetSettings(set Settings) {
	now := s.hub.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings.Store(&set)
	s.list.setBounds(set.Cache, set.MaxLag, now)
	if s.grace != nil {
		s.grace.Reset(max(s.left+s.graceTime()-now, 0))
	}
}

// graceTime is how long the stream waits for the publisher that left. mu is held.
func (s *Stream) graceTime() time.Duration {
	if s.stopped {
		return s.settings.Load().GraceAfterStop
	}
	return s.settings.Load().Grace
}

// Settings returns the stream's settings, which may change.
func (s *Stream) Settings() Settings { return *s.settings.Load() }

// Begun is closed once the stream has had a media frame.
func (s *Stream) Begun() <-chan struct{} { return s.begun }

// Settled is closed once the stream has begun and has all the tracks it is expected
// to have: video and audio, or those its metadata tells of, or a second has gone by.
func (s *Stream) Settled() <-chan struct{} { return s.settled }

// Over is closed when the stream has ended.
func (s *Stream) Over() <-chan struct{} { return s.over }

// errNeverBegun ends a stream without a cause.
var errNeverBegun = errors.New("the stream has never begun")

// Unbegun returns why the stream has ended if it never had a media frame; nil if it had one, or goes on. Muxers may ask when they are ended.
func (s *Stream) Unbegun() error {
	if !s.ended.Load() {
		return nil
	}
	select {
	case <-s.begun:
		return nil
	default:
		return cmp.Or(s.cause, errNeverBegun)
	}
}

// Headers returns the headers in force.
func (s *Stream) Headers() *Headers {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh(s.hub.Now())
	return s.headers
}

// Publisher returns the information of the live publisher.
func (s *Stream) Publisher() (Info, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == nil {
		return Info{}, false
	}
	return s.live.info, true
}

// Attach hands m the frames from the oldest start on, then each new one as it comes. It
// reports false, and hands over nothing, if the stream has ended.
func (s *Stream) Attach(m Muxer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended.Load() {
		return false
	}
	for n, _ := s.list.oldest(); n < s.list.next.Load(); n = s.list.following(n) {
		m.Append(s.list.entry(n))
	}
	s.muxers = append(slices.Clip(s.muxers), m)
	return true
}

// Recent returns copies of the frames from the newest start on, and calls at while no other can
// come. It returns none, and does not call at, if there is no start, no publisher, or more frames
// or bytes of payload since than wanted.
func (s *Stream) Recent(frames int, bytes int64, at func()) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.list
	if len(l.starts) == 0 || s.live == nil || s.ended.Load() {
		return nil
	}
	st, next := l.starts[len(l.starts)-1], l.next.Load()
	if next-st.frame > int64(frames) || l.bytes-st.bytes > bytes {
		return nil
	}
	entries := make([]Entry, 0, next-st.frame)
	for n := st.frame; n < next; n = l.following(n) {
		entries = append(entries, *l.entry(n))
	}
	at()
	return entries
}

// Detach ends Attach.
func (s *Stream) Detach(m Muxer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muxers = slices.DeleteFunc(slices.Clone(s.muxers), func(o Muxer) bool { return o == m })
}

// emit appends e to the list and hands it to the muxers. mu is held.
func (s *Stream) emit(e *Entry) (starved bool) {
	e.Headers = s.headers
	stored, starved := s.list.append(e)
	for _, m := range s.muxers {
		m.Append(stored)
	}
	return starved
}

// flush makes players start at the next key frame. mu is held.
func (s *Stream) flush() {
	s.list.flush()
	for _, m := range s.muxers {
		m.Flush()
	}
}

// idle makes players wait for the publisher's return: what it sent is not live any more. mu is held.
func (s *Stream) idle() {
	s.list.flush()
	for _, m := range s.muxers {
		if i, ok := m.(Idler); ok {
			i.Idle()
		}
	}
}

// end ends the stream and its publishers, with cause.
func (s *Stream) end(cause error) { s.endIf(cause, func() bool { return true }) }

// endIf is end if the stream is to be ended, which is asked under mu. It reports whether it ended it.
func (s *Stream) endIf(cause error, wanted func() bool) bool {
	s.mu.Lock()
	if s.ended.Load() || !wanted() {
		s.mu.Unlock()
		return false
	}
	s.cause = cause
	s.ended.Store(true)
	feeding := []*Publisher{s.live, s.next}
	s.live, s.next = nil, nil
	waited := s.grace != nil
	stopTimers(s.grace, s.takeover, s.settling, s.stall)
	s.grace = nil
	muxers := s.muxers
	for _, m := range muxers {
		m.End()
	}
	close(s.over)
	if s.stats.Publishers > 0 {
		s.note(Event{Kind: Ended})
	}
	s.mu.Unlock()

	s.bell.silence()
	s.hub.forget(s)
	for _, m := range muxers {
		m.Wake()
	}
	for _, p := range feeding {
		if p != nil {
			p.finish(cause)
			s.hub.release(s, feeds)
		}
	}
	if waited {
		s.hub.release(s, kept) // the reference kept for the last publisher
	}
	s.tell()
	return true
}

func stopTimers(ts ...*time.Timer) {
	for _, t := range ts {
		if t != nil {
			t.Stop()
		}
	}
}

// refresh makes the headers anew if they changed, and lets held-back metadata through. mu is held.
func (s *Stream) refresh(now time.Duration) {
	if s.metaNext != nil && now-s.metaAt >= metadataEvery {
		s.metadata, s.metaNext, s.metaAt = s.metaNext, nil, now
		s.changed = true
	}
	if !s.changed {
		return
	}
	s.changed = false
	h := &Headers{Version: s.headers.Version + 1, Metadata: s.metadata}
	for _, t := range s.tracks {
		if t.present {
			h.Tracks = append(h.Tracks, t.header)
		}
	}
	slices.SortFunc(h.Tracks, func(a, b TrackHeader) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return int(a.ID) - int(b.ID)
	})
	s.retracked = s.retracked || !slices.EqualFunc(s.headers.Tracks, h.Tracks, func(a, b TrackHeader) bool {
		return a.Kind == b.Kind && a.ID == b.ID && a.Codec == b.Codec
	})
	s.headers = h
	if s.stats.Publishers > 0 && (s.noAudio || h.Has(av.Audio)) && (s.noVideo || h.Has(av.Video)) {
		s.settle()
	}
}

func (s *Stream) settle() {
	select {
	case <-s.settled:
	default:
		close(s.settled)
	}
}
