package pages

import (
	"context"
	"sync"
	"time"
)

// Those who wait for a stream ask for it again and again, and the answer takes a look at up to thousands of files: it is kept for
// pastTime, of maxPasts streams.
const (
	pastTime = 5 * time.Second
	maxPasts = 1024
)

// pasts are the beginnings of what was recorded, as they were found last.
type pasts struct {
	mu     sync.Mutex // guards below
	byPath map[string]begun
}

// begun is when what was recorded of a stream begins, if something was.
type begun struct {
	asked, at time.Time
	ok        bool
}

// pastOf returns how far one can go back in a stream that is not live.
func (p *Pages) pastOf(ctx context.Context, path string) (time.Duration, bool) {
	p.pasts.mu.Lock()
	b, known := p.pasts.byPath[path]
	p.pasts.mu.Unlock()
	now := time.Now()
	if !known || now.Sub(b.asked) >= pastTime {
		past, ok := p.recorded.Past(ctx, path)
		b = begun{now, now.Add(-past), ok}
		p.pasts.mu.Lock()
		if p.pasts.byPath == nil || len(p.pasts.byPath) >= maxPasts {
			p.pasts.byPath = map[string]begun{}
		}
		p.pasts.byPath[path] = b
		p.pasts.mu.Unlock()
	}
	return now.Sub(b.at), b.ok
}
