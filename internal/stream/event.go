package stream

// Event is something that happened to a stream, for logs and hooks.
type Event struct {
	Path string
	Kind EventKind
	// Session is the id of the publisher's session, if Kind is Started or Resumed.
	Session string
	// Repair says what was repaired, if Kind is Repaired.
	Repair Repair
	// Unpublished says, if Kind is Waiting, that the publisher announced that it was stopping.
	Unpublished bool
	// Track is the track's header, if Kind is Unusable.
	Track TrackHeader
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
	// Ended: a stream that had started has ended: no publisher returned in time, or it was kicked.
	Ended
	// NoKeyFrames: the cache's bounds were passed without a key frame.
	NoKeyFrames
	// Fighting: publishers keep taking over the stream from each other; the current one keeps it for a while.
	Fighting
	// Retracked: a track came or went, or has another codec, since Started.
	Retracked
	// Stalled: the publisher is connected and has sent nothing for 5 seconds.
	Stalled
	// Unstalled: it sends again.
	Unstalled
	// Repaired: a frame had to be repaired for the first time since the publisher came; Stats
	// counts them all.
	Repaired
	// Unusable: a track has carried media for a second and its configuration has not come or cannot
	// be used, so that most formats leave the track out. It is told once for each publisher.
	Unusable
)

// Repair names what a stream does about faulty frames.
type Repair uint8

// The repairs.
const (
	// Clamped: a time went back a little, and the time before is used.
	Clamped Repair = iota
	// Jump: the clock jumped, and the timeline goes on.
	Jump
	// Shifted: a track began far from the others, and was moved to them.
	Shifted
	// Mislabeled: the bitstream contradicts the key flag, which is corrected.
	Mislabeled
	// Dropped: a frame was left out: too many tracks, metadata that is too long, or video
	// before a new publisher's first key frame.
	Dropped
)

// String returns the word for metrics and the API.
func (r Repair) String() string {
	return [...]string{"clamped", "jump", "shifted", "mislabeled", "dropped"}[r]
}

// repairs is a set of Repairs.
type repairs uint8

// repair counts a repair, and notes the first of its kind of the present publisher. mu is held.
func (s *Stream) repair(r Repair) {
	switch r {
	case Clamped:
		s.stats.Clamped++
	case Jump:
		s.stats.Jumps++
	case Shifted:
		s.stats.Shifted++
	case Mislabeled:
		s.stats.Mislabeled++
	case Dropped:
		s.stats.Dropped++
	}
	if bit := repairs(1) << r; s.repaired&bit == 0 {
		s.repaired |= bit
		s.note(Event{Kind: Repaired, Repair: r})
	}
}

// note queues an event for tell. mu is held.
func (s *Stream) note(e Event) {
	if s.hub.opt.Notify != nil {
		e.Path = s.path
		s.events = append(s.events, e)
	}
}

// tell passes on the queued events, in order. If another goroutine is doing so, that one passes on
// ours too. mu is not held.
func (s *Stream) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.telling {
		return
	}
	s.telling = true
	for len(s.events) > 0 {
		events := s.events
		s.events = nil
		s.mu.Unlock()
		for _, e := range events {
			s.hub.opt.Notify(e)
		}
		s.mu.Lock()
	}
	s.telling = false
}
