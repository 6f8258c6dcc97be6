package fanout

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// restFactor: after a round that took r a worker rests restFactor*r, within the delays of Options.
	restFactor = 10
	// catchUp bounds what one player far behind is sent in a round beyond what is new.
	catchUp = 128 << 10
	// inlineAudience is up to how many players of a log the appending goroutine itself serves if
	// the worker is idle: a wake-up would cost more.
	inlineAudience = 8
	// sweepEvery is how often all players are checked, with or without new bytes.
	sweepEvery = time.Second
	// looseStall is when a player that reads no log and takes nothing is closed.
	looseStall = 30 * time.Second
	// linger is how long Finish waits for a full sink.
	linger = 500 * time.Millisecond
)

type opKind uint8

const (
	opAdd opKind = iota
	opJoin
	opPause
	opResume
	opServe
	opWritable
	opClose
	opFinish
)

// op is a request about a player to its worker.
type op struct {
	p    *Player
	kind opKind
	log  *Log
	from Start // of opJoin
	err  error
}

// What the worker's goroutine is doing, for goroutines that have work for it.
const (
	running  int32 = iota // or about to look for work
	sleeping              // until there is work
	resting               // until restEnd: only urgent work wakes it
)

// worker owns players and sends to them.
type worker struct {
	e       *Engine
	index   int // in Engine.workers
	players atomic.Int32
	wake    chan struct{} // 1 slot

	load     atomic.Int64 // millionths
	interval atomic.Int64

	qmu    sync.Mutex // guards below; a leaf
	ops    []op
	queue  []*audience // with new bytes
	low    []*audience // with new bytes, of logs that may not wait
	status int32
	closed bool

	mu        sync.Mutex // held during a round; guards below
	opsRun    []op
	queueRun  []*audience
	loose     []*Player   // players without a log
	catchup   []*Player   // players with more to send at once
	spare     []*Player   // catchup's other half
	audiences []*audience // those with players
	restEnd   int64       // no ordinary round before this
	busy      int64       // nanoseconds spent in rounds since measured
	measured  int64
	swept     int64
	stopped   bool
}

func newWorker(e *Engine, index int) *worker {
	return &worker{e: e, index: index, wake: make(chan struct{}, 1)}
}

// do hands the worker a request about a player, to be done at once.
func (w *worker) do(o op) {
	w.qmu.Lock()
	if w.closed {
		w.qmu.Unlock()
		if o.kind == opAdd {
			o.p.refuse()
		}
		return
	}
	w.ops = append(w.ops, o)
	asleep := w.status != running
	w.qmu.Unlock()
	if asleep {
		w.signal()
	}
}

func (w *worker) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// enqueue hands the worker an audience with new bytes. While the worker sleeps, the appending
// goroutine itself serves a small one.
func (w *worker) enqueue(p *audience) {
	w.qmu.Lock()
	if w.closed {
		w.qmu.Unlock()
		return
	}
	if p.log.opt.Load().Low {
		w.low = append(w.low, p)
	} else {
		w.queue = append(w.queue, p)
	}
	asleep := w.status == sleeping || w.status == resting && p.log.opt.Load().Low
	w.qmu.Unlock()
	if !asleep {
		return
	}
	if p.n.Load() <= inlineAudience && w.mu.TryLock() {
		done := w.inline()
		w.mu.Unlock()
		if done {
			return
		}
	}
	w.signal()
}

// rest returns how long to rest after a round that took r.
func (w *worker) rest(r int64) int64 {
	o := w.e.delays.Load()
	d := min(max(restFactor*r, o.min), o.max)
	w.interval.Store(d)
	return d
}

// account updates the load, the mean of about a second.
func (w *worker) account(start, end int64) {
	w.busy += end - start
	if d := end - w.measured; d >= int64(time.Second) {
		w.load.Store(w.busy * 1_000_000 / d)
		w.busy, w.measured = 0, end
	}
}

