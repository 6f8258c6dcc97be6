package fetch

import (
	"sync/atomic"
	"time"

	"weir/av"
	"weir/internal/session"
)

// patient is a source that fails when no media comes for a while, even if other data does. Time in
// which ReadFrame is not called does not count.
type patient struct {
	Source
	limit   time.Duration
	left    time.Duration // of the limit
	expired atomic.Bool
}

func newPatient(s Source, limit time.Duration) *patient {
	return &patient{Source: s, limit: limit, left: limit}
}

// ReadFrame implements Source.
func (p *patient) ReadFrame() (*av.Frame, error) {
	begin := time.Now()
	t := time.AfterFunc(p.left, func() {
		p.expired.Store(true)
		_ = p.Close()
	})
	f, err := p.Source.ReadFrame()
	t.Stop()
	if err != nil {
		if p.expired.Load() {
			why := "nobody publishes the stream, or its server or network hangs"
			if s, ok := p.Source.(*hlsSource); ok && s.stands() {
				why = "its playlist can be had, but has no new segment: the encoder has stopped"
			}
			err = session.Becausef(session.Idle, "no frame has come for %v: %s", p.limit, why)
		}
		return nil, err
	}
	if p.left -= time.Since(begin); f.Type == av.Media {
		p.left = p.limit
	}
	return f, nil
}
