package fanout

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxPrivate bounds the bytes that wait for one player beside the log's. Each message counts
	// messageCost more than its length, for the memory that it takes even if it is empty.
	maxPrivate  = 128 << 10
	messageCost = 64
)

// Observer is told what happens to one player. The engine calls it on goroutines of its own, never on a worker.
type Observer interface {
	// Closed is called once, with the cause, after the connection was closed.
	Closed(p *Player, cause error)
	// Skipped is called when the player skipped to a newer sync point, at most once a minute. It was
	// lag behind, and was not sent that many bytes.
	Skipped(p *Player, lag time.Duration, bytes int64)
}

// Counters are incremented for a player: Sent by the bytes that its sink takes, Skips whenever it
// skips to a newer sync point.
type Counters struct{ Sent, Skips *atomic.Uint64 }

// Player is a cursor on a log with a connection of its own.
type Player struct {
	worker *worker
	sink   Sink
	obs    Observer

	count Counters
	lag   atomic.Int64 // nanoseconds at the worker's last look

	inboxed atomic.Bool // inbox is not empty
	mu      sync.Mutex  // guards inbox, inboxSize
	inbox   [][]byte
	inboxN  int

	// The worker owns everything below.
	audience *audience // nil: reads no log
	seg      *segment  // nil: paused, or waiting for a sync point
	off      uint32
	state    state
	paused   bool
	catching bool   // in worker.catchup
	ending   error  // set by Finish
	landed   bool   // has been at a sync point of this log
	told     bool   // was sent what the log ends with, without having been at one
	headers  uint32 // the header version that the player has at least
	index    int    // in audience.players, or in worker.loose if audience is nil
	from     int64  // while waiting: it starts at no sync point before this position; -1: at any that is kept
	syncs    int64  // while waiting: Log.syncs at the last look
	joined   int64  // when the log became available to it: join or landing
	progress int64  // when the sink last took bytes, or was last not full
	noticed  int64  // when Skipped was last called
	first    int64  // when it joined, until the first bytes of the log were sent; then 0
	out      [][]byte
	rewrite  func(b []byte) // Start.Rewrite; usually nil
	lead     *Lead          // being sent; usually nil
}

// rewriteChunk is about how many bytes are rewritten for a player at a time.
const rewriteChunk = 64 << 10

type state uint8

const (
	ready   state = iota
	blocked       // the sink is full; Arm is pending
	dead          // closed
)

// Add makes a player that is sent to through sink, which the engine closes in the end. obs and the
// counters may be nil; near is the log that the player will read, if known. It reads none until
// Join. If the engine is closed, so is the player, at once and on the caller's goroutine.
func (e *Engine) Add(sink Sink, obs Observer, near *Log, c Counters) *Player {
	w := e.pick(near)
	if c.Sent == nil {
		c.Sent = new(atomic.Uint64)
	}
	if c.Skips == nil {
		c.Skips = new(atomic.Uint64)
	}
	p := &Player{worker: w, sink: sink, obs: obs, count: c}
	w.players.Add(1)
	w.do(op{p: p, kind: opAdd})
	return p
}

// Start says how a player begins to read a log. The zero value begins at the oldest sync point that
// the log keeps, else at the next one.
type Start struct {
	// Next begins at the next sync point: nothing that has already been appended is sent.
	Next bool
	// Rewrite, if not nil, changes the log's messages in place for this player alone, without
	// changing their length. It is given any number of whole messages. It costs a copy of what the player is sent.
	Rewrite func(b []byte)
	// Lead, if not nil, is sent first, and the player reads the log from where the lead ends.
	Lead *Lead
}

// Join makes the player read l. A player reads one log at a time: joining another
// leaves the first after the message in flight. Bytes given to Send before Join are
// sent before the log's.
func (p *Player) Join(l *Log, s Start) { p.worker.do(op{p: p, kind: opJoin, log: l, from: s}) }

// Pause stops sending the log's bytes after the message in flight; after Resume the player goes on
// at a sync point that it has not seen yet.
func (p *Player) Pause() { p.worker.do(op{p: p, kind: opPause}) }

// Resume undoes Pause.
func (p *Player) Resume() { p.worker.do(op{p: p, kind: opResume}) }

// Send queues one or more whole messages for this player alone. They go out at the
// next message boundary. Send keeps b. The player is closed with ErrBacklog when too much waits.
func (p *Player) Send(b []byte) {
	p.mu.Lock()
	p.inbox = append(p.inbox, b)
	p.inboxN += len(b) + messageCost
	over := p.inboxN > maxPrivate
	first := !p.inboxed.Swap(true)
	p.mu.Unlock()
	if over {
		p.Close(ErrBacklog)
	} else if first {
		p.worker.do(op{p: p, kind: opServe})
	}
}

