package stream

import "time"

// lull notices that the main video has stopped while sound goes on. That something has come of
// the sound since the last picture is not enough, which is so between any two: it must have gone
// on for much longer than pictures of this stream are apart. A connection that stands still stops
// both, and is no lull.
type lull struct {
	picture time.Duration // when the newest picture arrived; 0: none has
	apart   time.Duration // between pictures, a running average
	sound   time.Duration // when the first sound after it arrived; 0: none has
}

// begin is called for a new publisher.
func (l *lull) begin() { *l = lull{} }

// sawPicture takes the arrival of a frame of the main video.
func (l *lull) sawPicture(at time.Duration) {
	switch gap := at - l.picture; {
	case l.picture == 0:
	case l.apart == 0:
		l.apart = gap
	default:
		const weight = 8
		l.apart += (gap - l.apart) / weight
	}
	l.picture, l.sound = at, 0
}

// heardSound takes the arrival of sound, and reports whether there is a lull.
func (l *lull) heardSound(at time.Duration) bool {
	if l.sound == 0 {
		l.sound = at
	}
	return at-l.sound >= max(quietTime, quietFrames*l.apart)
}
