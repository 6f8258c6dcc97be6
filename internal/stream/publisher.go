package stream

import (
	"context"
	"errors"
	"sync"
	"time"

	"weir/av"
	"weir/codec"
)

// Info describes a publisher.
type Info struct {
	Session  string // its session's id
	Protocol string
	Remote   string
	// Query is what followed the stream's name, as sent. It may hold keys: it is not for logs.
	Query string
	// Hops are the servers that the stream came through; see package hops.
	Hops []string
	// End, if not nil, is called once with the cause when the hub ends the publisher:
	// it was taken over, or its stream was ended. It must not block.
	End context.CancelCauseFunc
	// MaxPlayers bounds the players of the stream while this publisher is live; 0 leaves it to the settings.
	MaxPlayers int
}

// Publisher feeds one stream. Its methods are called by one goroutine, but for Close.
type Publisher struct {
	s    *Stream
	info Info
	once sync.Once

	// Guarded by s.mu.
	cause error
	began bool // the stream's present media comes from it
	// What it announced before it became live, for tracks below maxTracks.
	configs  map[trackKey]*av.Frame
	metas    map[trackKey]*av.Frame
	metadata []byte
	since    time.Duration // when it was admitted
	video    bool          // it announced or sent video
	// What Expect said. The stream goes by it once its media comes from this publisher.
	noVideo, noAudio bool
}

// fightState remembers recent takeovers.
type fightState struct {
	at     []time.Duration
	locked time.Duration // until when the publisher stays
}

// Publish makes the caller a publisher of path. If the stream has one already, the
// settings decide: either ErrBusy, or the new one takes over at its first key frame, two
// seconds later at the latest, and the old one ends with ErrTakenOver. ErrFighting is
// returned after three takeovers in 30 s while the present publisher is not silent.
func (h *Hub) Publish(path string, info Info) (*Publisher, error) {
	for {
		s, err := h.acquire(path, feeds)
		if err != nil {
			return nil, err
		}
		p, err := s.publish(info)
		if err == nil {
			return p, nil
		}
		h.release(s, feeds)
		if !errors.Is(err, errEnded) {
			return nil, err
		}
	}
}

// errEnded says that the stream ended during its lookup.
var errEnded = errors.New("stream: ended")

func (s *Stream) publish(info Info) (*Publisher, error) {
	now := s.hub.Now()
	p := &Publisher{s: s, info: info, since: now, configs: map[trackKey]*av.Frame{}, metas: map[trackKey]*av.Frame{}}
	s.mu.Lock()
	if s.ended.Load() {
		s.mu.Unlock()
		return nil, errEnded
	}
	if s.live == nil {
		back := s.grace != nil
		stopTimers(s.grace)
		s.grace = nil
		s.live = p
		s.watch()
		s.mu.Unlock()
		if back {
			s.hub.release(s, kept) // the reference kept for the last publisher
		}
		return p, nil
	}
	if s.settings.Load().Reject {
		s.mu.Unlock()
		return nil, ErrBusy
	}
	silent := now-max(s.time.Arrived(), s.live.since) >= silentTime
	if allowed, first := s.fight.allow(now, silent); !allowed {
		if first {
			s.note(Event{Kind: Fighting})
		}
		s.mu.Unlock()
		s.tell()
		return nil, ErrFighting
	}
	replaced := s.next
	s.next = p
	stopTimers(s.takeover)
	s.takeover = time.AfterFunc(handover, func() { s.takeOver(p) })
	s.mu.Unlock()
	if replaced != nil {
		replaced.finish(ErrTakenOver)
		s.hub.release(s, feeds)
	}
	return p, nil
}

// allow counts a takeover at now; first is true for the one that brings the lock.
func (f *fightState) allow(now time.Duration, silent bool) (ok, first bool) {
	if silent {
		f.locked = 0
		return true, false
	}
	if now < f.locked {
		return false, false
	}
	keep := f.at[:0]
	for _, at := range f.at {
		if now-at < fightTime {
			keep = append(keep, at)
		}
	}
	f.at = keep
	if len(f.at) >= fights {
		f.locked, f.at = now+fightTime, f.at[:0]
		return false, true
	}
	f.at = append(f.at, now)
	return true, false
}

// takeOver makes p live if it still waits.
func (s *Stream) takeOver(p *Publisher) {
	s.mu.Lock()
	old := s.switchTo(p)
	s.mu.Unlock()
	s.dismiss(old)
}

// switchTo makes p, which waits, live; it returns the publisher to dismiss. mu is held.
func (s *Stream) switchTo(p *Publisher) *Publisher {
	if s.next != p || s.ended.Load() {
		return nil
	}
	stopTimers(s.takeover)
	old := s.live
	s.live, s.next = p, nil
	s.watch()
	return old
}

// dismiss ends a publisher that was taken over.
func (s *Stream) dismiss(p *Publisher) {
	if p != nil {
		p.finish(ErrTakenOver)
		s.hub.release(s, feeds)
	}
}

// finish tells the publisher's owner the cause, once.
func (p *Publisher) finish(cause error) {
	p.s.mu.Lock()
	if p.cause == nil {
		p.cause = cause
	}
	p.s.mu.Unlock()
	p.once.Do(func() {
		if p.info.End != nil {
			p.info.End(cause)
		}
	})
}

