package stream

import (
	"sync/atomic"
	"time"

	"weir/av"
)

// Entry is one frame of a stream's list.
type Entry struct {
	av.Frame
	// Sync marks a frame at which a player may start.
	Sync bool
	// Headers is what a player must have before this frame.
	Headers *Headers
}

const (
	// blockSize entries are allocated together, so that a frame costs no allocation.
	blockSize = 32
	// blockBytes of payload end a block before it is full: blocks are given up as a whole, and frames may be large.
	blockBytes = 4 << 20
)

// block is the entries first to first+blockSize-1.
type block struct {
	first   int64
	bytes   int64 // of payload, in the list before its first entry
	entries [blockSize]Entry
	used    atomic.Int64  // entries, of a block that ended before it was full; else 0
	arrived time.Duration // when its newest entry did; guarded by the stream's lock
	// pins is how many followers have their next entry here. It only asks the list to keep the
	// block: whether an entry may be read never depends on it.
	pins atomic.Int32
}

// ring finds blocks by number: block k is in slot k modulo the slots.
type ring []atomic.Pointer[block]

func (r ring) slot(n int64) *atomic.Pointer[block] { return &r[(n/blockSize)%int64(len(r))] }

const (
	ringSize = 8 // at first
	// What is kept for followers is bounded by the stream's MaxLag, and by these.
	heldFrames = 16384
	heldBytes  = 64 << 20
)

// list is the stream's recent frames, numbered from 0. One goroutine at a time appends, under
// the stream's lock. Any number of others read without one:
//
//   - Entry n may be read once next is more than n, and never changes again.
//   - A block that the list gives up leaves its slot. A reader that still has it reads the same
//     entries, and a later reader finds another block or none: it has lost the entries.
//   - Blocks do not refer to each other: a reference to one keeps blockSize frames alive, no more.
//   - The block of next is always there, so that a follower can pin what has not come yet.
//   - Numbers may be left out at the end of a block. What is known to follow an entry that may be read does not change.
type list struct {
	next    atomic.Int64 // the number of the next entry
	newest  atomic.Int64 // the number of the newest start; -1 if it may not be used any more
	arrived atomic.Int64 // a time.Duration: when the newest entry arrived
	ring    atomic.Pointer[ring]

	// Guarded by the stream's lock.
	bounds Cache
	lag    time.Duration // how long blocks are kept for followers
	first  int64         // the first entry of the oldest block that is kept
	bytes  int64
	starts []start
}

// start is an entry at which players may start.
type start struct {
	frame int64 // its number
	bytes int64 // before it
	at    time.Duration
}

// init makes an empty list.
func (l *list) init(c Cache, lag time.Duration) {
	l.bounds, l.lag = c, lag
	r := make(ring, ringSize)
	r[0].Store(new(block))
	l.ring.Store(&r)
	l.newest.Store(-1)
}

// block returns the block of entry n, nil if it is not kept.
func (l *list) block(n int64) *block {
	b := l.ring.Load().slot(n).Load()
	if b == nil || b.first != n-n%blockSize {
		return nil
	}
	return b
}

// entry returns entry n, which has been written; nil if it has been given up.
func (l *list) entry(n int64) *Entry {
	b := l.block(n)
	if b == nil {
		return nil
	}
	return &b.entries[n%blockSize]
}

// following returns the number behind that of entry n, which has been written.
func (l *list) following(n int64) int64 {
	if b := l.block(n); b != nil {
		if used := b.used.Load(); used > 0 && n-b.first == used-1 {
			return b.first + blockSize
		}
	}
	return n + 1
}

// append adds an entry and returns where it is. It reports whether a bound was passed that leaves
// no start.
func (l *list) append(e *Entry) (stored *Entry, starved bool) {
	n := l.next.Load()
	b := l.block(n)
	stored = &b.entries[n-b.first]
	*stored, b.arrived = *e, e.Arrived
	bytes := l.bytes
	l.bytes += int64(len(e.Payload))
	next := n + 1
	if next < b.first+blockSize && l.bytes-b.bytes >= blockBytes {
		b.used.Store(next - b.first)
		next = b.first + blockSize
	}
	if next == b.first+blockSize {
		l.grow(next)
	}
	l.arrived.Store(int64(e.Arrived))
	l.next.Store(next)
	if e.Sync {
		if l.bounds.GOPs > 0 {
			l.starts = append(l.starts, start{n, bytes, e.Arrived})
		}
		l.newest.Store(n)
	}
	return stored, l.trim(e.Arrived)
}

// grow adds the block that begins with entry n.
func (l *list) grow(n int64) {
	r := *l.ring.Load()
	if int(n-l.first)/blockSize >= len(r) {
		larger := make(ring, 2*len(r))
		for k := l.first; k < n; k += blockSize {
			larger.slot(k).Store(r.slot(k).Load())
		}
		l.ring.Store(&larger)
		r = larger
	}
	r.slot(n).Store(&block{first: n, bytes: l.bytes})
}

// trim gives up the starts beyond a bound, then the blocks that are no longer needed.
func (l *list) trim(now time.Duration) (starved bool) {
	next := l.next.Load()
	drop := max(len(l.starts)-max(l.bounds.GOPs, 0), 0)
	for drop < len(l.starts) {
		s := &l.starts[drop]
		if l.bytes-s.bytes <= l.bounds.Bytes && next-s.frame <= int64(l.bounds.Frames) && now-s.at <= l.bounds.Time {
			break
		}
		drop++
	}
	if drop > 0 {
		n := copy(l.starts, l.starts[drop:])
		clear(l.starts[n:])
		l.starts = l.starts[:n]
		starved = n == 0
	}
	l.release(now)
	return starved
}

// release gives up the oldest blocks up to the first that is needed: by a start, by the next entry,
// or by a follower that is not too far behind.
func (l *list) release(now time.Duration) {
	next, keep := l.next.Load(), l.next.Load()
	if len(l.starts) > 0 {
		keep = l.starts[0].frame
	}
	r := *l.ring.Load()
	for end := l.first + blockSize; end <= keep; end += blockSize {
		slot := r.slot(l.first)
		b := slot.Load()
		behind := now - b.arrived
		if b.pins.Load() > 0 && behind <= l.lag && next-l.first <= heldFrames && l.bytes-b.bytes <= heldBytes {
			return
		}
		slot.Store(nil)
		l.first = end
	}
}

// setBounds changes the bounds.
func (l *list) setBounds(c Cache, lag, now time.Duration) {
	l.bounds, l.lag = c, lag
	l.trim(now)
}

// flush forgets the starts.
func (l *list) flush() {
	clear(l.starts)
	l.starts = l.starts[:0]
	l.newest.Store(-1)
}

// oldest returns the number of the oldest start, else that of the next entry. The stream's
// lock is held.
func (l *list) oldest() (n int64, ok bool) {
	if len(l.starts) > 0 {
		return l.starts[0].frame, true
	}
	return l.next.Load(), false
}

// pin asks for the block of entry n to be kept. It reports false if the block has already been given up.
func (l *list) pin(n int64) bool {
	b := l.block(n)
	if b == nil {
		return false
	}
	b.pins.Add(1)
	if l.block(n) != b { // it was given up meanwhile
		b.pins.Add(-1)
		return false
	}
	return true
}

// unpin undoes pin.
func (l *list) unpin(n int64) {
	if b := l.block(n); b != nil {
		b.pins.Add(-1)
	}
}