// Close ends the player at once; only the first cause counts.
func (p *Player) Close(cause error) { p.worker.do(op{p: p, kind: opClose, err: cause}) }

// Finish ends the player like Close, after what Send was given has been sent or the
// sink has been full for the linger of half a second.
func (p *Player) Finish(cause error) { p.worker.do(op{p: p, kind: opFinish, err: cause}) }

// Writable implements the callback of Sink.Arm.
func (p *Player) Writable() { p.worker.do(op{p: p, kind: opWritable}) }

// Lag returns the age of the oldest byte not yet taken, as of the last look, at most a second ago.
func (p *Player) Lag() time.Duration { return time.Duration(p.lag.Load()) }

// takeInbox moves the messages that Send queued to out. The player must be at a message boundary.
func (p *Player) takeInbox() {
	p.mu.Lock()
	p.out = append(p.out, p.inbox...)
	p.inbox, p.inboxN = nil, 0
	p.inboxed.Store(false)
	p.mu.Unlock()
}

// shift takes the first n bytes off out.
func (p *Player) shift(n int) {
	if p.out[0] = p.out[0][n:]; len(p.out[0]) > 0 {
		return
	}
	p.out[0] = nil
	if p.out = p.out[1:]; len(p.out) == 0 {
		p.out = nil
		p.dropLead()
	}
}

// drop discards what waits for a closed player.
func (p *Player) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inbox, p.inboxN = nil, 0
}

// refuse closes a player that was added after the engine was closed.
func (p *Player) refuse() {
	_ = p.sink.Close()
	p.worker.players.Add(-1)
	if p.obs != nil {
		p.obs.Closed(p, ErrEngineClosed)
	}
}

// atBoundary reports whether the cursor is between messages.
func (p *Player) atBoundary() bool {
	return p.seg == nil || p.seg.boundary(p.off) == p.off
}

// pos returns the cursor's position in the log.
func (p *Player) pos() int64 { return p.seg.base + int64(p.off) }

// advance moves the cursor off the end of a finished segment; it reports whether
// there are bytes at the cursor.
func (p *Player) advance() bool {
	for {
		s := p.seg
		next := s.next.Load() // loaded before w: see invariant 1
		if p.off < s.w.Load() {
			return true
		}
		if next == nil {
			return false
		}
		p.seg, p.off = next, 0
	}
}

// age returns how long the oldest unsent byte of the log has been available to the player.
func (p *Player) age(now int64) int64 {
	if p.seg == nil || !p.advance() {
		return 0
	}
	return max(now-max(p.seg.at(p.off).at, p.joined), 0)
}

// land moves the cursor to a sync point.
func (p *Player) land(s *syncPoint, now int64) {
	if len(s.preamble) > 0 && (!p.landed || p.headers != s.headers) {
		p.out = append(p.out, p.rewritten(s.preamble))
	}
	p.seg, p.off = s.seg, s.off
	p.headers, p.landed, p.joined = s.headers, true, now
}

// leave detaches the cursor from the log after the message in flight, which the player keeps, and
// notes which headers the player then has. It then waits for a later sync point.
func (p *Player) leave() {
	s := p.seg
	if s == nil {
		return
	}
	end := p.off
	if p.off > 0 {
		if end = s.boundary(p.off); end > p.off {
			p.out = append(p.out, s.buf[p.off:end:end])
		}
		p.headers = max(p.headers, s.at(end-1).headers)
	} else {
		p.headers = max(p.headers, s.headers)
	}
	p.from = s.base + int64(end)
	p.seg, p.off = nil, 0
	p.syncs = -1
}

// rewritten returns whole messages of the log in the form that this player is sent.
func (p *Player) rewritten(b []byte) []byte {
	if p.rewrite != nil {
		b = bytes.Clone(b)
		p.rewrite(b)
	}
	return b
}

// takeRewritten appends the next messages of the log, about rewriteChunk bytes, to out, and returns
// their size. The cursor is at a message boundary before the head.
func (p *Player) takeRewritten() int {
	end := p.seg.boundary(p.off + min(rewriteChunk, p.seg.w.Load()-p.off))
	b := p.rewritten(p.seg.buf[p.off:end])
	p.out = append(p.out, b)
	p.off = end
	return len(b)
}
