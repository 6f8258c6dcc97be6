package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/admit"
	"weir/internal/event"
	"weir/internal/hook"
	"weir/internal/session"
)

const (
	// intakeBatch is how many are queued at once.
	intakeBatch = 256
	// What fails is tried again after firstRetry, then after twice as long, up to lastRetry, for as
	// long as the event is younger than maxAge.
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	maxAge     = 24 * time.Hour
	// jitter is the part of a time by which it is longer or shorter by chance.
	jitter = 0.2
	// drainTime is how long a hook that is closed goes on with what has not been tried.
	drainTime = 5 * time.Second
	// droppedEvery is how often it is told that events were thrown away.
	droppedEvery = time.Minute
)

// sender delivers events.
type sender interface {
	// send delivers items that were taken together, once. It returns soon after ctx ends.
	send(ctx context.Context, items []*item, tries int) result
	// close gives back what it holds, after the last send.
	close()
}

// result is what became of a try.
type result struct {
	status int
	err    error         // nil: received
	final  bool          // err is not to be tried again
	off    bool          // the receiver wants no more events
	wait   time.Duration // how long the receiver wants to be left alone
	tries  int           // before this one
}

// word says for metrics how a try went.
func (r *result) word() string {
	switch {
	case r.err == nil:
		return "ok"
	case errors.Is(r.err, context.DeadlineExceeded):
		return "timeout"
	case r.status != 0:
		return "status"
	}
	return "error"
}

// runner is one hook.
type runner struct {
	name    string
	conf    Config
	target  string // for people
	log     *slog.Logger
	bus     *event.Bus
	metrics Metrics
	server  hook.Server
	foreign bool                      // it tells as another server does
	match   *admit.Matcher            // nil: everything
	knows   func(e *event.Event) bool // nil: everything
	sender  sender
	queue   *queue
	journal *journal // nil without a directory
	seqs    *sequence
	history history
	syncs   atomic.Uint64 // how often the disk was waited for

	inbox  *inbox
	detach func() // ends what comes into the inbox

	wake     chan struct{} // that there may be something to take
	fed      chan struct{} // closed once nothing is added any more
	idle     chan struct{} // closed once nothing is left to do after that
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	stopSync func()

	delivered, failed, dropped atomic.Uint64

	mu       sync.Mutex // guards below; a leaf
	off      bool
	lastErr  string
	told     time.Time // when events that were thrown away were told last
	unspoken int       // thrown away since
}

// open opens the hook's journal, if it has one and it is not open.
func (r *runner) open() (err error) {
	if r.conf.Directory != "" && r.journal == nil {
		r.journal, err = openJournal(r.conf.Directory)
	}
	return err
}

// closeJournal closes the hook's journal, if it has one.
func (r *runner) closeJournal() error {
	if r.journal == nil {
		return nil
	}
	return r.journal.close()
}

// start begins to deliver what is collected. Events that the journal still has go first.
func (r *runner) start(ctx context.Context) {
	r.ctx, r.cancel = context.WithCancel(ctx)
	r.seqs = newSequence()
	r.stopSync = func() {}
	if r.journal != nil {
		r.resume()
		r.startSync()
	}
	r.wg.Go(r.intake)
	r.wg.Go(r.schedule)
}

// resume queues what the last run left: what was not received, and the ends of what had begun.
func (r *runner) resume() {
	j := r.journal
	r.seqs.floor = j.seqs.floor
	j.seqs.all(r.seqs.set)
	if j.bad > 0 {
		r.log.Warn("lines of the hook's journal cannot be read and are left out: a crash of the system may have left them so", slog.Int("lines", j.bad))
	}
	left := j.unsent()
	for _, it := range left {
		r.push(it)
	}
	now := time.Now()
	var ends []entry
	for _, e := range j.unended() {
		stop := event.Event{ID: event.NewID(now), Type: event.StopOf(e.Type), Time: now.UTC(), Stream: e.Stream, Session: e.Session, Data: map[string]any{"reason": "crash"}}
		ends = append(ends, r.entry(stop))
	}
	r.queueAll(ends)
	if len(left) > 0 || len(ends) > 0 {
		r.log.Info("hook goes on with what the last run left", slog.Int("events", len(left)), slog.Int("ended by a crash", len(ends)))
	}
}

// startSync forces the journal to the disk now and then, until stopSync.
func (r *runner) startSync() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(syncEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			waits, err := r.journal.sync()
			r.syncs.Add(uint64(waits))
			r.journalFailed(err)
			for range waits - 1 { // each wait has its second
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		}
	})
	r.stopSync = func() { cancel(); wg.Wait() }
}

