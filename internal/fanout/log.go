package fanout

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const (
	smallSegment = 64 << 10
	largeSegment = 256 << 10
	// Segments are large once this many players read the log: fewer and larger sends are then worth the memory.
	largeAudience = 16
	bytesPerMark  = 512
)

// segment is a run of the log's bytes. See the package's invariant 1.
type segment struct {
	buf     []byte // its length is the segment's capacity
	base    int64  // the log's offset of buf[0]
	headers uint32 // the header version in force before its first message
	w       atomic.Uint32
	n       atomic.Uint32
	marks   []mark
	next    atomic.Pointer[segment]
}

// mark is the start of a message. It holds no pointer, so that the garbage collector does not scan marks.
type mark struct {
	off     uint32
	headers uint32 // the header version in force once this message is read
	at      int64  // when it was appended, on the engine's clock
}

func newSegment(size int, base int64, headers uint32) *segment {
	return &segment{buf: make([]byte, size), base: base, headers: headers, marks: make([]mark, max(size/bytesPerMark, 16))}
}

// at returns the mark of the message that holds the byte at off, which must be below w.
func (s *segment) at(off uint32) mark {
	n := int(s.n.Load())
	i := sort.Search(n, func(i int) bool { return s.marks[i].off > off })
	return s.marks[max(i-1, 0)]
}

// boundary returns the first message boundary at or after off.
func (s *segment) boundary(off uint32) uint32 {
	w := s.w.Load() // a boundary: whole messages are committed
	n := int(s.n.Load())
	i := sort.Search(n, func(i int) bool { return s.marks[i].off >= off })
	if i < n {
		return min(s.marks[i].off, w)
	}
	return w
}

// Bounds limits what a log keeps for players that join. With a zero field it keeps nothing.
type Bounds struct {
	GOPs   int           // sync points kept; with 0 players that join wait for the next one
	Bytes  int64         // from the oldest kept sync point to the head
	Frames int           // likewise, in messages
	Time   time.Duration // likewise, by arrival
}

// SlowPolicy says what happens to a player that cannot keep up.
type SlowPolicy struct {
	// MaxLag is how old the oldest byte not yet given to the kernel may be. An older one makes the
	// player skip to a newer sync point, or closes it.
	MaxLag time.Duration
	// MaxStall closes a player that takes nothing for this long.
	MaxStall time.Duration
	// Close closes a slow player rather than letting it skip.
	Close bool
}

// LogOptions configure a log.
type LogOptions struct {
	Bounds Bounds
	Slow   SlowPolicy
	// Low serves the log's players at once in every round; saving CPU never makes them wait.
	Low bool
}

// syncPoint is a message at which a player may start, and what it must be sent first.
type syncPoint struct {
	seg      *segment
	off      uint32
	headers  uint32 // the header version that a player has after preamble
	at       int64
	message  int64 // the message's number in the log
	preamble []byte
}

func (p *syncPoint) pos() int64 { return p.seg.base + int64(p.off) }

// Log is the shared bytes of one stream in one wire format. One goroutine at a time
// may append (Reserve, Commit, DropSyncs, Close); everything else is safe from any.
type Log struct {
	engine    *Engine
	opt       atomic.Pointer[LogOptions]
	audiences []audience // one a worker
	home      *worker    // of a small audience

	players  atomic.Int32 // that read the log or wait for a sync point
	head     atomic.Int64 // bytes committed so far
	syncs    atomic.Int64 // sync points appended so far: waiting players watch it
	end      []byte       // what Close was given; set before closed
	closed   atomic.Bool
	headers  uint32 // of the next message
	messages int64
	tail     *segment

	mu         sync.Mutex  // guards below
	syncPoints []syncPoint // oldest first
}

// NewLog returns an empty log whose players this engine's workers serve.
func (e *Engine) NewLog(o LogOptions) *Log {
	l := &Log{engine: e, audiences: make([]audience, len(e.workers))}
	l.opt.Store(&o)
	l.home = e.workers[int(e.next.Add(1))%len(e.workers)]
	for i := range l.audiences {
		l.audiences[i].log, l.audiences[i].worker = l, e.workers[i]
	}
	return l
}

// Options returns the log's options.
func (l *Log) Options() LogOptions { return *l.opt.Load() }

// SetOptions changes the log's options. They hold from the next message and the next round on.
func (l *Log) SetOptions(o LogOptions) { l.opt.Store(&o) }

