package fetch

import (
	"math"
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
	epoch  epoch
	shift  time.Duration // what is added to the times of the epoch
	fresh  bool          // it is not known yet: no frame of the epoch has come
	gap    time.Duration // of the segments that are missing after what has come
	newest map[trackKey]lasting
}

// lasting is when the newest frame of a track is decoded, and how long it is taken to last: as long as the one before it.
type lasting struct{ at, step time.Duration }

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
			c.note(f)
		}
	}
}

// note notes a frame as the newest of its track.
func (c *hlsClock) note(f *av.Frame) {
	if c.newest == nil {
		c.newest = map[trackKey]lasting{}
	}
	k := trackKey{f.Kind, f.Track}
	switch before, ok := c.newest[k]; {
	case !ok:
		c.newest[k] = lasting{at: f.DTS}
	case f.DTS > before.at: // else it is not the newest
		c.newest[k] = lasting{f.DTS, min(f.DTS-before.at, maxStep)}
	}
}

// end is when the last of what has come ends.
func (c *hlsClock) end() time.Duration {
	end := time.Duration(math.MinInt64)
	for _, l := range c.newest {
		end = max(end, l.at+l.step)
	}
	return end
}

// settle finds the shift of an epoch by its first frames.
func (c *hlsClock) settle(s *hlsSource, frames []av.Frame) {
	for i := range frames {
		if frames[i].Type != av.Media {
			continue
		}
		if c.fresh, c.shift = false, 0; len(c.newest) > 0 {
			c.shift = c.end() + c.gap - frames[i].DTS
		}
		if s.shifts == nil || len(s.shifts) >= maxEpochs {
			s.shifts = map[epoch]time.Duration{}
		}
		s.shifts[c.epoch] = c.shift
		return
	}
}
