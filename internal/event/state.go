package event

import (
	"time"

	"weir/internal/session"
	"weir/internal/stream"
)

// state is what the Tracker knows of one stream. It is kept while the stream is online or a session
// that is followed has to do with it.
type state struct {
	path    string
	epoch   uint64
	name    *Stream // with epoch; made once
	since   time.Time
	used    bool // the epoch's stream came online
	online  bool
	late    int      // ends that have not come, of streams whose successor has begun
	players int      // that are followed
	current *life    // whose start was published and whose stop was not
	last    *Session // the publisher before current, until the stream is forgotten
	lost    string   // the session that was taken over from, until the start of the one that took over
	held    []step   // what waits for the stop of current, in its order
}

// step is one event of a stream that waits for its turn.
type step struct {
	kind stepKind
	life *life // of a start
}

type stepKind uint8

const (
	online stepKind = iota
	start
	offline
)

// maxHeld bounds the steps that wait for one publisher's stop: past it, its stop is published with
// its figures so far.
const maxHeld = 16

// state returns the state of a stream, new if need be. mu is held.
func (t *Tracker) state(path string) *state {
	s := t.streams[path]
	if s == nil {
		s = &state{path: path}
		t.begin(s)
		t.streams[path] = s
	}
	return s
}

// begin gives the stream a new epoch. mu is held.
func (t *Tracker) begin(s *state) {
	s.since = time.Now()
	t.epoch = max(uint64(s.since.UnixMilli()), t.epoch+1)
	s.epoch = t.epoch
	s.name = &Stream{Path: s.path, Epoch: s.epoch}
}

func (s *state) named() *Stream { return s.name }

// forget drops the state of a stream that nothing has to do with any more. mu is held.
func (t *Tracker) forget(s *state) {
	if !s.online && s.late == 0 && s.players == 0 && s.current == nil && len(s.held) == 0 {
		delete(t.streams, s.path)
	}
}

// Stream is for the events of the hub.
func (t *Tracker) Stream(e stream.Event) {
	switch e.Kind {
	case stream.Started, stream.Resumed, stream.Ended:
	default:
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.state(e.Path)
	switch e.Kind {
	case stream.Started:
		if s.online { // the end of the stream before this one has not been told yet
			s.late++
			s.held = append(s.held, step{kind: offline})
		}
		s.online = true
		s.held = append(s.held, step{kind: online})
		t.feed(s, e.Session)
	case stream.Resumed:
		t.feed(s, e.Session)
	case stream.Ended:
		switch {
		case s.late > 0:
			s.late--
		case s.online:
			s.online = false
			s.held = append(s.held, step{kind: offline})
		}
	default:
	}
	t.advance(s)
}

// feed notes that a session's media is the stream's from now on. mu is held.
func (t *Tracker) feed(s *state, id string) {
	l := t.lives[id]
	if l == nil || l.role != session.Publish || l.path != s.path || l.fed {
		return
	}
	l.fed, l.since = true, time.Now()
	s.held = append(s.held, step{start, l})
}

// advance publishes what nothing holds up. mu is held.
func (t *Tracker) advance(s *state) {
	for {
		if l := s.current; l != nil {
			if !l.ended && len(s.held) < maxHeld {
				return
			}
			if !l.ended { // its connection does not end: what is counted from now on is not told
				delete(t.lives, l.session.ID)
				l.end(session.Takeover)
				l.debt = t.oldest(l.session.ID, l.role)
			}
			if s.current = nil; l.reason == session.Takeover {
				s.lost = l.session.ID
			}
			s.last = Describe(l.session, l.role)
			t.bus.Publish(Event{Type: PublishStop, Stream: s.named(), Session: s.last, Data: l.totals(), Paired: l.paired})
			t.settle(l.debt, l.reason)
		}
		if len(s.held) == 0 {
			t.forget(s)
			return
		}
		next := s.held[0]
		s.held = s.held[1:]
		t.step(s, next)
	}
}

// step publishes one step. mu is held.
func (t *Tracker) step(s *state, next step) {
	switch next.kind {
	case online:
		if s.used {
			t.begin(s)
		}
		s.used, s.since = true, time.Now()
		t.bus.Publish(Event{Type: StreamOnline, Time: s.since, Stream: s.named()})
	case start:
		l := next.life
		who := Describe(l.session, l.role)
		if s.lost != "" {
			t.bus.Publish(Event{Type: PublishTakeover, Stream: s.named(), Session: who, Data: map[string]any{"previous": s.lost}})
			s.lost = ""
		}
		t.bus.Publish(Event{Type: PublishStart, Stream: s.named(), Session: who, Paired: l.paired})
		s.current = l
	case offline:
		s.lost = ""
		t.bus.Publish(Event{Type: StreamOffline, Stream: s.named(), Data: map[string]any{
			"duration": time.Since(s.since).Round(time.Millisecond).Seconds(),
		}})
	}
}
