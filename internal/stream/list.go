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

// blockSize entries are allocated together, so that a frame costs no allocation.
const blockSize = 32

type block struct {
	entries [blockSize]Entry
	n       atomic.Int32 // entries below n never change
	next    atomic.Pointer[block]
}

// place is a position in the list.
type place struct {
	b *block
	i int32
}

// entry returns the entry at p, nil if it has not been written yet.
func (p *place) entry() *Entry {
	for p.b != nil {
		next := p.b.next.Load()
		if p.i < p.b.n.Load() {
			return &p.b.entries[p.i]
		}
		if next == nil {
			return nil
		}
		p.b, p.i = next, 0
	}
	return nil
}

// start is a place where players may start.
type start struct {
	place
	frame int64 // the entry's number
	bytes int64 // before it
	at    time.Duration
}

// list is the stream's recent frames, newest at the tail. What no start and no reader
// reaches is the collector's. The stream's lock guards it.
type list struct {
	bounds Cache
	tail   *block
	frames int64
	bytes  int64
	starts []start
	// starved is set when a bound dropped the last start: there are no key frames.
	starved bool
}

// append adds an entry and returns where it is. It reports whether a bound was passed
// with no start left, for the first time since there was one.
func (l *list) append(e *Entry) (stored *Entry, starved bool) {
	if l.tail == nil {
		l.tail = new(block)
	}
	if l.tail.n.Load() == blockSize {
		b := new(block)
		l.tail.next.Store(b)
		l.tail = b
	}
	i := l.tail.n.Load()
	stored = &l.tail.entries[i]
	*stored = *e
	l.tail.n.Store(i + 1)
	if e.Sync && l.bounds.GOPs > 0 {
		l.starts = append(l.starts, start{place{l.tail, i}, l.frames, l.bytes, e.Arrived})
		l.starved = false
	}
	l.frames++
	l.bytes += int64(len(e.Payload))
	return stored, l.trim(e.Arrived)
}

func (l *list) trim(now time.Duration) bool {
	drop := max(len(l.starts)-l.bounds.GOPs, 0)
	for drop < len(l.starts) {
		s := &l.starts[drop]
		if l.bytes-s.bytes <= l.bounds.Bytes && l.frames-s.frame <= int64(l.bounds.Frames) && now-s.at <= l.bounds.Time {
			break
		}
		drop++
	}
	if drop == 0 {
		return false
	}
	n := copy(l.starts, l.starts[drop:])
	clear(l.starts[n:])
	l.starts = l.starts[:n]
	if n == 0 && !l.starved {
		l.starved = true
		return true
	}
	return false
}

// flush forgets the starts.
func (l *list) flush() {
	clear(l.starts)
	l.starts = l.starts[:0]
}

// oldest returns the place of the oldest start and its number, else those of the next entry.
func (l *list) oldest() (p place, number int64, ok bool) {
	if len(l.starts) > 0 {
		return l.starts[0].place, l.starts[0].frame, true
	}
	return l.end(), l.frames, false
}

// newest returns the newest start.
func (l *list) newest() (start, bool) {
	if len(l.starts) == 0 {
		return start{}, false
	}
	return l.starts[len(l.starts)-1], true
}

func (l *list) end() place {
	if l.tail == nil {
		l.tail = new(block)
	}
	return place{l.tail, l.tail.n.Load()}
}
