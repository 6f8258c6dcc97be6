package probe

import (
	"time"

	"weir/av"
)

const (
	// sampleEvery is how often the state of two clocks is noted, at first.
	sampleEvery = 250 * time.Millisecond
	// maxSamples is how many notes are kept; then every second one is dropped.
	maxSamples = 1024
	// minDrift and minDriftShare are what two clocks must be apart at the end, and how fast they part, for
	// it to be drift; of sound counted in samples, and of the order in which frames come.
	minDrift      = 80 * time.Millisecond
	minDriftShare = 0.001
	minApart      = 150 * time.Millisecond
	minApartShare = 0.01
	// minDriftSpan is the shortest time that can show drift.
	minDriftSpan = 3 * time.Second
)

// apart says how far a clock is behind another at one time.
type apart struct{ at, behind time.Duration }

// note appends to a list of notes that stays short.
func note(list []apart, at, behind time.Duration) []apart {
	every := sampleEvery
	if n := len(list); n > 1 {
		every = max(every, list[1].at-list[0].at)
	}
	if n := len(list); n > 0 && at-list[n-1].at < every {
		return list
	}
	if len(list) < maxSamples {
		return append(list, apart{at, behind})
	}
	kept := list[:0]
	for i := 0; i < len(list); i += 2 {
		kept = append(kept, list[i])
	}
	return kept
}

// drift is how much two clocks part over the time of the notes; 0 if they do not do so steadily, which is
// a step, such as a loss, or nothing.
func drift(list []apart, least time.Duration, share float64) (by, in time.Duration) {
	if len(list) < 4 {
		return 0, 0
	}
	first, last := list[0], list[len(list)-1]
	by, in = last.behind-first.behind, last.at-first.at
	if in < minDriftSpan || by.Abs() < least || float64(by.Abs()) < share*float64(in) {
		return 0, 0
	}
	// In each third it parts by about a third.
	for i := range 3 {
		a, b := list[i*(len(list)-1)/3], list[(i+1)*(len(list)-1)/3]
		if part := float64(b.behind-a.behind) / float64(by); part < 1./6 || part > 1./2 {
			return 0, 0
		}
	}
	return by, in
}

// pace compares the time stamps of sound with how long its frames last.
type pace struct {
	begun bool
	sum   time.Duration // of the frames before
	start time.Duration
	list  []apart
	best  []apart // the longest run between gaps
}

// add takes a frame. A break begins anew.
func (c *pace) add(at, lasts time.Duration, broken bool) {
	if broken || !c.begun {
		if len(c.list) > len(c.best) {
			c.best = c.list
		}
		c.begun, c.sum, c.start, c.list = true, 0, at, nil
	}
	c.list = note(c.list, at, at-c.start-c.sum)
	if lasts <= 0 { // unknown: nothing can be said
		c.begun, c.list = false, nil
		return
	}
	c.sum += lasts
}

// drift is how much the time stamps gain on the sound.
func (c *pace) drift() (by, in time.Duration) {
	run := c.list
	if len(c.best) > len(run) {
		run = c.best
	}
	return drift(run, minDrift, minDriftShare)
}

// compare notes how far the sound is behind the picture, at a frame of this.
func (p *prober) compare(video *track) {
	audio := p.tracks[key{av.Audio, 0}]
	if audio == nil || audio.frames == 0 || p.jumped > 0 {
		return
	}
	p.apart = note(p.apart, video.last, video.last-audio.last)
}
