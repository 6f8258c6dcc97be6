// Package timeline maps the clocks of sources that follow one another, and that jump, to one
// clock that begins at 0 and never falls on any track: a stream's under its publishers, and a
// relay's under its files.
package timeline

import "time"

const (
	maxBack    = time.Second      // further back is a jump
	maxForward = 10 * time.Second // further forward, beyond the real gap, is a jump
	oldClock   = 2 * time.Second  // how long frames of the clock before a jump still arrive
)

// Timeline maps the clocks of all the sources of a stream, one after another, to one that
// begins at 0 and never falls on any track. NewSource comes before the first source too. All its times are source
// or stream times but arrived, which is monotonic: when a frame came in, or, of a file, how much
// of the stream came before it.
type Timeline struct {
	begun     bool
	fresh     bool          // the next media frame is a source's first
	offset    time.Duration // stream time - source time
	previous  time.Duration // the offset before the last jump
	twoClocks bool          // tracks that have not jumped yet still go by previous
	jumped    time.Duration // arrival of the last jump
	head      time.Duration // newest DTS
	shown     time.Duration // newest PTS
	arrived   time.Duration // arrival of the newest media frame
}

// Clock is one track's place on the timeline.
type Clock struct {
	begun   bool
	last    time.Duration // DTS of the newest frame
	arrived time.Duration // its arrival
	step    time.Duration // between the last two frames, for continuing after a jump
	shift   time.Duration // for a track that began far from the others
}

// NewSource makes the next media frame, which is another source's, continue the timeline after the real gap.
func (t *Timeline) NewSource() { t.fresh = true }

// Restart begins a track's clock with a new source; the time itself never falls.
func (c *Clock) Restart() { c.shift = 0 }

// Repair says what Put did to a time.
type Repair uint8

// The repairs.
const (
	Clean   Repair = iota // none was needed
	Clamped               // went back a little: held at the track's last
	Rebased               // jumped: the timeline goes on and is discontinuous
	Shifted               // the track began far away from the others: moved to them
)

// Put places a media frame of track c with source time dts, shown cts later, on the timeline.
func (t *Timeline) Put(c *Clock, dts, cts, arrived time.Duration) (time.Duration, Repair) {
	if t.fresh {
		t.fresh = false
		if t.begun {
			gap := max((arrived - t.arrived).Round(time.Millisecond), c.frame())
			// What the last source's frames show comes before what this one's do.
			t.rebase(max(t.head+gap, t.shown+c.frame()-cts)-dts, arrived)
			t.twoClocks = false // the old source's clock is gone
		} else {
			t.begun, t.offset = true, -dts
		}
	}
	out, what := t.place(c, dts, arrived)
	if c.begun && out > c.last && out-c.last < time.Second {
		c.step = out - c.last
	}
	c.begun, c.last, c.arrived = true, out, arrived
	t.head, t.shown, t.arrived = max(t.head, out), max(t.shown, out+cts), arrived
	return out, what
}

func (t *Timeline) place(c *Clock, dts, arrived time.Duration) (time.Duration, Repair) {
	out := dts + t.offset + c.shift
	if !c.begun {
		if out < t.head-maxForward || out > t.head+maxForward {
			c.shift += t.head - out
			return t.head, Shifted
		}
		if out < 0 {
			return 0, Clamped
		}
		return out, Clean
	}
	if c.fits(out, arrived) {
		if out < c.last {
			return c.last, Clamped
		}
		return out, Clean
	}
	if t.twoClocks && arrived-t.jumped < oldClock {
		// Another track jumped already; this frame was sent before it did.
		if old := dts + t.previous + c.shift; c.fits(old, arrived) {
			return max(old, c.last), Clean
		}
	}
	next := c.last + c.frame()
	t.rebase(next-dts-c.shift, arrived)
	return next, Rebased
}

// fits reports whether out is a plausible next time of the track.
func (c *Clock) fits(out, arrived time.Duration) bool {
	d := out - c.last
	return d >= -maxBack && (d <= maxForward || d <= arrived-c.arrived+maxForward)
}

func (t *Timeline) rebase(offset, arrived time.Duration) {
	t.previous, t.offset, t.jumped, t.twoClocks = t.offset, offset, arrived, true
}

func (c *Clock) frame() time.Duration {
	if c.step > 0 {
		return c.step
	}
	return 33 * time.Millisecond
}

// Near places a frame that carries no media: where its source says if that is
// about now, else now. It never falls on c.
func (t *Timeline) Near(c *Clock, dts time.Duration) time.Duration {
	out := dts + t.offset
	if !t.begun || t.fresh || out < t.head-maxBack || out > t.head+maxForward {
		out = t.head
	}
	out = max(out, c.last, 0)
	c.last = out
	return out
}

// Peek returns what Put would return, and changes nothing.
func (t *Timeline) Peek(c *Clock, dts, cts, arrived time.Duration) time.Duration {
	tt, cc := *t, *c
	out, _ := tt.Put(&cc, dts, cts, arrived)
	return out
}

// Head returns the newest decoding time.
func (t *Timeline) Head() time.Duration { return t.head }

// Arrived returns the arrival of the newest media frame.
func (t *Timeline) Arrived() time.Duration { return t.arrived }
