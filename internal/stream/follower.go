package stream

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"weir/av"
)

// From says where a follower begins.
type From uint8

const (
	// FromCached begins at the oldest start that is kept, else at the next one to come.
	FromCached From = iota
	// FromNext begins at the next start to come.
	FromNext
)

// FollowOptions say how a follower reads. The zero value suits a player.
type FollowOptions struct {
	From From
	// Strict makes Next fail with ErrLagged where it would skip.
	Strict bool
}

// Follower reads a stream's frames at its own pace: an in-process player, a recorder, a push to
// another server. It takes no lock of the stream, keeps none of its memory between calls, and
// cannot make the publisher wait.
type Follower struct {
	s      *Stream
	opt    FollowOptions
	group  *group
	closed chan struct{}

	skips, missed, frames, bytes atomic.Int64

	mu   sync.Mutex // guards below: Next's and Close's, never waited under
	over bool       // closed
	next int64      // the number of the entry to read, whose block is pinned
	// synced: has been at a start, and reads every entry from there on.
	synced bool
	// starting: the entry to read is a start.
	starting bool
	// behind: began so far back that it may be further behind than MaxLag, until it has caught up.
	behind bool
	// blind: began at sound while there was no picture. Pictures before a key frame are left out.
	blind bool
}

// Follow returns a new follower. Close it.
func (s *Stream) Follow(o FollowOptions) *Follower {
	f := &Follower{s: s, opt: o, closed: make(chan struct{}), behind: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.next, f.synced = s.list.oldest()
	if o.From == FromNext {
		f.next, f.synced = s.list.next.Load(), false
	}
	f.starting = f.synced
	s.list.pin(f.next) // which is kept: the lock is held
	f.group = s.bell.join(&s.hub.bells)
	return f
}

// Next waits for the next frame. The first one, and the first after a skip, is a start: its
// Headers are what must precede it. It fails with io.EOF when the stream has ended and all of it
// was read, with ErrClosed after Close, with ErrLagged if the follower is strict and fell behind,
// and else with ctx's cause. After ErrLagged it goes on where it would have skipped to. The entry
// belongs to the caller; its payload is shared and must not change.
func (f *Follower) Next(ctx context.Context) (Entry, error) {
	for {
		if e, ok, err := f.read(); ok || err != nil {
			return e, err
		}
		wake := f.group.wait()
		if e, ok, err := f.read(); ok || err != nil { // a frame came before the group was armed
			return e, err
		}
		select {
		case <-wake:
		case <-f.closed:
			return Entry{}, ErrClosed
		case <-ctx.Done():
			return Entry{}, context.Cause(ctx)
		}
	}
}

// Poll is Next for a frame that is there already: ok is false if none is.
func (f *Follower) Poll() (e Entry, ok bool, err error) { return f.read() }

// read reads the next entry, if it is there.
func (f *Follower) read() (_ Entry, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return Entry{}, false, ErrClosed
	}
	l := &f.s.list
	for {
		ended := f.s.ended.Load() // before next: nothing is appended after the end
		next := l.next.Load()
		if f.next == next {
			if ended {
				err = io.EOF
			}
			return Entry{}, false, err
		}
		e := l.entry(f.next)
		if e == nil || f.late(e) {
			if err = f.skip(); err != nil {
				return Entry{}, false, err
			}
			continue
		}
		f.advance()
		if f.wants(e) {
			f.frames.Add(1)
			f.bytes.Add(int64(len(e.Payload)))
			return *e, true, nil
		}
	}
}

// late reports whether e, the entry to read, is so old that the follower must skip, which needs
// a newer start.
func (f *Follower) late(e *Entry) bool {
	lag := time.Duration(f.s.list.arrived.Load()) - e.Arrived
	if lag <= f.s.settings.Load().MaxLag {
		f.behind = false
		return false
	}
	return !f.behind && f.s.list.newest.Load() > f.next
}

// wants reports whether the follower is to be given e.
func (f *Follower) wants(e *Entry) bool {
	if !f.synced && e.Sync {
		f.synced, f.starting = true, true
	}
	if !f.synced {
		return false
	}
	if f.starting {
		f.starting = false
		f.blind = e.Kind == av.Audio && e.Headers.Has(av.Video)
	}
	if f.blind && e.Kind == av.Video && e.Type == av.Media {
		if !e.IsKey() {
			return false
		}
		f.blind = false
	}
	return true
}

// advance goes on by one entry.
func (f *Follower) advance() {
	at := f.next
	f.next = f.s.list.following(at)
	if f.next%blockSize == 0 {
		f.s.list.pin(f.next) // while the block before it is pinned, this one is kept
		f.s.list.unpin(at)
	}
}

// skip goes on at the newest start, or waits for the next one.
func (f *Follower) skip() error {
	l := &f.s.list
	at := f.next
	l.unpin(at)
	f.next = l.newest.Load()
	f.synced = f.next > at && l.pin(f.next)
	if !f.synced {
		// The block of the next entry is there; pin fails only if a whole block was appended meanwhile.
		for f.next = l.next.Load(); !l.pin(f.next); f.next = l.next.Load() {
		}
	}
	f.starting, f.behind = f.synced, false
	f.skips.Add(1)
	f.missed.Add(f.next - at)
	if f.opt.Strict {
		return ErrLagged
	}
	return nil
}

// FollowerStats is what a follower has done so far.
type FollowerStats struct {
	Frames int64 // read
	Bytes  int64 // of their payload
	Skips  int64 // how often it fell behind and skipped
	Missed int64 // frames that it skipped
	Lag    time.Duration
}

// Stats returns the follower's figures.
func (f *Follower) Stats() FollowerStats {
	st := FollowerStats{Frames: f.frames.Load(), Bytes: f.bytes.Load(), Skips: f.skips.Load(), Missed: f.missed.Load()}
	l := &f.s.list
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next < l.next.Load() {
		if e := l.entry(f.next); e != nil {
			st.Lag = time.Duration(l.arrived.Load()) - e.Arrived
		} else {
			st.Lag = f.s.settings.Load().MaxLag // at least
		}
	}
	return st
}

// Skips returns how often the follower fell behind and skipped.
func (f *Follower) Skips() int { return int(f.skips.Load()) }

// Close ends the follower; a Next in progress returns ErrClosed. Closing again does nothing.
func (f *Follower) Close() {
	f.mu.Lock()
	if f.over {
		f.mu.Unlock()
		return
	}
	f.over = true
	f.s.list.unpin(f.next)
	f.mu.Unlock()
	close(f.closed)
	f.s.bell.leave(f.group)
}
