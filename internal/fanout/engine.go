package fanout

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure an engine. The zero value sends every message at once with one
// worker per CPU.
type Options struct {
	// Workers is the number of workers; 0 means GOMAXPROCS.
	Workers int
	// MinDelay is the least time that a worker rests between rounds.
	MinDelay time.Duration
	// MaxDelay bounds the rest that a busy worker takes so that each send carries more. With 0 a
	// worker never rests longer than MinDelay.
	MaxDelay time.Duration
	// Hooks take measurements; they run on workers and must not block. Any may be nil.
	Hooks Hooks
}

// Hooks are told measurements for histograms.
type Hooks struct {
	// FirstSent is told the time from a player's Join until its sink took the first bytes of the log, with the player's
	// observer.
	FirstSent func(o Observer, took time.Duration)
}

// Engine owns the workers. Close it after the last log was closed.
type Engine struct {
	opt     Options
	delays  atomic.Pointer[delays]
	epoch   time.Time
	workers []*worker
	next    atomic.Uint32
	stop    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup // workers
	events  sync.WaitGroup // observers' calls
}

// New starts an engine.
func New(o Options) *Engine {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	e := &Engine{opt: o, epoch: time.Now(), stop: make(chan struct{})}
	e.SetDelays(o.MinDelay, o.MaxDelay)
	for i := range o.Workers {
		e.workers = append(e.workers, newWorker(e, i))
	}
	for _, w := range e.workers {
		e.wg.Go(w.run)
	}
	return e
}

// delays bound the rests of a worker, in nanoseconds.
type delays struct{ min, max int64 }

// SetDelays changes Options.MinDelay and Options.MaxDelay, from each worker's next round on.
func (e *Engine) SetDelays(least, most time.Duration) {
	e.delays.Store(&delays{int64(least), int64(max(most, least))})
}

// Delays returns what SetDelays set last.
func (e *Engine) Delays() (least, most time.Duration) {
	d := e.delays.Load()
	return time.Duration(d.min), time.Duration(d.max)
}

// now returns the time on the engine's clock: monotonic nanoseconds since New, never 0.
func (e *Engine) now() int64 { return int64(time.Since(e.epoch)) + 1 }

// Close closes every player with ErrEngineClosed, stops the workers and waits
// for them and for every call to an Observer.
func (e *Engine) Close() {
	e.once.Do(func() { close(e.stop) })
	e.wg.Wait()
	e.events.Wait()
}

// pick returns the worker for a new player of near, which may be nil. A small
// audience shares one worker, so that one wake-up serves it.
func (e *Engine) pick(near *Log) *worker {
	if near != nil && near.players.Load() < largeAudience {
		return near.home
	}
	best := e.workers[0]
	for _, w := range e.workers[1:] {
		if w.players.Load() < best.players.Load() {
			best = w
		}
	}
	return best
}

// WorkerStats is what a worker is doing.
type WorkerStats struct {
	// Load is the share of time spent sending, over about the last second, from 0 to 1.
	Load float64
	// Interval is the rest that the worker last chose to take between two rounds.
	Interval time.Duration
	Players  int
}

// Stats returns an element for each worker.
func (e *Engine) Stats() []WorkerStats {
	s := make([]WorkerStats, len(e.workers))
	for i, w := range e.workers {
		s[i] = WorkerStats{
			Load:     float64(w.load.Load()) / 1e6,
			Interval: time.Duration(w.interval.Load()),
			Players:  int(w.players.Load()),
		}
	}
	return s
}

// Lags calls yield with each player's lag, as of the last look, at most a second ago.
func (e *Engine) Lags(yield func(time.Duration)) {
	for _, w := range e.workers {
		for _, lag := range w.lags() {
			yield(lag)
		}
	}
}