// Stream returns the stream that p feeds.
func (p *Publisher) Stream() *Stream { return p.s }

// Close ends the publisher. With cause nil, which says that its connection broke, the stream waits
// for its return for the Grace of its settings; with ErrUnpublished, which says that it stopped, for
// their GraceAfterStop. With any other cause the stream ends at once. Closing again does nothing.
func (p *Publisher) Close(cause error) {
	s := p.s
	now := s.hub.Now()
	s.mu.Lock()
	if p.cause == nil {
		p.cause = ErrClosed
	}
	if s.next == p {
		s.next = nil
		stopTimers(s.takeover)
		s.mu.Unlock()
		s.hub.release(s, feeds)
		return
	}
	if s.live != p {
		s.mu.Unlock()
		return
	}
	if s.next != nil { // its successor need not wait for a key frame of its own
		next := s.next
		old := s.switchTo(next)
		s.mu.Unlock()
		s.dismiss(old)
		return
	}
	begun := s.stats.Publishers > 0
	s.stopped = errors.Is(cause, ErrUnpublished)
	grace := s.graceTime()
	if cause != nil && !s.stopped || grace <= 0 || !begun && s.players == 0 {
		s.mu.Unlock()
		p.once.Do(func() {}) // its owner already knows
		if !s.endIf(cause, func() bool { return s.live == p && s.next == nil }) {
			p.Close(cause) // a successor came meanwhile: it goes on
		}
		return
	}
	s.live = nil
	stopTimers(s.stall)
	s.idle()
	s.graces++
	round := s.graces
	s.left = now
	s.grace = time.AfterFunc(grace, func() { s.expire(round) })
	if begun {
		s.note(Event{Kind: Waiting, Unpublished: s.stopped})
	}
	s.mu.Unlock()
	s.hub.keep(s)
	s.tell()
}

// Expect says which tracks the publisher's metadata announces, so that players need not wait for others.
func (p *Publisher) Expect(video, audio bool) {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	p.noVideo, p.noAudio = !video, !audio
	if s.live == p && p.began {
		s.noVideo, s.noAudio = p.noVideo, p.noAudio
	}
}

// expire ends the stream when its publisher did not return.
func (s *Stream) expire(round int) {
	s.endIf(nil, func() bool { return s.grace != nil && s.graces == round })
}

// Write gives the stream its next frame, with times on the publisher's own clock. It
// copies f but keeps f.Payload, which must not change any more. It returns the cause
// once the publisher has been ended: ErrTakenOver or what its stream was ended with.
func (p *Publisher) Write(f *av.Frame) error {
	s := p.s
	s.mu.Lock()
	if p.cause != nil {
		cause := p.cause
		s.mu.Unlock()
		return cause
	}
	e := Entry{Frame: *f}
	if e.Arrived == 0 {
		e.Arrived = s.hub.Now()
	}
	old, err := s.take(p, &e)
	muxers, events := s.muxers, len(s.events) > 0
	s.mu.Unlock()
	s.bell.strike()
	for _, m := range muxers {
		m.Wake()
	}
	s.dismiss(old)
	if events {
		s.tell()
	}
	return err
}

// take handles one frame of a publisher. It returns the publisher from which this one takes over
// with the frame, if any. mu is held.
func (s *Stream) take(p *Publisher, e *Entry) (old *Publisher, err error) {
	if !p.began && e.Kind != av.Data && e.Track >= maxTracks {
		s.repair(Dropped) // the stream ignores it
		return nil, nil
	}
	if s.live != p {
		if !p.takesOverWith(e) {
			return nil, nil
		}
		if old = s.switchTo(p); old == nil {
			return nil, ErrTakenOver
		}
	}
	s.write(p, e)
	return old, nil
}

// takesOverWith notes what a waiting publisher announces, and reports whether e is the
// frame with which it takes over: a key frame, or audio if it has no video. mu is held.
func (p *Publisher) takesOverWith(e *Entry) bool {
	if p.announce(e) {
		return false
	}
	if e.Type != av.Media {
		return false
	}
	if e.Kind == av.Video {
		p.video = true
		if k := (trackKey{av.Video, e.Track}); p.configs[k] != nil {
			p.s.checkKey(e, codec.NALLengthSize(e.Codec, p.configs[k].Payload))
		}
		return e.IsKey()
	}
	return !p.video
}

// announce notes a frame that says what is to come, before the first media. mu is held.
func (p *Publisher) announce(e *Entry) bool {
	k := trackKey{e.Kind, e.Track}
	switch {
	case isMetadata(&e.Frame) && len(e.Payload) > maxMetadata:
		p.s.repair(Dropped)
	case isMetadata(&e.Frame):
		p.metadata = e.Payload
	case e.Kind == av.Data:
		return false
	case e.Type == av.Config:
		f := e.Frame
		p.configs[k] = &f
		p.video = p.video || e.Kind == av.Video
	case e.Type == av.Meta:
		f := e.Frame
		p.metas[k] = &f
	default:
		return false
	}
	return true
}

func isMetadata(f *av.Frame) bool { return f.Kind == av.Data && f.Type == av.Meta }
