package stream

import "time"

// lull notices that the main video has stopped while sound goes on. That something has come of
// the sound since the last picture is not enough, which is so between any two: it must have gone
// on for much longer than pictures of this stream are apart. A connection that stands still stops
// both, and is no lull.
type lull struct {
	seen    bool          // a picture has come
	picture time.Duration // when the newest arrived
	apart   time.Duration // how far pictures are apart, a running average; 0 before the second
	heard   bool          // sound has come since
	sound   time.Duration // when the newest arrived
	lasted  time.Duration // for how long sound has gone on
}

// begin is called for a new publisher.
func (l *lull) begin() { *l = lull{} }

// sawPicture takes the arrival of a frame of the main video.
func (l *lull) sawPicture(at time.Duration) {
	switch gap := at - l.picture; {
	case !l.seen:
	case l.apart == 0:
		l.apart = gap
	default:
		const weight = 8
		l.apart += (gap - l.apart) / weight
	}
	l.seen, l.picture, l.heard, l.lasted = true, at, false, 0
}

// heardSound takes the arrival of sound, and reports whether there is a lull.
func (l *lull) heardSound(at time.Duration) bool {
	if l.heard {
		l.lasted += min(at-l.sound, maxSoundGap)
	}
	l.heard, l.sound = true, at
	return l.lasted >= max(quietTime, quietFrames*l.apart)
}

// maxSoundGap is how much of a time without sound is taken to be sound that goes on.
const maxSoundGap = 500 * time.Millisecond
