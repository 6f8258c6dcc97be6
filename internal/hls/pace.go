package hls

import (
	"slices"
	"time"
)

// pace is what a stream's playlists promise for good: none of it changes once it is told.
type pace struct {
	target time.Duration // whole seconds
	// part is the part target; 0 if there are no parts.
	part time.Duration
	// regular is true while every group of pictures fits a segment.
	regular bool
}

// settle finds the pace from the lead track's first frames: the times at which they begin
// and at which the last one ends, and how long the first segment lasts, or the longest group
// of pictures so far; 0 if none has come to its end.
//
// The target duration is what the settings ask for, or what the groups of pictures so far need: it
// must be right from the first playlist on, and knowing a group's length is worth
// the wait, since plain players stay three targets behind.
//
// The part target is a whole number of frames with a little room for uneven times, so
// that parts are at least 85 % of it (RFC 8216bis §4.4.3.7) and never more.
func settle(s *Settings, starts []time.Duration, end, first time.Duration) pace {
	p := pace{regular: first > 0}
	longest := s.Segment
	if first > 0 {
		longest = max(longest, first)
	} else {
		longest = max(longest, end-starts[0])
	}
	p.target = max(longest.Round(time.Second), ceil(s.Segment), time.Second)
	if s.LowLatency {
		p.part = partTarget(s.Part, starts, end)
	}
	return p
}

func ceil(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// partTarget is settle's for the part target.
func partTarget(wish time.Duration, starts []time.Duration, end time.Duration) time.Duration {
	times := append(slices.Clone(starts), end)
	// longest returns the most time that n frames in a row take, and the mean.
	longest := func(n int) (most, mean time.Duration) {
		runs := 0
		for i := n; i < len(times); i++ {
			d := times[i] - times[i-n]
			most, mean, runs = max(most, d), mean+d, runs+1
		}
		if runs > 0 {
			mean /= time.Duration(runs)
		}
		return most, mean
	}
	frames := len(times) - 1
	_, mean := longest(1)
	n := 1
	if mean > 0 {
		n = int(wish / mean)
	}
	for n = max(min(n, frames), 1); n > 1; n-- {
		if most, _ := longest(n); most <= wish {
			break
		}
	}
	most, mean := longest(n)
	target := max(most, mean+mean/25).Truncate(time.Millisecond) + time.Millisecond
	if n > 1 || most <= wish {
		target = min(target, max(wish, most))
	}
	return max(target, 10*time.Millisecond)
}

// leastPart is the least that a part other than a segment's last lasts.
func (p *pace) leastPart() time.Duration { return (p.part*85 + 99) / 100 }

// full reports whether a part of duration d is to be ended, if frames take about f. What
// has no parts in its playlists is encoded by parts as well.
func (p *pace) full(d, f time.Duration) bool {
	if p.part == 0 {
		return d+f > piece
	}
	return d >= p.leastPart() && d+f > p.part
}

// hole is how long a frame may last; what is longer is time without media.
func (p *pace) hole() time.Duration {
	if p.part == 0 {
		return piece
	}
	return p.part
}

// tooLong reports whether a segment of duration d must be ended although no key frame has come.
func (p *pace) tooLong(d, f time.Duration) bool {
	return d+f > p.target+time.Second/2-slack
}

// ripe reports whether a segment of duration d is to be ended at a key frame, if groups of
// pictures take about gop: whichever end is closer to what the settings ask for.
func (s *Settings) ripe(d, gop time.Duration) bool {
	return d > 0 && d >= s.Segment-min(gop, s.Segment)/2
}
