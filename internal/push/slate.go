package push

import (
	"time"

	"weir/av"
	"weir/codec"
	"weir/internal/stream"
)

const (
	// slateEvery is the time between two pictures of a slate that is the last key frame, and how long nothing comes before a slate
	// begins.
	slateEvery = time.Second
	// loopEvery is how often what is due of a slate from a file is sent.
	loopEvery = 100 * time.Millisecond
	// maxBehind bounds what of a slate is sent at once.
	maxBehind = 2 * time.Second
)

// slate stands in for a stream that waits for its publisher's return, so that the server sees no end: a loop from a file, or else the
// last key frame again and again, and silence. It is on one line of times with the stream.
type slate struct {
	with *loop // nil: the key frame
	// unfit is told why a loop is not used, and with nil that it is.
	unfit func(error)

	on    bool
	loop  *loop         // with, if it fits
	since time.Time     // when it began
	from  time.Duration // of the session, at that time
	sound time.Duration // of the session, up to which there is sound
	next  int           // pictures of the loop so far
	round time.Duration // of the loop, to which the newest sound belongs
	heard int           // which of the loop's sound that was
	mute  bool          // the sound has ended before the stream did: no silence stands in for it
}

// every is how often step is to be called.
func (l *slate) every() time.Duration {
	if l.loop != nil {
		return loopEvery
	}
	return slateEvery
}

// step gathers what is due now.
func (l *slate) step(s *sender, now time.Time) {
	if !l.on {
		l.begin(s, now)
	}
	if late := now.Sub(l.since) - l.sent(s) - maxBehind; late > 0 { // the machine slept
		l.since = l.since.Add(late)
	}
	l.fill(s, l.from+now.Sub(l.since))
}

// begin sets where it goes on.
func (l *slate) begin(s *sender, now time.Time) {
	l.on, l.since, l.sound = true, now, s.last[av.Audio]
	l.from = max(s.last[av.Video], s.last[av.Audio])
	if l.mute = l.from-l.sound > maxBehind; l.mute {
		l.sound = l.from
	}
	if l.with == nil {
		return
	}
	err := l.with.fits(s)
	if l.unfit(err); err != nil {
		return
	}
	l.loop, l.next, l.round = l.with, 0, -1
	if list := l.loop.frames[av.Video]; len(list) > 0 && s.codecs[av.Video] != 0 { // behind what the stream has shown
		step := l.loop.long / time.Duration(len(list))
		l.from = max(s.last[av.Video]+step, s.shown+step-list[0].PTS)
	}
}

// sent is up to where it was sent, from its beginning on.
func (l *slate) sent(s *sender) time.Duration {
	return max(s.last[av.Video], s.last[av.Audio]) - l.from
}

// fill gathers it up to a time of the session.
func (l *slate) fill(s *sender, until time.Duration) {
	if l.loop != nil {
		l.pictures(s, until)
	} else if s.key.Payload != nil && until >= s.last[av.Video]+slateEvery*9/10 {
		f := s.key
		f.DTS = until - s.shift
		f.PTS = f.DTS + s.key.PTS - s.key.DTS
		s.put(&f)
	}
	if l.loop != nil && len(l.loop.frames[av.Audio]) > 0 {
		l.sounds(s, until)
	} else {
		l.silence(s, until)
	}
}

// pictures gathers those of the loop up to a time.
func (l *slate) pictures(s *sender, until time.Duration) {
	list := l.loop.frames[av.Video]
	if s.codecs[av.Video] == 0 || len(list) == 0 {
		return
	}
	for {
		f := list[l.next%len(list)]
		at := l.from + time.Duration(l.next/len(list))*l.loop.long + f.DTS
		if at > until {
			return
		}
		l.next++
		f.PTS += at - s.shift - f.DTS
		f.DTS, f.Track = at-s.shift, s.main[av.Video]
		s.put(&f)
	}
}

// sounds gathers the loop's sound up to a time. Each frame comes right behind the one before it; where a round begins the sound goes
// on with the frame that belongs to the picture.
func (l *slate) sounds(s *sender, until time.Duration) {
	if s.codecs[av.Audio] == 0 {
		return
	}
	list := l.loop.frames[av.Audio]
	for l.sound+l.loop.step <= until {
		l.sound += l.loop.step
		within := max(l.sound-l.from, 0)
		if round := within / l.loop.long; round != l.round {
			l.round, l.heard = round, l.loop.soundAt(within%l.loop.long)
		} else {
			l.heard = (l.heard + 1) % len(list)
		}
		f := list[l.heard]
		f.DTS, f.Track = l.sound-s.shift, s.main[av.Audio]
		f.PTS = f.DTS
		s.put(&f)
	}
}

// silence gathers silence up to a time.
func (l *slate) silence(s *sender, until time.Duration) {
	if s.codecs[av.Audio] == 0 || l.mute {
		return
	}
	t := &s.tracks[av.Audio]
	frame := codec.Silence(t)
	long := codec.FrameDuration(t.Codec, t.Config, frame)
	if frame == nil || long <= 0 {
		return
	}
	for l.sound+long <= until {
		l.sound += long
		at := l.sound - s.shift
		s.put(&av.Frame{Kind: av.Audio, Codec: t.Codec, Track: t.ID, DTS: at, PTS: at, Payload: frame})
	}
}

// over takes the next frame of the stream. It makes the session's time go on behind the slate from that frame on, up to which a loop
// goes on. It reports false for one that comes before players may begin, which is left out: the slate goes on.
func (l *slate) over(s *sender, e *stream.Entry) bool {
	switch {
	case !l.on:
		return true
	case e.Type != av.Media:
		return true
	case !e.Sync:
		l.step(s, time.Now())
		return false
	}
	newest := max(s.last[av.Video], s.last[av.Audio])
	until := min(s.time(e.DTS), newest+maxBehind) - time.Millisecond
	if l.loop != nil {
		l.fill(s, until)
	} else { // the next picture is the stream's
		l.silence(s, until)
	}
	*l = slate{with: l.with, unfit: l.unfit}
	newest = max(s.last[av.Video], s.last[av.Audio], s.shown)
	if behind := newest + time.Millisecond - s.time(e.DTS); behind > 0 {
		s.shift += behind
	}
	s.floor = s.last
	return true
}