// journalFailed logs that a write failed. Delivery goes on from memory.
func (r *runner) journalFailed(err error) {
	if err != nil {
		r.log.Error("hook's journal cannot be written: events are kept in memory alone, and a restart loses them", slog.Any("err", err))
	}
}

// listen begins to collect events.
func (r *runner) listen() { r.detach = r.bus.Attach(r.conf.types(), r.inbox.put) }

// deafen ends that. What was collected is still queued.
func (r *runner) deafen() {
	r.detach()
	r.inbox.close()
}

// intake queues the events that were collected, until deafen.
func (r *runner) intake() {
	defer close(r.fed)
	for open := true; open; {
		var events []event.Event
		var lost int
		events, lost, open = r.inbox.next(intakeBatch)
		entries := make([]entry, len(events))
		for i, e := range events {
			entries[i] = r.entry(e)
		}
		r.queueAll(entries)
		if lost > 0 {
			r.lose(lost)
		}
	}
}

// entry makes what is queued of an event; its item is nil if the hook is not told of it.
func (r *runner) entry(e event.Event) entry {
	if r.foreign {
		if e.Paired { // that session's end is told once it is owed
			return entry{}
		}
		if as := event.ToldAs(e.Type); as != "" {
			e.Type = as
		}
	}
	en := entry{event: e}
	told := event.Matches(r.conf.Events, e.Type) || r.conf.While && event.StartOf(e.Type) != "" && event.Matches(r.conf.Events, event.StartOf(e.Type))
	if !told || !r.matches(&e) || r.knows != nil && !r.knows(&e) {
		return en
	}
	stream := ""
	if e.Stream != nil {
		stream = e.Stream.Path
	}
	seq := r.seqs.next(stream)
	it, err := seal(&e, seq, r.server)
	if err != nil {
		r.log.Error("event cannot be written as JSON", slog.String("type", e.Type), slog.Any("err", err))
		return en
	}
	if e.Session != nil && r.foreign {
		it.shown = r.kept(e.Session.Shown)
	}
	en.item, en.seq = it, seq
	return en
}

// kept returns what a hook may know of what a session showed when it came: without query nothing that may be a secret.
func (r *runner) kept(shown *session.Shown) *session.Shown {
	if shown == nil || r.conf.Query {
		return shown
	}
	return &session.Shown{Base: shown.Base}
}

// matches reports whether the hook is told of events about e's stream.
func (r *runner) matches(e *event.Event) bool {
	return r.match == nil || e.Stream != nil && r.match.Match(e.Stream.Path) >= 0
}

// queueAll writes events to the journal and queues them.
func (r *runner) queueAll(entries []entry) {
	if r.journal != nil {
		r.journalFailed(r.journal.add(entries))
	}
	for i := range entries {
		if it := entries[i].item; it != nil {
			r.push(it)
		}
	}
	r.stir()
}

// push queues an event.
func (r *runner) push(it *item) {
	if lost := r.queue.add(it); len(lost) > 0 {
		r.ack(lost)
		r.lose(len(lost))
	}
}

func (r *runner) ack(items []*item) {
	if r.journal != nil {
		r.journalFailed(r.journal.ack(items...))
	}
}

// lose counts events that were thrown away, and tells of it now and then.
func (r *runner) lose(n int) {
	r.dropped.Add(uint64(n))
	r.metrics.HookDropped(r.name, n)
	now := time.Now()
	r.mu.Lock()
	r.unspoken += n
	if r.off || !r.told.IsZero() && now.Sub(r.told) < droppedEvery {
		r.mu.Unlock()
		return
	}
	n, r.unspoken, r.told = r.unspoken, 0, now
	r.mu.Unlock()
	r.log.Error("hook's queue is full: events are thrown away, those of players first", slog.Int("events", n))
	r.bus.Publish(event.Event{Type: event.HookDropped, Data: map[string]any{"hook": r.name, "dropped": n}})
}

// stir makes the schedule look for something to take.
func (r *runner) stir() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// schedule starts workers for what can be sent, until everything has been tried after the last event.
func (r *runner) schedule() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	fed := r.fed
	for {
		l, at := r.queue.take(time.Now())
		if l != nil {
			r.wg.Go(func() { r.work(l) })
			continue
		}
		if fed == nil && r.queue.idle(time.Now()) {
			close(r.idle)
			return
		}
		timer.Stop()
		if !at.IsZero() {
			timer.Reset(time.Until(at))
		}
		select {
		case <-r.wake:
		case <-timer.C:
		case <-fed:
			fed = nil
		case <-r.ctx.Done():
			return
		}
	}
}

// work delivers a lane and then others, as long as there are some.
func (r *runner) work(l *lane) {
	for l != nil && r.ctx.Err() == nil {
		r.deliver(l)
		l, _ = r.queue.take(time.Now())
	}
	if l != nil {
		r.queue.again(l, time.Now())
	}
	r.stir()
}

