package stream

import "time"

// lull notices that the main video has stopped while sound goes on. Some sound after the last picture is not enough,
// as it comes between any two pictures: sound must have gone on for much longer than the time between pictures. A
// connection that stands still stops both, which is no lull.
type lull struct {
	seen    bool          // a picture has come
	picture time.Duration // when the newest arrived
	apart   time.Duration // the time between pictures, a running average; 0 before the second
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

// maxSoundGap is the longest pause within sound that goes on.
const maxSoundGap = 500 * time.Millisecond
