package stream

import (
	"slices"
	"time"

	"weir/av"
	"weir/codec"
	"weir/internal/timeline"
)

// write is one frame of the live publisher. mu is held.
func (s *Stream) write(p *Publisher, e *Entry) {
	s.heard = e.Arrived
	if s.stalled {
		s.watch()
		s.note(Event{Kind: Unstalled})
	}
	began := false
	if !p.began {
		if e.Type != av.Media {
			if p.announce(e) {
				return
			}
			if s.stats.Publishers == 0 {
				return // no media has come, and so there is no time for it
			}
		} else {
			began = s.stats.Publishers == 0
			s.begin(p, e)
		}
	}
	s.stats.Frames[e.Kind]++
	s.stats.Bytes += int64(len(e.Payload))
	s.meter.add(e.Arrived, int64(len(e.Payload)))
	starved := false
	switch {
	case isMetadata(&e.Frame):
		s.setMetadata(e)
	case e.Kind == av.Data:
		starved = s.pass(e, s.track(trackKey{av.Data, 0}))
	default:
		t := s.track(trackKey{e.Kind, e.Track})
		if t != nil && (e.Type == av.Media || t.heard == 0) {
			t.heard = e.Arrived
		}
		switch {
		case t == nil:
			s.repair(Dropped)
		case e.Type == av.Config:
			starved = s.config(e, t)
		case e.Type == av.Media:
			starved = s.media(e, t)
		default:
			starved = s.other(e, t)
		}
	}
	if starved {
		s.note(Event{Kind: NoKeyFrames})
	}
	if s.retracked && s.stats.Publishers > 0 {
		s.retracked = false
		if !began {
			s.note(Event{Kind: Retracked})
		}
	}
}

// begin is called for a publisher's first media frame: the stream becomes its own. mu is held.
func (s *Stream) begin(p *Publisher, e *Entry) {
	p.began = true
	s.noVideo, s.noAudio = p.noVideo, p.noAudio
	if s.stats.Publishers == 0 {
		s.note(Event{Kind: Started, Session: p.info.Session})
		s.stats.Started = time.Now()
		close(s.begun)
		s.settling = time.AfterFunc(settleTime, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.settle()
		})
	} else {
		s.note(Event{Kind: Resumed, Session: p.info.Session})
		s.hold = e.Arrived + keyWait
		s.broken = true
	}
	s.stats.Publishers++
	for _, t := range s.tracks {
		t.present, t.ended, t.header.Media = false, false, false
		t.heard = e.Arrived
		t.clock.Restart()
		t.unusable, t.told = 0, false
		t.figures = figures{}
	}
	s.synced, s.keyed, s.stats.KeyInterval = false, false, 0
	s.repaired = 0
	s.lull.begin()
	s.meter.begin(e.Arrived)
	s.flush()
	s.time.NewSource()

	// The time of the first frame is the time of the headers before it.
	at := s.track(trackKey{e.Kind, e.Track})
	if at == nil {
		return
	}
	s.metadata, s.metaNext, s.metaAt = p.metadata, nil, e.Arrived
	s.changed = true
	configs := s.announceConfigs(p, e)
	at.describe(&e.Frame)
	s.refresh(e.Arrived)
	start := s.time.Peek(&at.clock, e.DTS, e.PTS-e.DTS, e.Arrived)
	for _, f := range configs {
		c := Entry{Frame: *f}
		c.DTS, c.PTS, c.Arrived = start, start, e.Arrived
		s.emit(&c)
	}
	p.configs, p.metas, p.metadata = nil, nil, nil
}

// announceConfigs gives the tracks what p announced of them before its first media frame, e. It returns the
// configurations to pass on, in the order of tracks. mu is held.
func (s *Stream) announceConfigs(p *Publisher, e *Entry) []*av.Frame {
	configs := make([]*av.Frame, 0, len(p.configs))
	for k, f := range p.configs {
		t := s.track(k)
		t.heard = e.Arrived
		if pass, _ := t.setConfig(f); pass {
			configs = append(configs, f)
		}
		if m := p.metas[k]; m != nil {
			t.header.Meta = m
		}
	}
	slices.SortFunc(configs, func(a, b *av.Frame) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return int(a.Track) - int(b.Track)
	})
	return configs
}

// track returns the state of a track, nil if there are too many. mu is held.
func (s *Stream) track(k trackKey) *track {
	t := s.tracks[k]
	if t == nil && k.id < maxTracks {
		t = &track{}
		t.header.Kind, t.header.ID = k.kind, k.id
		s.tracks[k] = t
	}
	return t
}

// setMetadata takes the publisher's metadata. mu is held.
func (s *Stream) setMetadata(e *Entry) {
	if len(e.Payload) > maxMetadata {
		s.repair(Dropped)
		return
	}
	s.metaNext = e.Payload
	if len(e.Payload) == 0 {
		s.metadata, s.metaNext, s.changed = nil, nil, true
	}
	s.refresh(e.Arrived)
}

