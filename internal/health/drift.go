package health

import (
	"slices"
	"time"
)

const (
	// sampleEvery is how often the state of two clocks is noted, at first.
	sampleEvery = 250 * time.Millisecond
	// minDrift and minDriftShare are what two clocks must be apart at the end, and how fast they part, for
	// it to be drift; of sound counted in samples, and of the order in which frames come.
	minDrift      = 80 * time.Millisecond
	minDriftShare = 0.001
	minApart      = 150 * time.Millisecond
	minApartShare = 0.01
	// minDriftSpan is the shortest time that can show drift.
	minDriftSpan = 3 * time.Second
)

// Drift is how far two clocks part in a time. The zero value says that they do not.
type Drift struct{ By, In time.Duration }

// apart says how far a clock is behind another at one time.
type apart struct{ at, behind time.Duration }

// notes are how far a clock was behind another, from time to time. Once there are most of them every
// second one is dropped, and the next ones are as far apart as those that are left; or, if they slide,
// the oldest is.
type notes struct {
	most   int
	slides bool
	list   []apart
}

// add notes how far the clock is behind now.
func (n *notes) add(at, behind time.Duration) {
	every := sampleEvery
	if len(n.list) > 1 && !n.slides {
		every = max(every, n.list[1].at-n.list[0].at)
	}
	if i := len(n.list); i > 0 && at-n.list[i-1].at < every {
		return
	}
	if len(n.list) < n.most {
		n.list = append(n.list, apart{at, behind})
		return
	}
	if n.slides {
		copy(n.list, n.list[1:])
		n.list[len(n.list)-1] = apart{at, behind}
		return
	}
	kept := n.list[:0]
	for i := 0; i < len(n.list); i += 2 {
		kept = append(kept, n.list[i])
	}
	n.list = kept
}

// drift is how much the clocks part over the time of the notes; none if they do not do so steadily, which
// is a step, such as a loss, or nothing.
func (n *notes) drift(least time.Duration, share float64) Drift {
	list := n.list
	if len(list) < 4 {
		return Drift{}
	}
	first, last := list[0], list[len(list)-1]
	by, in := last.behind-first.behind, last.at-first.at
	if in < minDriftSpan || by.Abs() < least || float64(by.Abs()) < share*float64(in) {
		return Drift{}
	}
	// In each third it parts by about a third.
	for i := range 3 {
		a, b := list[i*(len(list)-1)/3], list[(i+1)*(len(list)-1)/3]
		if part := float64(b.behind-a.behind) / float64(by); part < 1./6 || part > 1./2 {
			return Drift{}
		}
	}
	return Drift{by, in}
}

// even is drift, but of clocks that part from note to note and not in steps, as where a film that is sent again and
// again begins anew.
func (n *notes) even(least time.Duration, share float64) Drift {
	d := n.drift(least, share)
	if d.By == 0 {
		return d
	}
	steps := make([]time.Duration, 0, n.most)
	for i := 1; i < len(n.list); i++ {
		steps = append(steps, n.list[i].behind-n.list[i-1].behind)
	}
	slices.Sort(steps)
	if typical := steps[len(steps)/2] * time.Duration(len(steps)); float64(typical)/float64(d.By) < 0.5 {
		return Drift{}
	}
	return d
}

// Pace compares the time stamps of sound with how long its frames last. It belongs to one goroutine.
type Pace struct {
	begun bool
	sum   time.Duration // of the frames before
	start time.Duration
	run   notes
	best  notes // the longest run between gaps
}

// Add takes a frame at a time, which lasts so long; 0 if that is not known, of which nothing can be
// said. After a break it begins anew.
func (p *Pace) Add(at, lasts time.Duration, broken bool) {
	if broken || !p.begun {
		if len(p.run.list) > len(p.best.list) {
			p.best = p.run
		}
		p.begun, p.sum, p.start, p.run = true, 0, at, notes{most: maxNotes}
	}
	p.run.add(at, at-p.start-p.sum)
	if lasts <= 0 {
		p.begun, p.run = false, notes{}
		return
	}
	p.sum += lasts
}

// Drift is how much the time stamps gain on the sound.
func (p *Pace) Drift() Drift {
	run := &p.run
	if len(p.best.list) > len(run.list) {
		run = &p.best
	}
	return run.drift(minDrift, minDriftShare)
}

// maxNotes is how many notes are kept of a stream that is looked at frame by frame.
const maxNotes = 1024

// Order compares the order in which the frames of sound and picture come with their time stamps. It
// belongs to one goroutine.
type Order struct{ notes notes }

// Add takes a picture's time, and that of the newest sound before it.
func (o *Order) Add(picture, sound time.Duration) {
	o.notes.most = maxNotes
	o.notes.add(picture, picture-sound)
}

// Drift is how much the sound falls behind the picture.
func (o *Order) Drift() Drift { return o.notes.drift(minApart, minApartShare) }