// Reserve returns an empty slice with room for one message of n bytes at the head
// of the log. Append the message to it and pass the result to Commit.
func (l *Log) Reserve(n int) []byte {
	t := l.tail
	if t != nil {
		w := int(t.w.Load())
		if w+n <= len(t.buf) && int(t.n.Load()) < len(t.marks) {
			return t.buf[w:w:len(t.buf)]
		}
	}
	size := smallSegment
	if l.players.Load() >= largeAudience {
		size = largeSegment
	}
	s := newSegment(max(size, n), l.head.Load(), l.headers)
	l.tail = s
	if t != nil {
		t.next.Store(s)
	}
	return s.buf[0:0:len(s.buf)]
}

// Message says what Commit appends.
type Message struct {
	// Sync marks a message at which a player may start once it has been sent Preamble.
	Sync bool
	// Preamble is copied nowhere and must not change.
	Preamble []byte
	// Headers says that the message is a header (a codec configuration or metadata): a player that
	// reads through it needs no preamble for it later.
	Headers bool
}

// Commit makes the message in b, which Reserve returned and the caller filled,
// part of the log. It reaches the players with the next Wake.
func (l *Log) Commit(b []byte, m Message) {
	t := l.tail
	w, n := t.w.Load(), t.n.Load()
	if len(b) == 0 || &b[0] != &t.buf[w] {
		panic("fanout: Commit of bytes that Reserve did not make room for")
	}
	if m.Headers {
		l.headers++
	}
	now := l.engine.now()
	t.marks[n] = mark{off: w, headers: l.headers, at: now}
	l.messages++
	head := l.head.Load() + int64(len(b))
	t.n.Store(n + 1)
	t.w.Store(w + uint32(len(b)))
	l.head.Store(head)

	l.mu.Lock()
	if m.Sync {
		l.syncPoints = append(l.syncPoints, syncPoint{seg: t, off: w, headers: l.headers, at: now, message: l.messages, preamble: m.Preamble})
		l.syncs.Add(1)
	}
	l.trimLocked(now, head)
	l.mu.Unlock()
}

// trimLocked forgets the sync points past the bounds. Without GOPs the newest one stays
// within the other bounds, for the players that already wait for it.
func (l *Log) trimLocked(now, head int64) {
	b := &l.opt.Load().Bounds
	keep := max(len(l.syncPoints)-max(b.GOPs, 1), 0)
	for keep < len(l.syncPoints) {
		p := &l.syncPoints[keep]
		if p.message == l.messages || head-p.pos() <= b.Bytes && l.messages-p.message < int64(b.Frames) && now-p.at <= int64(b.Time) {
			break
		}
		keep++
	}
	if keep > 0 {
		n := copy(l.syncPoints, l.syncPoints[keep:])
		clear(l.syncPoints[n:])
		l.syncPoints = l.syncPoints[:n]
	}
}

// DropSyncs forgets every sync point: players that join from now on wait for the next one.
func (l *Log) DropSyncs() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.syncPoints)
	l.syncPoints = l.syncPoints[:0]
}

// Wake has the players sent what was committed. It wakes each worker that sleeps and has players of
// this log, and never waits for a player.
func (l *Log) Wake() {
	for i := range l.audiences {
		if p := &l.audiences[i]; p.n.Load() > 0 && p.queued.CompareAndSwap(false, true) {
			p.worker.enqueue(p)
		}
	}
}

// Close ends the log: its players are sent the rest and then end, a message or nothing, and closed
// with ErrEnded. Those that still wait for a sync point are sent end alone.
func (l *Log) Close(end []byte) {
	if len(end) > 0 {
		l.Commit(append(l.Reserve(len(end)), end...), Message{})
	}
	l.end = end
	l.closed.Store(true)
	l.DropSyncs()
	l.Wake()
}

// start returns the oldest kept sync point.
func (l *Log) start() (syncPoint, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.syncPoints) == 0 {
		return syncPoint{}, false
	}
	return l.syncPoints[0], true
}

// ahead returns the newest sync point at or after from, if it is no older than the lag allowed.
func (l *Log) ahead(from, now int64) (syncPoint, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.syncPoints) == 0 {
		return syncPoint{}, false
	}
	p := l.syncPoints[len(l.syncPoints)-1]
	return p, p.pos() >= from && now-p.at <= int64(l.opt.Load().Slow.MaxLag)
}

// audience is the players of one log that one worker owns.
type audience struct {
	log     *Log
	worker  *worker
	queued  atomic.Bool  // it is in the worker's queue
	n       atomic.Int32 // len(players), for readers without worker.mu
	index   int          // in worker.audiences; guarded by worker.mu, like what follows
	players []*Player
	served  int64 // the log's head at the last round
}
