package s3

import (
	"context"
	"io"
	"sync"
	"time"
)

// limiter bounds what is sent of all files together.
type limiter struct {
	perSecond float64 // bytes; 0: no limit

	mu   sync.Mutex // guards below
	free time.Time  // when the next byte may be sent
}

func newLimiter(bitrate int64) *limiter { return &limiter{perSecond: float64(bitrate) / 8} }

// reserve returns when n bytes may be sent.
func (l *limiter) reserve(n int, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free.Before(now) {
		l.free = now
	}
	at := l.free
	l.free = l.free.Add(time.Duration(float64(n) / l.perSecond * float64(time.Second)))
	return at
}

// limited reads at the rate of a limiter.
type limited struct {
	ctx   context.Context
	limit *limiter
	r     io.Reader
}

// slice is how much is read at once, so that a low limit does not come in bursts.
const slice = 16 << 10

// Read implements io.Reader.
func (l *limited) Read(b []byte) (int, error) {
	if l.limit.perSecond <= 0 {
		return l.r.Read(b)
	}
	n, err := l.r.Read(b[:min(len(b), slice)])
	if n > 0 {
		t := time.NewTimer(time.Until(l.limit.reserve(n, time.Now())))
		defer t.Stop()
		select {
		case <-t.C:
		case <-l.ctx.Done():
			return 0, l.ctx.Err()
		}
	}
	return n, err
}
