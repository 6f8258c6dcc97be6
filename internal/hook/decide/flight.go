package decide

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"weir/internal/admit"
	"weir/internal/session"
)

var (
	errClosed       = errors.New("nobody waits for the answer any more, or the server stops")
	errKeepsFailing = errors.New("it keeps failing, and is asked once a second only")
	errBusy         = errors.New("too many questions are under way for this one to be asked in time")
)

// seat is what peers must have in common to share a question: what is asked, and of whom.
type seat struct {
	question digest
	plan     *Plan
}

// flight is a question under way, and the peers that wait for its answer.
type flight struct {
	cancel   context.CancelFunc
	question *admit.Request
	waiting  int           // peers; guarded by Client.mu
	asked    bool          // the service is asked now, or was; guarded by Client.mu
	let      bool          // the service has let the peers in; of the flight's goroutine alone
	owed     bool          // the service waits for the end of its yes, which nobody has seen to; guarded by Client.mu
	done     chan struct{} // closed once verdict or err is set
	verdict  *verdict
	err      error
}

// ask asks the service, or waits with others that ask the same.
func (c *Client) ask(ctx context.Context, p *Plan, asked keys, r *admit.Request) (*verdict, error) {
	f, err := c.board(ctx, p, asked, r)
	if err != nil {
		return nil, err
	}
	select {
	case <-f.done:
		c.claim(f, r)
		return f.verdict, f.err
	case <-ctx.Done():
		c.leave(seat{asked.flight, p}, f)
		return nil, context.Cause(ctx)
	}
}

// board joins the flight for what is asked, and begins it if there is none.
func (c *Client) board(ctx context.Context, p *Plan, asked keys, r *admit.Request) (*flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	at := seat{asked.flight, p}
	if f := c.flights[at]; f != nil {
		f.waiting++
		return f, nil
	}
	if !c.breaker.allow(time.Now()) {
		return nil, errKeepsFailing
	}
	question := *r
	f := &flight{question: &question, waiting: 1, done: make(chan struct{})}
	// The first of the peers may leave while others wait.
	ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.flights[at] = f
	c.asking.Go(func() {
		defer f.cancel()
		f.verdict, f.err = c.fly(ctx, p, f)
		c.land(p, asked, f)
		close(f.done)
	})
	return f, nil
}

// claim makes the first of the peers of a flight the one whose end the service waits for.
func (c *Client) claim(f *flight, r *admit.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.owed {
		f.owed, r.Owed, r.Offer = false, true, f.question.Offer
	}
}

// leave takes a peer out of a flight. When it was the last one the flight is given up, unless the service waits for the end
// of what it is about to allow: then its answer is waited for.
func (c *Client) leave(at seat, f *flight) {
	c.mu.Lock()
	f.waiting--
	alone := f.waiting == 0
	left := alone && f.owed
	if left {
		f.owed = false
	}
	if alone && !(f.asked && at.plan.format.Pairs) {
		if c.flights[at] == f {
			delete(c.flights, at)
		}
		f.cancel()
	}
	c.mu.Unlock()
	if left {
		c.leftAlone(f)
	}
}

// leftAlone tells of a yes to peers that have gone.
func (c *Client) leftAlone(f *flight) {
	if c.gone != nil {
		c.gone(f.question)
	}
}

// begin says that the service is asked now. It reports false if nobody waits for the answer any more.
func (c *Client) begin(ctx context.Context, f *flight) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.asked = ctx.Err() == nil
	return f.asked
}

// fly waits for its turn and asks the service. Both have a time of their own: the service is not to blame for the wait.
func (c *Client) fly(ctx context.Context, p *Plan, f *flight) (*verdict, error) {
	r := f.question
	turns := []chan struct{}{c.calls}
	if r.Role != session.Publish {
		own, leave := c.crowd.join(r.Remote.Addr())
		defer leave()
		turns = []chan struct{}{c.players, c.calls}
		if own != nil {
			turns = append([]chan struct{}{own}, turns...)
		}
	}
	patience := time.NewTimer(p.conf.Timeout)
	defer patience.Stop()
	for _, turn := range turns {
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-patience.C:
			return nil, errBusy
		case <-ctx.Done():
			return nil, errClosed
		}
	}
	if !c.begin(ctx, f) {
		return nil, errClosed
	}
	asking, cancel := context.WithTimeout(ctx, p.conf.Timeout)
	defer cancel()
	a, let, err := p.put(asking, c.server, r)
	if errors.Is(ctx.Err(), context.Canceled) { // nobody waits any more, or the client is closed
		return nil, errClosed
	}
	f.let = let
	c.report(p, err)
	if err != nil {
		return nil, err
	}
	return p.verdict(r, a), nil
}

// report tells the breaker how a question went.
func (c *Client) report(p *Plan, err error) {
	if err != nil && c.metrics != nil {
		c.metrics.Failed()
	}
	c.mu.Lock()
	if c.plan.Load().conf != p.conf { // it is not asked any more
		c.mu.Unlock()
		return
	}
	changed := c.breaker.report(err == nil, time.Now())
	c.mu.Unlock()
	switch {
	case changed && err != nil:
		c.log.Warn("the decision hook keeps failing: peers are let in or refused without it until it answers again",
			slog.String("policy", p.conf.OnError), slog.String("err", shown(err)))
	case changed:
		c.log.Info("the decision hook answers again")
	}
}

// land keeps the answer of a flight, and takes the flight off the list.
func (c *Client) land(p *Plan, asked keys, f *flight) {
	if c.landed(p, asked, f) {
		c.leftAlone(f)
	}
}

// landed is land, and reports whether the service said yes to peers that have gone.
func (c *Client) landed(p *Plan, asked keys, f *flight) (left bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.let && p.format.Pairs && !f.question.Recheck {
		f.owed = f.waiting > 0
		left = !f.owed
	}
	if at := (seat{asked.flight, p}); c.flights[at] == f {
		delete(c.flights, at)
	}
	if f.err != nil || c.plan.Load().conf != p.conf {
		return left
	}
	now := time.Now()
	if holds := f.verdict.holds(f.question); holds > 0 {
		c.fresh.put(asked.exact, f.verdict, now.Add(holds))
	}
	if p.conf.OnError == "last" {
		c.last.put(asked.credential, f.verdict, now.Add(keepLast))
	}
	return left
}

// recall returns the verdict that a memory has, nil if it has none.
func (c *Client) recall(m *memory, key digest) *verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	return m.get(key, time.Now())
}