// config takes a codec configuration that comes after the first media. mu is held.
func (s *Stream) config(e *Entry, t *track) bool {
	isNew := !t.present
	pass, differs := t.setConfig(&e.Frame)
	if !pass {
		return false
	}
	s.changed = true
	s.refresh(e.Arrived)
	if differs && e.Kind == av.Video && !isNew && e.Track == s.mainVideo() {
		s.flush()
	}
	return s.pass(e, t)
}

// other takes a frame that is neither media nor configuration. mu is held.
func (s *Stream) other(e *Entry, t *track) bool {
	switch e.Type {
	case av.Meta:
		f := e.Frame
		t.header.Meta = &f
		s.changed = true
		s.refresh(e.Arrived)
	case av.End:
		t.ended = true // players may still start before it: the pictures go on, or another configuration follows
	}
	return s.pass(e, t)
}

// pass emits a frame without media at about the present time. mu is held.
func (s *Stream) pass(e *Entry, t *track) bool {
	cts := e.PTS - e.DTS
	e.DTS = s.time.Near(&t.clock, e.DTS)
	e.PTS = e.DTS + cts
	return s.emit(e)
}

// media takes a media frame. mu is held.
func (s *Stream) media(e *Entry, t *track) bool {
	if t.describe(&e.Frame) {
		s.changed = true
	}
	s.refresh(e.Arrived)
	if t.complains(e.Arrived) {
		s.note(Event{Kind: Unusable, Track: t.header})
	}
	picture := true
	if e.Kind == av.Video {
		marked := e.IsKey()
		picture = s.checkKey(e, t.nalSize)
		if e.IsKey() != marked {
			t.figures.Mislabeled++
		}
		if s.hold != 0 && e.Track == s.mainVideo() {
			if !e.IsKey() && e.Arrived < s.hold {
				s.repair(Dropped)
				return false
			}
			s.hold = 0
		}
	}
	cts := e.PTS - e.DTS
	var what timeline.Repair
	e.DTS, what = s.time.Put(&t.clock, e.DTS, cts, e.Arrived)
	e.PTS = e.DTS + cts
	if s.broken {
		s.broken = false
		e.Flags |= av.Discontinuity
	}
	switch what {
	case timeline.Clamped:
		s.repair(Clamped)
		t.figures.Clamped++
	case timeline.Rebased:
		s.repair(Jump)
		e.Flags |= av.Discontinuity
	case timeline.Shifted:
		s.repair(Shifted)
		t.figures.Shifted++
	}
	split, inside := false, false
	if e.Kind == av.Video {
		split, inside = t.pieces.continues(&e.Frame, picture, t.nalSize)
	}
	if split && !t.header.Split {
		t.header.Split, s.changed = true, true
		s.refresh(e.Arrived)
	}
	t.figures.count(&e.Frame, &t.header)
	s.markSync(e, t, inside)
	return s.emit(e)
}

// markSync decides whether players may start at e: at key frames of the main video track or, while
// there is no video or it has stopped, at one audio frame a second. inside says that e is a
// piece of a picture that began before it. mu is held.
func (s *Stream) markSync(e *Entry, t *track, inside bool) {
	lull := s.isLull(e)
	if inside || t.header.ConfigFrame == nil && t.header.Unusable != nil {
		return
	}
	switch {
	case e.Kind == av.Video:
		if !e.IsKey() || e.Track != s.mainVideo() {
			return
		}
		e.Sync = true
		if s.keyed {
			s.stats.KeyInterval = max(s.stats.KeyInterval, e.DTS-s.keyAt)
		}
		s.keyed, s.keyAt = true, e.DTS
	case s.headers.Has(av.Video) && !lull:
	case e.Kind == av.Audio && (!s.synced || e.DTS-s.syncedAt >= audioSync):
		e.Sync, s.synced, s.syncedAt = true, true, e.DTS
	}
}

// isLull reports whether e is sound that goes on while the main video has stopped. mu is held.
func (s *Stream) isLull(e *Entry) bool {
	switch {
	case e.Kind == av.Audio:
		lull := s.lull.heardSound(e.Arrived)
		if lull {
			s.keyed = false // the time between key frames is not as long as a lull
		}
		return lull
	case e.Kind == av.Video && e.Track == s.mainVideo():
		s.lull.sawPicture(e.Arrived)
	}
	return false
}

// mainVideo is the video track at whose key frames players start: the lowest id. mu is held.
func (s *Stream) mainVideo() uint8 {
	for i := range s.headers.Tracks {
		if t := &s.headers.Tracks[i]; t.Kind == av.Video {
			return t.ID
		}
	}
	return 0
}

// checkKey corrects the key flag by the bitstream, as encoders mislabel frames. It reports whether
// the bitstream is conclusive. mu is held.
func (s *Stream) checkKey(e *Entry, nalSize int) (known bool) {
	key, known := codec.IsKey(e.Codec, e.Payload, nalSize)
	if known && key != e.IsKey() {
		s.repair(Mislabeled)
		e.Flags ^= av.Key
	}
	return known
}
