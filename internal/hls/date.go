package hls

import (
	"time"
)

// date returns the date of a time at which a frame arrived. The clock of the machine is asked
// once: a leap of it must not move what has a date already.
func (p *Packager) date(at, arrived time.Duration) time.Time {
	d := p.dateOf(at, arrived)
	if d.Before(p.dateNever) {
		d = p.dateNever
	}
	p.dateNever = d
	return d
}

// dateOf is date for anything but a segment.
func (p *Packager) dateOf(at, arrived time.Duration) time.Time {
	if !p.dated {
		p.dated, p.dateAt = true, at
		p.dateIs = time.Now().Round(0).UTC().Add(-max(p.opt.Now()-arrived, 0))
	}
	return p.dateIs.Add(at - p.dateAt).Truncate(time.Millisecond)
}
