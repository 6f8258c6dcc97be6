package fanout

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxPrivate bounds the bytes that wait for one player beside the log's. Each message
	// counts for messageCost more, which is what holding it takes, however short it is.
	maxPrivate  = 128 << 10
	messageCost = 64
)

// Observer is told what happens to one player. Its methods run on goroutines of the
// engine's, never on a worker.
type Observer interface {
	// Closed is called once, after the connection was closed, with the cause.
	Closed(p *Player, cause error)
	// Skipped is called when the player skipped to a newer sync mark, at most once a
	// minute: lag is the age of what it had not been sent, bytes how much it was.
	Skipped(p *Player, lag time.Duration, bytes int64)
}

// Counters are where a player counts: what the sink has taken, in bytes, and how often
// the player skipped to a newer sync mark.
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

	// Everything below is the worker's.
	audience *audience // nil: reads no log
	seg      *segment  // nil: paused, or waiting for a sync mark
	off      uint32
	state    state
	paused   bool
	catching bool   // in worker.catchup
	ending   error  // set by Finish
	landed   bool   // has been at a sync mark of this log
	headers  uint32 // the header version that the player has at least
	index    int    // in part.players, or in worker.loose without part
	from     int64  // while waiting: only sync marks from this position on; -1: any that is kept
	syncs    int64  // while waiting: the log's count when it was last looked at
	joined   int64  // when the log became available to it: join or landing
	progress int64  // when the sink last took bytes, or was last not full
	noticed  int64  // when Skipped was last called
	first    int64  // when it joined, until the first bytes of the log were sent; then 0
	out      [][]byte
	rewrite  func(b []byte) // of Start; nil for nearly all
	lead     *Lead          // being sent; nil for nearly all
}

// rewriteChunk is about how much is rewritten for a player at a time, in bytes.
const rewriteChunk = 64 << 10

type state uint8

const (
	ready   state = iota
	blocked       // the sink is full; Arm is pending
	dead          // closed
)

// Add makes a player of sink, which the engine closes in the end. obs and the counters
// may be nil.
// near is the log that it will read, if known. It reads none until Join. After Close
// of the engine the player is closed at once, on the caller's goroutine.
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

// Start says how a player begins to read a log. The zero value begins at the oldest sync mark that
// the log keeps, else at the next one.
type Start struct {
	// Next begins at the next sync mark: nothing that was already appended is sent.
	Next bool
	// Rewrite, if not nil, changes the log's messages in place for this player alone, without
	// changing their length. It is given whole messages, as many as were appended. The player
	// costs a copy of what it is sent.
	Rewrite func(b []byte)
	// Lead, if not nil, is sent first, and the player reads the log from where the lead ends.
	Lead *Lead
}

// Join makes the player read l. A player reads one log at a time: joining another
// leaves the first after the message in flight. Bytes given to Send before Join are
// sent before the log's.
func (p *Player) Join(l *Log, s Start) { p.worker.do(op{p: p, kind: opJoin, log: l, from: s}) }

// Pause stops sending the log's bytes after the message in flight; Resume goes on
// at a sync mark that the player has not seen yet.
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

// takeInbox moves what Send queued to out. The player must be at a message boundary.
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

// drop forgets what waits for a player that is gone.
func (p *Player) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inbox, p.inboxN = nil, 0
}

// refuse closes a player that came after the engine was closed.
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

// pos returns the cursor's place in the log.
func (p *Player) pos() int64 { return p.seg.base + int64(p.off) }

// advance moves the cursor off the end of a finished segment; it reports whether
// there are bytes at the cursor.
func (p *Player) advance() bool {
	for {
		s := p.seg
		next := s.next.Load() // before w: see invariant 1
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

// land moves the cursor to a sync mark.
func (p *Player) land(s *syncPoint, now int64) {
	if len(s.preamble) > 0 && (!p.landed || p.headers != s.headers) {
		p.out = append(p.out, p.rewritten(s.preamble))
	}
	p.seg, p.off = s.seg, s.off
	p.headers, p.landed, p.joined = s.headers, true, now
}

// leave takes the cursor off the log after the message in flight, which is kept, and
// notes which headers the player has by then. It then waits for a sync mark further on.
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

// rewritten returns whole messages of the log as this player is sent them.
func (p *Player) rewritten(b []byte) []byte {
	if p.rewrite != nil {
		b = bytes.Clone(b)
		p.rewrite(b)
	}
	return b
}

// takeRewritten moves the next messages of the log, about rewriteChunk bytes of them, to out, and
// returns how many bytes they are. The cursor is at a message boundary, with bytes behind it.
func (p *Player) takeRewritten() int {
	end := p.seg.boundary(p.off + min(rewriteChunk, p.seg.w.Load()-p.off))
	b := p.rewritten(p.seg.buf[p.off:end])
	p.out = append(p.out, b)
	p.off = end
	return len(b)
}
