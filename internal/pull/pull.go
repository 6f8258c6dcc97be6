package pull

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"weir/internal/session"
	"weir/internal/stream"
)

const (
	// minWait and maxWait bound the wait after all sources have failed; it doubles from the one to the other.
	minWait = time.Second
	maxWait = 30 * time.Second
	// maxWaitWatched bounds it while players wait for the stream's return, which they do for its grace only: there is one try for all of them.
	maxWaitWatched = 2 * time.Second
	// holdOff is how long after a failure the next players are told of it instead of causing another try.
	holdOff = time.Second
	// steady is how long a source must have sent so that after its end all sources are tried before the first wait.
	steady = 2 * time.Second
	// watchEvery is how often a pull on demand looks for players, and one that stands by whether somebody else publishes.
	watchEvery = 250 * time.Millisecond
)

// Causes that end or interrupt a pull.
var (
	// errAgain begins anew: at once, and with the plan that holds now.
	errAgain     = errors.New("it is tried again")
	errRetried   = session.Because(session.Kicked, fmt.Errorf("%w, as the API asks for it", errAgain))
	errReplanned = session.Because(session.Config, fmt.Errorf("%w: its sources have changed", errAgain))
	errUnwatched = session.Because(session.Unpublish, errors.New("nobody plays the stream any more"))
	errRemoved   = session.Because(session.Config, errors.New("the stream is not fetched any more"))
)

// pull fetches one stream.
type pull struct {
	m     *Manager
	path  string
	index int // of the source that is tried next; of its goroutine alone

	telling sync.Mutex // taken before mu
	mu      sync.Mutex // guards below
	plan    Plan
	query   string // of the player for whom the plan was made
	running bool
	cancel  context.CancelCauseFunc // of what runs
	closing bool                    // it ends for want of players, unless one comes
	asked   int                     // players that came, ever
	hops    []string                // the longest chain of servers to a player, while there are any
	live    *opened                 // the source that sends; nil: none does
	state   State
	told    news // what the log and the events know
	known   memories

	failure     error     // why the last round of all sources failed; nil after a success
	failedAt    time.Time // when
	failedAsked int       // the players that had come then
}

// want is called for each player that comes. It fails if the stream could not be fetched just now.
func (p *pull) want(hops []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failure != nil && time.Since(p.failedAt) < holdOff {
		return refusal(p.failure)
	}
	p.asked++
	p.closing = false
	if len(hops) > len(p.hops) {
		p.hops = hops
	}
	switch {
	case !p.running:
		p.start()
	case p.state.Status == Retrying:
		p.cancel(errAgain)
	}
	return nil
}

// refusal is what players are told after a failure because of err.
func refusal(err error) error {
	r := &session.Refusal{
		Reason: session.NotFound, Peer: "The stream cannot be fetched from where it is at the moment.", Err: err, RetryAfter: holdOff,
	}
	if session.ReasonOf(err) == session.Loop {
		r.Reason, r.Peer = session.Loop, ""
	}
	return r
}

// errUnanswered is why a stream is missing of which no source has failed or answered so far.
var errUnanswered = session.Because(session.Timeout, errors.New("no source has answered so far"))

// missing returns what players are told who have waited in vain; nil if no source is being tried.
func (p *pull) missing() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.running || p.state.Status == Standby || p.state.Status == Live:
		return nil
	case p.state.Err != nil:
		return refusal(p.state.Err)
	}
	return refusal(errUnanswered)
}

// start begins to work. mu is held, and the manager's too.
func (p *pull) start() {
	p.running = true
	ctx := p.renew()
	p.m.wg.Go(func() {
		for ctx != nil {
			ctx = p.rest(p.serve(ctx))
		}
	})
}

// renew returns a context to work with. mu is held.
func (p *pull) renew() context.Context {
	ctx, cancel := context.WithCancelCause(p.m.ctx)
	p.cancel, p.closing, p.failure = cancel, false, nil
	return ctx
}

// rest notes that work has stopped because of err, and returns the context to go on with; nil if it does not.
func (p *pull) rest(err error) context.Context {
	p.telling.Lock()
	defer p.telling.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel(nil)
	again := errors.Is(err, errAgain) || errors.Is(err, errUnwatched) && !p.closing || err == nil && p.asked != p.failedAsked
	if again && p.m.ctx.Err() == nil {
		return p.renew()
	}
	p.running = false
	status := Idle
	if err == nil {
		status = p.outcome()
	}
	if s, news := p.change(status, nil); news {
		p.m.tell(s)
	}
	return nil
}

// retry begins anew, whatever happened before.
func (p *pull) retry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = nil
	if p.running {
		p.cancel(errRetried)
	} else {
		p.start()
	}
}

// use puts a plan into force, and returns the one before.
func (p *pull) use(plan Plan, query string) (before Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, p.plan, p.query = p.plan, plan, query
	return before
}

// origin returns what the plan was made of.
func (p *pull) origin() (by, query string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plan.By, p.query
}

// isRunning reports whether it works.
func (p *pull) isRunning() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// restsSince returns since when a pull has not worked that need not be remembered; false if it works, or is to be listed.
func (p *pull) restsSince() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.Since, !p.running && p.plan.By != ByAPI
}

// status returns what it does.
func (p *pull) status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.Status
}

// onBackup reports whether a source is live that is not the first one.
func (p *pull) onBackup() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.Backup
}

// look returns the state.
func (p *pull) look() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown()
}

