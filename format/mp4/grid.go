package mp4

import (
	"math"
	"slices"
	"time"

	"weir/av"
)

const (
	// maxStampError is how far a time stamp may be from the time of its frame: publishers round them to milliseconds,
	// up or down.
	maxStampError = time.Millisecond + 50*time.Microsecond
	// maxCTSError is the same for the time at which a picture is shown, which is the sum of two rounded times.
	maxCTSError = 2*time.Millisecond + 50*time.Microsecond
	// minFit is how many frames must lie on a grid for it to be believed, and with the rate that the track declares minDeclared.
	minFit      = 8
	minDeclared = 3
)

// rates are the frame rates that encoders use, as numerator and denominator.
var rates = [][2]int64{
	{24000, 1001},
	{24, 1},
	{25, 1},
	{30000, 1001},
	{30, 1},
	{48, 1},
	{50, 1},
	{60000, 1001},
	{60, 1},
	{5, 1},
	{10, 1},
	{12, 1},
	{15, 1},
	{20, 1},
	{15000, 1001},
	{12000, 1001},
	{72, 1},
	{75, 1},
	{90, 1},
	{100, 1},
	{120000, 1001},
	{120, 1},
	{144, 1},
	{1, 1},
	{2, 1},
	{3, 1},
	{4, 1},
	{6, 1},
	{8, 1},
}

// grid is the times of a constant frame rate, as long as the time stamps lie on it: an editor that is shown 33, 34 and 33 ms
// sees a frame rate that varies. The zero value is off, and changes no time.
type grid struct {
	on       bool
	num, den int64         // frames per second
	anchor   time.Duration // a time on it
}

// at is the time of a frame by its number.
func (g *grid) at(k int64) time.Duration {
	s, r := k*g.den/g.num, k*g.den%g.num
	return g.anchor + time.Duration(s)*time.Second + time.Duration(math.Round(float64(r)*float64(time.Second)/float64(g.num)))
}

// number is that of the frame nearest to a time.
func (g *grid) number(d time.Duration) int64 {
	d -= g.anchor
	s, r := int64(d/time.Second), int64(d%time.Second)
	return int64(math.Round((float64(s)*float64(g.num) + float64(r)*float64(g.num)/float64(time.Second)) / float64(g.den)))
}

// nearest is the time on the grid nearest to d, or d itself if that is farther away than so much.
func (g *grid) nearest(d, within time.Duration) time.Duration {
	if !g.on {
		return d
	}
	if on := g.at(g.number(d)); (on - d).Abs() <= within {
		return on
	}
	return d
}

// snap is the time on the grid of a frame that is decoded at d. One that does not lie on the grid turns it off.
func (g *grid) snap(d time.Duration) time.Duration {
	if !g.on {
		return d
	}
	on := g.at(g.number(d))
	if (on - d).Abs() > maxStampError {
		g.on = false
		return d
	}
	return on
}

// scale is the ticks in a second with which the grid's times are whole numbers; 0 if it is off.
func (g *grid) scale() int64 {
	const usual = 90000
	switch {
	case !g.on:
		return 0
	case usual*g.den%g.num == 0:
		return usual
	}
	return g.num
}

// fit turns the grid on if the frames of a track lie on one.
func (g *grid) fit(frames []av.Frame, t *track) {
	var times []time.Duration
	for i := range frames {
		if t.has(&frames[i]) {
			times = append(times, frames[i].DTS)
		}
	}
	if len(times) < minDeclared {
		return
	}
	steps := make([]time.Duration, len(times)-1)
	for i := range steps {
		steps[i] = times[i+1] - times[i]
	}
	slices.Sort(steps)
	usual := steps[len(steps)/2]
	best := time.Duration(math.MaxInt64)
	var found grid
	for _, r := range rates {
		fps := float64(r[0]) / float64(r[1])
		step := time.Duration(float64(time.Second) / fps)
		declared := math.Abs(t.FrameRate-fps) < fps/2000
		// The usual step is rounded too. Holes make the mean longer than it.
		if (step-usual).Abs() > 2*maxStampError || len(times) < minFit && !declared || step < 4*time.Millisecond {
			continue
		}
		try := grid{on: true, num: r[0], den: r[1], anchor: times[0]}
		low, high := time.Duration(0), time.Duration(0)
		for _, d := range times {
			off := d - try.at(try.number(d))
			low, high = min(low, off), max(high, off)
		}
		spread := high - low
		if spread > 2*maxStampError-100*time.Microsecond {
			continue
		}
		try.anchor += (low + high) / 2
		if declared {
			spread -= time.Millisecond // of two that fit, the one that the encoder names
		}
		if spread < best {
			best, found = spread, try
		}
	}
	if found.on {
		*g = found
	}
}
