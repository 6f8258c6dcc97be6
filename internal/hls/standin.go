package hls

import (
	"time"

	"weir/av"
	"weir/codec"
)

const (
	// silentTime is how long a track may send nothing while others do before something stands in
	// for it, unless the track is known to pause.
	silentTime = 1500 * time.Millisecond
	// soundTime is silentTime for sound, which comes evenly. Parts without it would hold players up.
	soundTime = 400 * time.Millisecond
	// stillLag is how far behind the others a key frame that stands in stays: pictures that come
	// back may be as late.
	stillLag = 500 * time.Millisecond
	// maxSilentTime bounds how long a track that pauses is waited for. It is less than
	// maxQueuedTime, so that no sound is lost meanwhile.
	maxSilentTime = 8 * time.Second
	// maxStill is how long a key frame that stands in lasts at most.
	maxStill = 500 * time.Millisecond
	// maxStandIn bounds the time for which frames stand in at once; what is longer is a hole.
	maxStandIn = maxQueuedTime
)

// standIn is what stands in for a track that falls silent while others go on: its newest key
// frame again and again, or silence. Players wait for a track that they were promised, so that
// without it they would stop, and segments would not come to an end.
type standIn struct {
	frame  frame         // what stands in; without payload there is nothing that can
	step   time.Duration // how long it lasts
	active bool          // it stands in now

	end     time.Duration // of the newest frame, the track's own or not
	stood   time.Duration // the end of the newest frame that stood in
	own     time.Duration // when the newest of the track's own began
	arrived time.Duration // and when it arrived
	every   time.Duration // between the last two of its own
	pause   time.Duration // the longest pause after which it went on where it was
}

// push takes a frame once the pace is known: other tracks that are silent get what stands in for
// them, and the frame goes to the renditions that carry its track.
func (p *Packager) push(f frame) {
	k := keyOf(&f.Frame)
	for i := range p.headers.Tracks {
		t := &p.headers.Tracks[i]
		other := trackKey{t.Kind, t.ID}
		if t.Kind == av.Data || !p.can(t) || !p.isWanted(other) {
			continue
		}
		s := p.standIns[other]
		if s == nil {
			s = &standIn{end: f.at, own: f.at, arrived: f.Arrived}
			p.standIns[other] = s
		}
		if other != k {
			p.cover(s, other, &f)
		}
	}
	if s := p.standIns[k]; s == nil || p.comesBack(s, &f) {
		p.send(f)
	}
}

func (p *Packager) isWanted(k trackKey) bool {
	for _, r := range p.renditions {
		if r.wants(k) {
			return true
		}
	}
	return false
}

// patience is how long the track may be silent before something stands in for it.
func (s *standIn) patience(kind av.Kind) time.Duration {
	least := silentTime
	if kind == av.Audio {
		least = soundTime
	}
	return min(max(least, 3*s.every, 2*s.pause), maxSilentTime)
}

// cover lets something stand in for track k if it is silent while now comes.
func (p *Packager) cover(s *standIn, k trackKey, now *frame) {
	if patience := s.patience(k.kind); !s.active && (now.at-s.end <= patience || now.Arrived-s.arrived <= patience) {
		return
	}
	main := p.renditions[0]
	p.choose(s, k)
	if len(s.frame.Payload) == 0 {
		if k == main.lead && main.openSegment() == nil {
			p.absent = k
			p.retrack(p.headers)
		}
		return
	}
	if !s.active {
		s.active = true
		p.warn(standInWarning(k), "")
	}
	until := now.at
	if k.kind == av.Video {
		until -= stillLag
	}
	p.fill(s, until, now.Arrived)
}

func standInWarning(k trackKey) string {
	if k.kind == av.Video {
		return "the publisher's video has stopped while its sound goes on: viewers see the last key frame until another one comes"
	}
	return "the publisher's sound has stopped while its video goes on: viewers hear silence until it comes back"
}

// fill sends what stands in until a time.
func (p *Packager) fill(s *standIn, until, arrived time.Duration) {
	s.end = max(s.end, until-maxStandIn)
	for {
		f := s.frame
		f.at, f.Arrived = s.end, arrived
		next := s.end + s.step
		if open := p.renditions[0].open; f.Kind == av.Video && len(open) > 0 && p.pace.part > 0 && open[0].at < s.end {
			next = max(open[0].at+p.pace.part, s.end+time.Millisecond) // it fills the part that the track's own frames began
		}
		// Sound goes on beyond it: a part that ends before its time is loaded again by players.
		if f.Kind == av.Video && next > until || f.at >= until {
			return
		}
		s.end, s.stood = next, next
		p.send(f)
	}
}

// choose finds what can stand in for track k as it is now.
func (p *Packager) choose(s *standIn, k trackKey) {
	h := headerOf(p.headers, k)
	if s.frame.version != h.Version {
		s.frame = frame{version: h.Version}
	}
	if k.kind == av.Video { // comesBack has kept the key frame
		s.step = min(p.pace.hole(), maxStill)
		return
	}
	if len(s.frame.Payload) > 0 {
		return
	}
	s.frame.Frame = av.Frame{Kind: k.kind, Track: k.id, Codec: h.Codec, Payload: codec.Silence(&h.Track)}
	if s.step = codec.FrameDuration(h.Codec, h.Config, s.frame.Payload); s.step <= 0 {
		s.frame.Payload = nil
	}
}

// comesBack takes a frame of the track's own. It reports whether to send it: after frames that stood
// in, video goes on with a key frame, and no track goes back in time.
func (p *Packager) comesBack(s *standIn, f *frame) bool {
	isKey := f.Kind == av.Video && f.IsKey()
	if f.at+s.step/2 < s.stood { // what stood in was ahead of it
		s.active = s.active && f.Kind == av.Video
		s.pause = max(s.pause, min(f.Arrived-s.arrived, maxSilentTime)) // it was late, not silent
		s.own, s.arrived = f.at, f.Arrived
		return false
	}
	if s.active {
		if f.Kind == av.Video && !isKey {
			if f.at > s.own && f.at-s.own <= maxSilentTime {
				s.pause = max(s.pause, f.at-s.own)
			}
			s.own, s.arrived = f.at, f.Arrived
			return false
		}
		if f.Kind == av.Video {
			p.fill(s, f.at+s.step-time.Millisecond, f.Arrived) // the last one is cut short
		} else {
			p.fill(s, f.at-s.step/2, f.Arrived)
		}
		s.active = false
	}
	if isKey {
		s.frame = *f
		s.frame.Flags &^= av.Discontinuity
	}
	if d := f.at - s.own; d > 0 {
		s.every = d
	}
	s.own, s.arrived, s.end = f.at, f.Arrived, f.at
	if f.Kind == av.Audio {
		s.end += codec.FrameDuration(f.Codec, headerOf(p.headers, keyOf(&f.Frame)).Config, f.Payload)
	} else if s.every > 0 && s.every <= p.pace.hole() {
		s.end += s.every
	}
	return true
}
