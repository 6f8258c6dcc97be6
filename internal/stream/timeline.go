package stream

import "time"

const (
	maxBack    = time.Second      // further back is a jump
	maxForward = 10 * time.Second // further forward, beyond the real gap, is a jump
	oldClock   = 2 * time.Second  // how long frames of the clock before a jump still arrive
)

// timeline maps the clocks of all the publishers of a stream, one after another, to
// one that begins at 0 and never falls on any track. All its times are source or stream
// times but arrived, which is monotonic.
type timeline struct {
	begun     bool
	fresh     bool          // the next media frame is a publisher's first
	offset    time.Duration // stream time - source time
	previous  time.Duration // the offset before the last jump
	twoClocks bool          // tracks that have not jumped yet still go by previous
	jumped    time.Duration // arrival of the last jump
	head      time.Duration // newest DTS
	shown     time.Duration // newest PTS
	arrived   time.Duration // arrival of the newest media frame
}

// clock is one track's place on the timeline.
type clock struct {
	begun   bool
	last    time.Duration // DTS of the newest frame
	arrived time.Duration // its arrival
	step    time.Duration // between the last two frames, for continuing after a jump
	shift   time.Duration // for a track that began far from the others
}

// newPublisher makes the next media frame continue the timeline after the real gap.
func (t *timeline) newPublisher() { t.fresh = true }

// restart begins a track's clock with a new publisher; the time itself never falls.
func (c *clock) restart() { c.shift = 0 }

// repair says what put did to a time.
type repair uint8

const (
	clean   repair = iota
	clamped        // went back a little: held at the track's last
	rebased        // jumped: the timeline goes on and is discontinuous
	shifted        // the track began far away from the others: moved to them
)

// put places a media frame of track c with source time dts, shown cts later, on the timeline.
func (t *timeline) put(c *clock, dts, cts, arrived time.Duration) (time.Duration, repair) {
	if t.fresh {
		t.fresh = false
		if t.begun {
			gap := max((arrived - t.arrived).Round(time.Millisecond), c.frame())
			// What the last publisher's frames show comes before what this one's do.
			t.rebase(max(t.head+gap, t.shown+c.frame()-cts)-dts, arrived)
			t.twoClocks = false // the old publisher's clock is gone
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

func (t *timeline) place(c *clock, dts, arrived time.Duration) (time.Duration, repair) {
	out := dts + t.offset + c.shift
	if !c.begun {
		if out < t.head-maxForward || out > t.head+maxForward {
			c.shift += t.head - out
			return t.head, shifted
		}
		if out < 0 {
			return 0, clamped
		}
		return out, clean
	}
	if c.fits(out, arrived) {
		if out < c.last {
			return c.last, clamped
		}
		return out, clean
	}
	if t.twoClocks && arrived-t.jumped < oldClock {
		// Another track jumped already; this frame was sent before it did.
		if old := dts + t.previous + c.shift; c.fits(old, arrived) {
			return max(old, c.last), clean
		}
	}
	next := c.last + c.frame()
	t.rebase(next-dts-c.shift, arrived)
	return next, rebased
}

// fits reports whether out is a plausible next time of the track.
func (c *clock) fits(out, arrived time.Duration) bool {
	d := out - c.last
	return d >= -maxBack && (d <= maxForward || d <= arrived-c.arrived+maxForward)
}

func (t *timeline) rebase(offset, arrived time.Duration) {
	t.previous, t.offset, t.jumped, t.twoClocks = t.offset, offset, arrived, true
}

func (c *clock) frame() time.Duration {
	if c.step > 0 {
		return c.step
	}
	return 33 * time.Millisecond
}

// near places a frame that carries no media: where its source says if that is
// about now, else now. It never falls on c.
func (t *timeline) near(c *clock, dts time.Duration) time.Duration {
	out := dts + t.offset
	if !t.begun || t.fresh || out < t.head-maxBack || out > t.head+maxForward {
		out = t.head
	}
	out = max(out, c.last, 0)
	c.last = out
	return out
}

// peek returns what put would return, and changes nothing.
func (t *timeline) peek(c *clock, dts, cts, arrived time.Duration) time.Duration {
	tt, cc := *t, *c
	out, _ := tt.put(&cc, dts, cts, arrived)
	return out
}