// run is the worker's goroutine.
func (w *worker) run() {
	timer := time.NewTimer(sweepEvery)
	defer timer.Stop()
	for {
		wait := w.turn()
		if wait == 0 {
			runtime.Gosched() // lets publishers append what the next round sends
		} else {
			timer.Reset(time.Duration(wait))
			select {
			case <-w.wake:
			case <-timer.C:
			case <-w.e.stop:
			}
			w.qmu.Lock()
			w.status = running
			w.qmu.Unlock()
		}
		select {
		case <-w.e.stop:
			w.close()
			return
		default:
		}
	}
}

// turn does the work at hand and returns how long the worker may wait for more.
func (w *worker) turn() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	start := w.e.now()
	w.roundAt(start, start >= w.restEnd)
	if start-w.swept >= int64(sweepEvery) {
		w.swept = start
		w.sweep(start)
	}
	return w.plan(w.e.now())
}

// plan returns how long the worker may wait from now on, and publishes it in state. mu is held.
func (w *worker) plan(now int64) int64 {
	w.qmu.Lock()
	defer w.qmu.Unlock()
	sweep := max(w.swept+int64(sweepEvery)-now, 1)
	switch {
	case len(w.ops) > 0 || len(w.low) > 0 || len(w.catchup) > 0:
		return 0
	case len(w.queue) > 0:
		if now >= w.restEnd {
			return 0
		}
		w.status = resting
		return min(w.restEnd-now, sweep)
	}
	w.status = sleeping
	return sweep
}

// inline runs a round on the appending goroutine if one is due. It reports whether no work is left
// for the worker. mu is held.
func (w *worker) inline() bool {
	now := w.e.now()
	if w.stopped || now < w.restEnd {
		return false
	}
	w.roundAt(now, true)
	w.qmu.Lock()
	defer w.qmu.Unlock()
	return len(w.queue) == 0 && len(w.low) == 0 && len(w.ops) == 0 && len(w.catchup) == 0
}

// roundAt carries out the requests and, if due, sends what is new. What may not wait is sent in any case. mu is held.
func (w *worker) roundAt(now int64, due bool) {
	w.qmu.Lock()
	w.opsRun, w.ops = w.ops, w.opsRun[:0]
	w.queueRun, w.low = append(w.queueRun[:0], w.low...), w.low[:0]
	if due {
		w.queueRun, w.queue = append(w.queueRun, w.queue...), w.queue[:0]
	}
	w.qmu.Unlock()
	worked := len(w.queueRun) > 0

	for i := range w.opsRun {
		w.apply(&w.opsRun[i], now)
		w.opsRun[i] = op{}
	}
	for i, a := range w.queueRun {
		w.serveAudience(a, now)
		w.queueRun[i] = nil
	}
	if due && worked {
		end := w.e.now()
		w.restEnd = end + w.rest(end-now)
	}
	if len(w.catchup) > 0 { // players that are behind need not wait until more has come
		worked = true
		w.serveBehind(now)
	}
	if worked {
		w.account(now, w.e.now())
	}
}

// serveAudience sends an audience what is new. Players that are far behind are served later.
func (w *worker) serveAudience(a *audience, now int64) {
	a.queued.Store(false) // cleared before the log is read: see invariant 3
	head := a.log.head.Load()
	budget := int(head-a.served) + catchUp
	a.served = head
	for i := 0; i < len(a.players); i++ {
		p := a.players[i]
		if p.state != ready || p.catching {
			continue
		}
		w.serve(p, budget, now)
		if i < len(a.players) && a.players[i] != p {
			i-- // p is gone and another took its place
		}
	}
}

// serveBehind sends catchUp more bytes to each player that was behind when the round began.
func (w *worker) serveBehind(now int64) {
	behind := w.catchup
	w.catchup, w.spare = w.spare[:0], behind
	for i, p := range behind {
		p.catching = false
		if p.state == ready {
			w.serve(p, catchUp, now)
		}
		behind[i] = nil
	}
}

// lags returns the lags of the worker's players that read a log.
func (w *worker) lags() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var l []time.Duration
	for _, a := range w.audiences {
		for _, p := range a.players {
			l = append(l, p.Lag())
		}
	}
	return l
}
