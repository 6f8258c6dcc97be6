package stream

import (
	"time"

	"weir/av"
)

// Stats is what a stream has done so far.
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
	Bitrate    int64         // bits per second over the last two seconds; 0 while no publisher sends
	// Age is how long ago the newest frame came, of whichever publisher; 0 before the first one.
	Age time.Duration
	// Silent is for how long the live publisher has sent nothing; 0 without one.
	Silent time.Duration
	// Stalled says that Silent is longer than encoders pause.
	Stalled bool
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

// Stats returns the stream's figures.
func (s *Stream) Stats() Stats {
	now := s.hub.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.statsAt(now)
}

// statsAt is Stats at a moment. mu is held.
func (s *Stream) statsAt(now time.Duration) Stats {
	st := s.stats
	st.Players, st.Live, st.Duration = s.players, s.live != nil, s.time.Head()
	if s.heard > 0 {
		st.Age = max(now-s.heard, 0)
	}
	if st.Live {
		st.Silent = max(now-s.heardOf(), 0)
		if st.Stalled = st.Silent >= stallTime; !st.Stalled {
			st.Bitrate = s.meter.rate(now)
		}
	}
	return st
}

// IsSilent reports whether the live publisher has a track and has sent no media of it for longer than
// encoders pause, while it sent media of others.
func (s *Stream) IsSilent(kind av.Kind, id uint8) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tracks[trackKey{kind, id}]
	if s.live == nil || t == nil || !t.present {
		return false
	}
	for k, other := range s.tracks {
		if k.kind != av.Data && other.present && other.heard-t.heard >= stallTime {
			return true
		}
	}
	return false
}

// heardOf returns when the live publisher last sent anything, or when it came. mu is held.
func (s *Stream) heardOf() time.Duration { return max(s.heard, s.live.since) }

// watch begins to check whether the live publisher falls silent. mu is held.
func (s *Stream) watch() {
	s.stalled = false
	if s.stall == nil {
		s.stall = time.AfterFunc(stallNotice, s.checkStall)
		return
	}
	s.stall.Reset(stallNotice)
}

// checkStall reports a publisher that has been silent for too long, and checks again later if it
// has not. Frames need no timer: the next one ends the silence.
func (s *Stream) checkStall() {
	s.mu.Lock()
	if s.live != nil && !s.stalled {
		if left := stallNotice - (s.hub.Now() - s.heardOf()); left > 0 {
			s.stall.Reset(left)
		} else {
			s.stalled = true
			s.note(Event{Kind: Stalled})
		}
	}
	s.mu.Unlock()
	s.tell()
}
