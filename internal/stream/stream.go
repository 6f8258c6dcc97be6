package stream

import (
	"slices"
	"sync"
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

// trackKey names a track within a stream.
type trackKey struct {
	kind av.Kind
	id   uint8
}

// Stream is one path's frames. It has at most one live publisher.
type Stream struct {
	hub  *Hub
	path string
	set  Settings
	refs int // guarded by hub.mu

	mu       sync.Mutex // guards below
	live     *Publisher
	next     *Publisher // takes over at its first key frame
	ended    bool
	players  int
	grace    *time.Timer // running while the stream waits for its publisher's return
	graces   int         // how many there were
	takeover *time.Timer
	fight    fightState

	time     timeline.Timeline
	tracks   map[trackKey]*track
	headers  *Headers
	metadata []byte
	metaAt   time.Duration // when metadata last changed
	metaNext []byte        // newer metadata, held back by metadataEvery
	changed  bool          // headers must be made anew
	// retracked says that Retracked is to be told.
	retracked bool
	list      list
	muxers    []Muxer // replaced, never changed
	readers   map[*Reader]struct{}
	wake      chan struct{} // closed and replaced at each frame while readers wait
	waiting   bool
	swept     time.Duration

	begun    chan struct{} // closed at the first media frame
	settled  chan struct{} // closed when all tracks are known, as far as one can tell
	over     chan struct{} // closed when the stream has ended
	settling *time.Timer
	blind    bool // the publisher says that there is no video
	silent   bool // the publisher says that there is no audio

	synced   bool          // an audio-only stream has a sync mark
	syncedAt time.Duration // its DTS
	keyed    bool          // the publisher has sent a key frame
	keyAt    time.Duration // the DTS of the newest
	broken   bool          // the next media frame is a discontinuity
	hold     time.Duration // arrival until which video waits for a key frame; 0: it does not
	stats    Stats
	meter    meter
}

// Stats is what a stream did so far.
type Stats struct {
	Started    time.Time // of the first media frame; zero before
	Publishers int       // live ones so far
	Players    int       // now
	Live       bool
	Duration   time.Duration // of the timeline
	Bytes      int64         // of payload received
	Frames     [3]int64      // received, by av.Kind
	Dropped    int64         // frames of too many tracks, or video before a new publisher's key frame
	Clamped    int64         // times that went back a little
	Jumps      int64         // clock jumps
	Shifted    int64         // tracks that began far from the others
	Mislabeled int64         // frames whose key flag the bitstream contradicts
	Bitrate    int64         // bits per second over the last two seconds or so
	// KeyInterval is the longest time between two key frames of the present publisher's main
	// video so far; 0 before its second one.
	KeyInterval time.Duration
}

// add adds the counters of other.
func (st *Stats) add(other *Stats) {
	st.Publishers += other.Publishers
	st.Bytes += other.Bytes
	for k := range st.Frames {
		st.Frames[k] += other.Frames[k]
	}
	st.Dropped += other.Dropped
	st.Clamped += other.Clamped
	st.Jumps += other.Jumps
	st.Shifted += other.Shifted
	st.Mislabeled += other.Mislabeled
}

// meter measures a bitrate.
type meter struct {
	since time.Duration
	bytes int64 // at since
}

const meterWindow = 2 * time.Second

// update takes the bytes so far, and reports the rate when a window is over.
func (m *meter) update(now time.Duration, bytes int64) (bitrate int64, ok bool) {
	d := now - m.since
	if d < meterWindow {
		return 0, false
	}
	bitrate = (bytes - m.bytes) * 8 * int64(time.Second) / int64(d)
	m.since, m.bytes = now, bytes
	return bitrate, true
}

func newStream(h *Hub, path string, set Settings) *Stream {
	return &Stream{
		hub: h, path: path, set: set,
		tracks:  map[trackKey]*track{},
		headers: &Headers{},
		list:    list{bounds: set.Cache},
		readers: map[*Reader]struct{}{},
		wake:    make(chan struct{}),
		begun:   make(chan struct{}),
		settled: make(chan struct{}),
		over:    make(chan struct{}),
	}
}

// Path returns the stream's path.
func (s *Stream) Path() string { return s.path }

// Settings returns the stream's settings.
func (s *Stream) Settings() Settings { return s.set }

// Begun is closed once the stream has had a media frame.
func (s *Stream) Begun() <-chan struct{} { return s.begun }

// Settled is closed once the stream has begun and has all the tracks it is expected
// to have: video and audio, or those its metadata tells of, or a second has gone by.
func (s *Stream) Settled() <-chan struct{} { return s.settled }

// Over is closed when the stream has ended.
func (s *Stream) Over() <-chan struct{} { return s.over }

// Headers returns the headers in force.
func (s *Stream) Headers() *Headers {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh(s.hub.Now())
	return s.headers
}

// Stats returns the stream's figures.
func (s *Stream) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Players, st.Live, st.Duration = s.players, s.live != nil, s.time.Head()
	return st
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
	if s.ended {
		return false
	}
	p, _, _ := s.list.oldest()
	for e := p.entry(); e != nil; e = p.entry() {
		m.Append(e)
		p.i++
	}
	s.muxers = append(slices.Clip(s.muxers), m)
	return true
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
	if s.waiting {
		s.waiting = false
		close(s.wake)
		s.wake = make(chan struct{})
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

// end ends the stream and whoever feeds it, with cause.
func (s *Stream) end(cause error) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended = true
	feeding := []*Publisher{s.live, s.next}
	s.live, s.next = nil, nil
	waited := s.grace != nil
	stopTimers(s.grace, s.takeover, s.settling)
	s.grace = nil
	muxers := s.muxers
	for _, m := range muxers {
		m.End()
	}
	close(s.over)
	if s.waiting {
		s.waiting = false
		close(s.wake)
	}
	s.mu.Unlock()

	s.hub.forget(s)
	for _, m := range muxers {
		m.Wake()
	}
	for _, p := range feeding {
		if p != nil {
			p.finish(cause)
			s.hub.release(s)
		}
	}
	if waited {
		s.hub.release(s) // the reference that the last publisher left behind
	}
	s.hub.notify(s, Ended)
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
	if s.stats.Publishers > 0 && (s.silent || h.Has(av.Audio)) && (s.blind || h.Has(av.Video)) {
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
