package fetch

import (
	"sync"
	"time"

	"weir/av"
)

const (
	// maxAhead is the longest that a frame is held back: one that would be due later has a clock that jumped.
	// Slides, each a picture with no sound, are seconds apart.
	maxAhead = 10 * time.Second
	// maxBehind is how late frames may be before what follows is due later, too, instead of coming in a burst.
	maxBehind = 500 * time.Millisecond
)

// paced is a source that returns media when it is due by its own clock.
type paced struct {
	Source
	closed chan struct{}
	once   sync.Once

	begun bool
	base  time.Time     // when the frame of the time from was due
	from  time.Duration // on the source's clock
}

func newPaced(s Source) *paced { return &paced{Source: s, closed: make(chan struct{})} }

// ReadFrame implements Source.
func (p *paced) ReadFrame() (*av.Frame, error) {
	f, err := p.Source.ReadFrame()
	if err != nil || f.Type != av.Media {
		return f, err
	}
	wait := time.Until(p.base.Add(f.DTS - p.from))
	if !p.begun || wait > maxAhead || wait < -maxBehind {
		p.begun, p.base, p.from, wait = true, time.Now(), f.DTS, 0
	}
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-p.closed: // what follows fails
		}
	}
	return f, nil
}

// Close implements Source.
func (p *paced) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Source.Close()
}
