package intake

import (
	"sync/atomic"
	"time"
)

const (
	// perPublisher is how long the beat grows with each publisher: so many publishers
	// wake the process at most 4,000 times a second, whatever they send.
	perPublisher = 250 * time.Microsecond
	// worthwhile is the shortest beat that saves more than it costs.
	worthwhile = 10 * time.Millisecond
)

// Pacer sets the beat at which publishers are read. With few publishers there is no beat: their
// bytes are read as they come. It may be used by any number of goroutines.
type Pacer struct {
	max        atomic.Int64 // a time.Duration
	start      time.Time
	publishers atomic.Int32
}

// NewPacer returns a pacer whose beats are at most max apart; with 0 no read waits.
func NewPacer(max time.Duration) *Pacer {
	p := &Pacer{start: time.Now()}
	p.SetMax(max)
	return p
}

// SetMax changes the longest time between two beats.
func (p *Pacer) SetMax(max time.Duration) { p.max.Store(int64(max)) }

// Interval returns the time between two beats, 0 if bytes are read as they come.
func (p *Pacer) Interval() time.Duration {
	d := min(time.Duration(p.publishers.Load())*perPublisher, time.Duration(p.max.Load()))
	if d < worthwhile {
		return 0
	}
	return d
}

// next returns the first beat after now, with beats d apart. It is the same for all publishers.
func (p *Pacer) next(now time.Time, d time.Duration) time.Time {
	return now.Add(d - now.Sub(p.start)%d)
}
