package decide

import "time"

const (
	// failures in a row, after which the service is not asked for each peer.
	failures = 5
	// probeEvery is how often it is asked then.
	probeEvery = time.Second
)

// breaker keeps a service that fails from being asked each time. The zero breaker is ready.
type breaker struct {
	failed int       // in a row
	probe  time.Time // when the next question may be asked, if failed is at failures
}

// open reports whether the service keeps failing.
func (b *breaker) open() bool { return b.failed >= failures }

// allow reports whether a question may be asked now.
func (b *breaker) allow(now time.Time) bool {
	if !b.open() {
		return true
	}
	if now.Before(b.probe) {
		return false
	}
	b.probe = now.Add(probeEvery)
	return true
}

// report says how a question went, and returns whether open has changed.
func (b *breaker) report(ok bool, now time.Time) bool {
	was := b.open()
	if ok {
		b.failed = 0
	} else if b.failed++; b.failed == failures {
		b.probe = now.Add(probeEvery)
	}
	return b.open() != was
}