// deliver makes one try.
func (r *runner) deliver(l *lane) {
	at := time.Now()
	res := r.sender.send(r.ctx, l.sending, l.tries)
	if res.err != nil && r.ctx.Err() != nil {
		r.queue.again(l, at) // it was cut short
		return
	}
	took := time.Since(at)
	res.tries = l.tries
	r.history.add(l.sending, at, took, res)
	r.metrics.HookCalled(r.name, res.word(), took)
	r.mu.Lock()
	before := r.lastErr
	r.lastErr = ""
	if res.err != nil {
		r.lastErr = res.err.Error()
	}
	r.mu.Unlock()
	if res.err == nil {
		r.delivered.Add(uint64(len(l.sending)))
		r.ack(l.sending)
		r.queue.done(l)
		return
	}
	r.failed.Add(1)
	r.metrics.HookFailed(r.name)
	first := l.sending[0]
	attrs := []any{slog.String("event", first.typ), slog.String("id", first.id), slog.String("stream", first.stream), slog.Int("tries", l.tries+1), slog.Any("err", res.err)}
	switch {
	case res.off:
		r.ack(l.sending)
		r.queue.done(l)
		r.turnOff()
	case res.final:
		if !refused(res.status) || res.err.Error() != before { // a receiver that refuses us refuses all: that is told once
			r.log.Warn("hook failed", attrs...)
		}
		r.ack(l.sending)
		r.queue.done(l)
	case time.Since(first.time) > maxAge:
		r.log.Error("hook failed for a day: the event is given up", attrs...)
		r.ack(l.sending)
		n := len(l.sending)
		r.queue.done(l)
		r.dropped.Add(uint64(n))
		r.metrics.HookDropped(r.name, n)
	default:
		wait := max(backoff(l.tries), res.wait)
		if res.wait > 0 {
			r.queue.pause(time.Now().Add(res.wait))
		}
		r.log.Warn("hook failed, and is tried again", append(attrs, slog.Duration("in", wait.Round(time.Millisecond)))...)
		r.queue.again(l, time.Now().Add(wait))
	}
}

// backoff returns the time before another try, after tries before the one that failed.
func backoff(tries int) time.Duration {
	d := lastRetry
	if tries < 9 {
		d = min(firstRetry<<tries, lastRetry)
	}
	return time.Duration(float64(d) * (1 - jitter + 2*jitter*rand.Float64()))
}

// turnOff ends deliveries, because the receiver answered that it is gone.
func (r *runner) turnOff() {
	r.mu.Lock()
	r.off = true
	r.mu.Unlock()
	r.deafen()
	lost := r.queue.clear()
	r.ack(lost)
	r.dropped.Add(uint64(len(lost)))
	r.metrics.HookDropped(r.name, len(lost))
	r.log.Error("hook is turned off: the receiver answered 410 Gone; change the hook, or restart the server, to turn it on again", slog.Int("events", len(lost)))
}

// state returns what is shown of the hook.
func (r *runner) state() State {
	n, next := r.queue.state()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := State{
		Name: r.name, Target: r.target, Events: append([]string{}, r.conf.Events...), Calls: append([]string{}, r.conf.Calls...), Status: "ok", Queue: n, LastError: r.lastErr, NextTry: next,
		Delivered: r.delivered.Load(), Failed: r.failed.Load(), Dropped: r.dropped.Load(),
	}
	switch {
	case r.off:
		s.Status = "off"
	case r.lastErr != "":
		s.Status = "failing"
	}
	return s
}

// replay sends an event again that is remembered.
func (r *runner) replay(id string) error {
	it := r.history.again(id)
	if it == nil {
		return ErrNoDelivery
	}
	r.mu.Lock()
	off := r.off
	r.mu.Unlock()
	if off {
		return fmt.Errorf("deliver: the hook %q is off: its receiver answered 410 Gone", r.name)
	}
	it.key = "replay " + id // a lane of its own: every path has a slash
	r.push(it)
	r.stir()
	return nil
}

// close ends the hook. What has not been tried is tried first, if it takes no longer than
// drainTime; without a journal what is left is lost.
func (r *runner) close() {
	r.deafen()
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	select {
	case <-r.idle:
	case <-timer.C:
	}
	r.cancel()
	r.wg.Wait()
	r.sender.close()
	r.stopSync()
	n, _ := r.queue.state()
	r.journalFailed(r.closeJournal())
	if r.journal == nil && n > 0 {
		r.log.Warn("events that the hook has not received are lost: give it a directory to keep them across a restart", slog.Int("events", n))
	}
}
