package push

import (
	"time"

	"weir/av"
	"weir/codec"
	"weir/internal/stream"
)

// slateEvery is the time between two pictures of a slate.
const slateEvery = time.Second

// slate stands in for a stream that waits for its publisher's return: the last key frame again and
// again, and silence, so that the server sees no end. The zero value is ready.
type slate struct {
	on    bool
	since time.Time     // when it began
	from  time.Duration // of the session, at that time
	sound time.Duration // of the session, up to which there is sound
}

// step gathers what is due now.
func (l *slate) step(s *sender, now time.Time) {
	if !l.on {
		l.on, l.since = true, now
		l.from = max(s.last[av.Video], s.last[av.Audio])
		l.sound = s.last[av.Audio]
	}
	at := l.from + now.Sub(l.since)
	if s.key.Payload != nil && at > s.last[av.Video] {
		f := s.key
		f.DTS = at - s.shift
		f.PTS = f.DTS + s.key.PTS - s.key.DTS
		s.put(&f)
	}
	l.silence(s, at)
}

// silence gathers silence up to a time.
func (l *slate) silence(s *sender, until time.Duration) {
	if s.codecs[av.Audio] == 0 {
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

// over makes the session's time go on behind the slate, from a frame of the stream on.
func (l *slate) over(s *sender, e *stream.Entry) {
	if !l.on {
		return
	}
	*l = slate{}
	newest := max(s.last[av.Video], s.last[av.Audio])
	if behind := newest + time.Millisecond - s.time(e.DTS); behind > 0 {
		s.shift += behind
	}
}
