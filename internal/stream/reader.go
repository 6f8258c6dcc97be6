package stream

import (
	"context"
	"io"
	"time"
)

// Reader is a cursor on a stream's frames for one goroutine: in-process players,
// recorders, relays with a clock of their own.
type Reader struct {
	s *Stream

	// Guarded by s.mu.
	at     place
	synced bool  // has been at a start
	lost   bool  // fell behind: waits for a start
	number int64 // of the entry at at; where it was when it was lost
	skips  int
	closed bool
}

// NewReader returns a reader that begins at the oldest kept start, else at the next one. Close it.
func (s *Stream) NewReader() *Reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Reader{s: s}
	r.at, r.number, r.synced = s.list.oldest()
	s.readers[r] = struct{}{}
	return r
}

// Next waits for the next frame. The first one, and the first after the reader fell
// behind the stream's MaxLag, is a start; its Headers say what comes before it. It
// fails with io.EOF when the stream has ended, ErrClosed after Close, else ctx's cause. The
// entry must not be changed.
func (r *Reader) Next(ctx context.Context) (*Entry, error) {
	s := r.s
	for {
		s.mu.Lock()
		e, wake, err := r.step()
		s.mu.Unlock()
		if e != nil || err != nil {
			return e, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// step returns the next entry, or a channel that is closed when there may be one. mu is held.
func (r *Reader) step() (*Entry, <-chan struct{}, error) {
	s := r.s
	if r.closed {
		return nil, nil, ErrClosed
	}
	if r.lost {
		if st, ok := s.list.newest(); ok && st.frame > r.number && s.hub.Now()-st.at <= s.set.MaxLag {
			r.at, r.number, r.lost, r.synced = st.place, st.frame, false, true
		}
	}
	for !r.lost {
		e := r.at.entry()
		if e == nil {
			break
		}
		r.at.i++
		r.number++
		if r.synced || e.Sync {
			r.synced = true
			return e, nil, nil
		}
	}
	if s.ended {
		return nil, nil, io.EOF
	}
	s.waiting = true
	return nil, s.wake, nil
}

// Skips returns how often the reader fell behind and skipped.
func (r *Reader) Skips() int {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.skips
}

// Close ends the reader; a Next in progress returns ErrClosed.
func (r *Reader) Close() {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	r.closed = true
	r.at = place{}
	delete(s.readers, r)
	if s.waiting && !s.ended {
		s.waiting = false
		close(s.wake)
		s.wake = make(chan struct{})
	}
}

// sweepReaders takes readers that fell too far behind off the list, so that what they have not
// read is not held for them. mu is held.
func (s *Stream) sweepReaders(now time.Duration) {
	if len(s.readers) == 0 || now-s.swept < time.Second {
		return
	}
	s.swept = now
	for r := range s.readers {
		if r.lost || r.at.b == nil {
			continue
		}
		if e := r.at.entry(); e != nil && now-e.Arrived > s.set.MaxLag {
			r.at, r.lost = place{}, true
			r.skips++
		}
	}
}