// interrupt makes work stop with a cause. It reports false if there is none.
func (p *pull) interrupt(cause error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running {
		p.cancel(cause)
	}
	return p.running
}

// current returns the plan that holds now.
func (p *pull) current() Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.plan
}

// serve works until ctx ends, which it returns the cause of, or until a pull on demand has failed, for which it returns nil.
func (p *pull) serve(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	wg.Go(func() { p.watch(ctx, stop) })
	err := stream.Supervision{Min: minWait, Max: maxWait, Most: p.patience, Failed: p.retrying}.Run(ctx, p.round)
	if err != nil {
		return err
	}
	t := time.NewTimer(holdOff)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// patience is the longest wait that suits those who play the stream and wait for its return.
func (p *pull) patience() time.Duration {
	if p.players() > 0 {
		return maxWaitWatched
	}
	return maxWait
}

// players is how many play the stream or wait for it.
func (p *pull) players() int {
	if s := p.m.opt.Hub.Get(p.path); s != nil {
		return s.Stats().Players
	}
	return 0
}

// watch ends a pull on demand that nobody plays.
func (p *pull) watch(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	left, seen, asked := time.Now(), -1, -1
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		players := p.players()
		p.mu.Lock()
		if players > 0 || p.asked != seen || !p.plan.OnDemand {
			left, seen = time.Now(), p.asked
		}
		p.closing = time.Since(left) >= p.plan.Linger
		over := p.closing
		if players == 0 && p.asked == asked {
			p.hops = nil // whoever they led to has left
		}
		asked = p.asked
		p.mu.Unlock()
		if over {
			stop(errUnwatched)
			return
		}
	}
}

// retrying notes when all sources are tried again after err.
func (p *pull) retrying(err error, again time.Duration) {
	p.fail(err)
	p.set(Retrying, func(s *State) { s.NextTry = time.Now().Add(again) })
	p.dismiss()
}

// fail notes that all sources have failed.
func (p *pull) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure, p.failedAt, p.failedAsked = err, time.Now(), p.asked
}

// givenUp is the status of a pull on demand whose sources have all failed.
func (p *pull) givenUp() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outcome()
}

// outcome is givenUp. mu is held.
func (p *pull) outcome() Status {
	list := p.failures()
	if len(list) == 0 || slices.ContainsFunc(list, func(f Failure) bool { return !f.Absent }) {
		return Failed
	}
	return Absent
}

// dismiss tells players that wait for a stream that never began that it does not come.
func (p *pull) dismiss() {
	p.mu.Lock()
	err := p.failure
	p.mu.Unlock()
	p.m.opt.Hub.EndUnbegun(p.path, refusal(err)) // somebody may begin to publish it just now
}

// kept reports whether a stream has begun, so that its players wait for its source's return.
func kept(s *stream.Stream) bool {
	select {
	case <-s.Begun():
		return true
	default:
		return false
	}
}

// round tries the sources until each has failed. It returns nil if that is the end: nobody waits for the stream.
func (p *pull) round(ctx context.Context) error {
	if err := p.standBy(ctx); err != nil {
		return err
	}
	plan := p.current()
	var last error
	for tries, repeated := 0, false; tries < len(plan.Sources); {
		p.index %= len(plan.Sources)
		e := p.try(ctx, &plan)
		p.index = e.number // which the next fetch begins with, whatever has ended this one
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(e.err, stream.ErrTakenOver), errors.Is(e.err, errOccupied):
			if err := p.standBy(ctx); err != nil {
				return err
			}
			tries = 0
			continue
		}
		last = e.err
		p.lost(&plan, e)
		if e.lived >= steady {
			tries, repeated = 0, false
		}
		// One that was lost is tried once more: it may have been restarted. One that hangs is not.
		if repeated = e.lived > 0 && !repeated && session.ReasonOf(e.err) != session.Idle; !repeated {
			tries++
			p.index = (p.index + 1) % len(plan.Sources)
		}
	}
	s := p.m.opt.Hub.Get(p.path)
	if plan.OnDemand && (s == nil || !kept(s)) {
		p.fail(last)
		p.set(p.givenUp(), nil)
		p.dismiss()
		return nil
	}
	return last
}

// try opens the source whose turn it is, and publishes what it sends.
func (p *pull) try(ctx context.Context, plan *Plan) end {
	i := p.index
	p.trying(plan.Sources[i])
	src, err := p.open(ctx, plan, i, p.through())
	if err != nil {
		return end{i, 0, err}
	}
	if i > 0 && plan.Prefer == preferFirst {
		return p.feedAndScout(ctx, src, plan)
	}
	lived, err := p.feed(ctx, src, &heads{})
	return end{i, lived, err}
}

// through returns the longest chain of servers to a player. Each source is told of it for as long as there are players: they go on
// waiting while one after the other fails, and any of them may be a server that waits for this one.
func (p *pull) through() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.hops)
}

// standBy waits while somebody else publishes the stream.
func (p *pull) standBy(ctx context.Context) error {
	if !p.occupied() {
		return nil
	}
	p.set(Standby, nil)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for p.occupied() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// occupied reports whether somebody else publishes the stream, or did and is waited for by the origin, too.
func (p *pull) occupied() bool {
	s := p.m.opt.Hub.Get(p.path)
	if s == nil {
		return false
	}
	if info, ok := s.Publisher(); ok {
		return info.Protocol != p.m.opt.Door.Name
	}
	return p.m.forwards(p.path, p.current().By)
}
