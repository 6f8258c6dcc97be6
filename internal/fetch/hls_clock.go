package fetch

import (
	"time"

	"weir/av"
)

// epoch tells the parts of a playlist whose times have one origin from one another.
type epoch struct {
	restarts      int // of the server, or places that were given up
	discontinuity uint64
}

const (
	// maxEpochs bounds the epochs whose times are remembered for a second playlist.
	maxEpochs = 64
	// maxStep is the longest that a frame is taken to last.
	maxStep = time.Second
)

// hlsClock makes the times of one playlist run on from epoch to epoch: the first frame of one comes where the last frame of the one
// before ended, or later by the segments in between that are missing.
type hlsClock struct {
	epoch epoch
	shift time.Duration                // what is added to the times of the epoch
	fresh bool                         // it is not known yet: no frame of the epoch has come
	end   time.Duration                // of what has come
	gap   time.Duration                // of the segments after it that are missing
	last  map[trackKey][]time.Duration // of each track the times of the newest frames, two at most
}

// enter begins an epoch. Another playlist of the same source may have been there before.
func (c *hlsClock) enter(s *hlsSource, e epoch) {
	shift, known := s.shifts[e]
	c.epoch, c.fresh = e, !known
	if known {
		c.shift = shift
	}
}

// meet moves frames to their time.
func (c *hlsClock) meet(s *hlsSource, frames []av.Frame) {
	if c.fresh {
		c.settle(s, frames)
	}
	for i := range frames {
		f := &frames[i]
		f.DTS += c.shift
		f.PTS += c.shift
		if f.Type == av.Media {
			c.end = max(c.end, f.DTS+c.step(f))
		}
	}
}

// settle finds the shift of an epoch by its first frames.
func (c *hlsClock) settle(s *hlsSource, frames []av.Frame) {
	for i := range frames {
		if frames[i].Type != av.Media {
			continue
		}
		if c.fresh, c.shift = false, 0; c.last != nil {
			c.shift = c.end + c.gap - frames[i].DTS
		}
		if s.shifts == nil || len(s.shifts) >= maxEpochs {
			s.shifts = map[epoch]time.Duration{}
		}
		s.shifts[c.epoch] = c.shift
		return
	}
}

// step is how long a frame lasts: as long as the one before it in its track.
func (c *hlsClock) step(f *av.Frame) time.Duration {
	if c.last == nil {
		c.last = map[trackKey][]time.Duration{}
	}
	k := trackKey{f.Kind, f.Track}
	t := append(c.last[k], f.DTS)
	t = t[max(len(t)-2, 0):]
	c.last[k] = t
	return min(max(t[len(t)-1]-t[0], 0), maxStep)
}
