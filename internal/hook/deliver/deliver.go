package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"weir/internal/admit"
	"weir/internal/event"
	"weir/internal/hook"
)

// Metrics counts what hooks do.
type Metrics interface {
	// HookCalled counts one try of a hook, how it went ("ok", "timeout", "status" or "error"), and how long it took.
	HookCalled(hook, result string, took time.Duration)
	// HookBegins is told of each hook that there is, so that its counters begin at 0.
	HookBegins(hook string)
	// HookFailed counts one that failed.
	HookFailed(hook string)
	// HookDropped counts n events that a hook will never be told of.
	HookDropped(hook string, n int)
}

// Options are what hooks need beside their configuration.
type Options struct {
	Log     *slog.Logger
	Bus     *event.Bus
	Metrics Metrics
	// Server is what receivers are told of the server.
	Server hook.Server
	// State is the directory below which hooks that have none of their own keep their events, in
	// hooks/NAME; empty for none.
	State string
}

// State is what is shown of a hook.
type State struct {
	Name      string
	Target    string    // its URL as far as it may be shown, or its program
	Events    []string  // as configured; empty for all
	Calls     []string  // likewise
	Status    string    // "ok", "failing" or "off"
	Queue     int       // events that wait or are on their way
	Delivered uint64    // events
	Failed    uint64    // tries
	Dropped   uint64    // events
	NextTry   time.Time // zero if nothing waits for another try
	LastError string    // of the last try; empty if it succeeded
}

// Errors of Deliverer.
var (
	ErrNoHook     = errors.New("deliver: there is no such hook")
	ErrNoDelivery = errors.New("deliver: the hook has no such delivery, or it is too old")
)

// Deliverer is all hooks.
type Deliverer struct {
	opt  Options
	host *host
	// A place of each is held by a command that runs: for one event, and from a start to its stop.
	short, long chan struct{}

	applying chan struct{}  // holds one value while the hooks are changed, until those that go have ended
	wg       sync.WaitGroup // of such a change

	mu    sync.Mutex // guards below; a leaf
	hooks []*runner  // in the order of the configuration
}

// New starts the hooks. It fails if the certificates, directory or program of one cannot be used; then
// none runs. Close ends them.
func New(list []Config, opt Options) (*Deliverer, error) {
	d := &Deliverer{opt: opt, host: newHost(), short: make(chan struct{}, maxCommands), long: make(chan struct{}, maxLong), applying: make(chan struct{}, 1)}
	c, err := d.Prepare(list)
	if err != nil {
		d.Close()
		return nil, err
	}
	for i, r := range c.made {
		if err := r.open(); err != nil {
			for _, o := range c.made[:i] {
				o.journalFailed(o.closeJournal())
			}
			d.Close()
			return nil, fmt.Errorf("hook %q: %w", r.name, err)
		}
	}
	c.Apply()
	d.wg.Wait()
	return d, nil
}

// Change is a new list of hooks, ready to be applied.
type Change struct {
	d    *Deliverer
	next []*runner // those that stay and those that are new
	made []*runner // those that are new
}

// Prepare makes everything ready for another list of hooks, and changes nothing. A hook whose entry has not
// changed stays as it is, with its queue. The change holds nothing that has to be given back. It waits until the hooks
// of the change before have ended, some seconds at most, so that Apply need not.
func (d *Deliverer) Prepare(list []Config) (*Change, error) {
	d.applying <- struct{}{}
	<-d.applying
	c := &Change{d: d}
	now := d.all()
	for i, name := range Names(list) {
		conf := list[i]
		if conf.Directory == "" && d.opt.State != "" && !conf.While {
			conf.Directory = filepath.Join(d.opt.State, "hooks", name)
		}
		old := slices.IndexFunc(now, func(r *runner) bool { return r.name == name && reflect.DeepEqual(r.conf, conf) })
		if old >= 0 {
			c.next = append(c.next, now[old])
			continue
		}
		r, err := d.newRunner(name, conf)
		if err != nil {
			return nil, fmt.Errorf("hooks.%d (%s): %w", i, name, err)
		}
		c.next, c.made = append(c.next, r), append(c.made, r)
	}
	return c, nil
}

// newRunner makes a hook, which does nothing until it is started.
func (d *Deliverer) newRunner(name string, conf Config) (*runner, error) {
	r := &runner{
		name: name, conf: conf, bus: d.opt.Bus, metrics: d.opt.Metrics, server: d.opt.Server,
		log:   d.opt.Log.With(slog.String("hook", name)),
		inbox: newInbox(), wake: make(chan struct{}, 1), fed: make(chan struct{}), idle: make(chan struct{}),
	}
	if conf.Match != "" {
		var err error
		if r.match, err = admit.NewMatcher([]string{conf.Match}); err != nil {
			return nil, err
		}
	}
	if len(conf.Run) > 0 {
		r.target = conf.Run[0] // its arguments may hold secrets
		slots := d.short
		if conf.While {
			slots = d.long
		}
		r.sender = newCommander(&conf, r.log, d.host, slots)
		r.queue = newQueue(1, maxCommands)
		return r, nil
	}
	p, err := newPoster(&conf, d.opt.Server)
	if err != nil {
		return nil, err
	}
	if !p.target.Private() {
		r.log.Warn("events are sent without encryption: use https", slog.String("to", p.target.String()))
	}
	if p.format != nil {
		r.knows, r.foreign = p.knows, true
	}
	r.target, r.sender = p.target.String(), p
	most := maxPosts
	if conf.Batch > 1 {
		most = 1
	}
	r.queue = newQueue(conf.Batch, most)
	return r, nil
}

// maxPosts is how many posts of one hook are on their way at once.
const maxPosts = 16

// Apply puts the list into force. Hooks that are not in it any more go on in the background with what they
// have not tried, for some seconds; the new ones keep what happens from now on, and send it after that.
func (c *Change) Apply() {
	d := c.d
	d.applying <- struct{}{}
	gone := slices.DeleteFunc(d.all(), func(r *runner) bool { return slices.Contains(c.next, r) })
	for _, r := range c.made {
		d.opt.Metrics.HookBegins(r.name)
		r.listen()
	}
	for _, r := range gone {
		r.deafen()
	}
	d.mu.Lock()
	d.hooks = c.next
	d.mu.Unlock()
	d.wg.Go(func() {
		defer func() { <-d.applying }()
		closeAll(gone)
		for _, r := range c.made {
			r.journalFailed(r.open())
			r.start(context.Background())
		}
	})
}

func closeAll(hooks []*runner) {
	var wg sync.WaitGroup
	for _, r := range hooks {
		wg.Go(r.close)
	}
	wg.Wait()
}

// Close ends all hooks. What has not been tried is tried first, for some seconds, and commands have some
// more to end.
func (d *Deliverer) Close() {
	d.applying <- struct{}{}
	d.wg.Wait()
	closeAll(d.all())
	d.host.close()
	d.mu.Lock()
	d.hooks = nil
	d.mu.Unlock()
	<-d.applying
}

func (d *Deliverer) all() []*runner {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.hooks)
}

// Queries reports whether some hook tells what peers showed when they came.
func (d *Deliverer) Queries() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.hooks, func(r *runner) bool { return r.conf.Query })
}

func (d *Deliverer) find(name string) *runner {
	for _, r := range d.all() {
		if r.name == name {
			return r
		}
	}
	return nil
}

// List returns the state of every hook, in the order of the configuration.
func (d *Deliverer) List() []State {
	states := []State{}
	for _, r := range d.all() {
		states = append(states, r.state())
	}
	return states
}

// Queues yields how many events wait for each hook.
func (d *Deliverer) Queues(yield func(hook string, n int)) {
	for _, r := range d.all() {
		n, _ := r.queue.state()
		yield(r.name, n)
	}
}

// Deliveries returns the newest deliveries of a hook, the newest first, at most 100; false if there is
// no such hook.
func (d *Deliverer) Deliveries(name string) ([]Delivery, bool) {
	r := d.find(name)
	if r == nil {
		return nil, false
	}
	return r.history.list(), true
}

// Replay sends a delivery again, with the same id, out of its order. It fails with ErrNoHook or
// ErrNoDelivery, or if the hook is off.
func (d *Deliverer) Replay(name, id string) error {
	r := d.find(name)
	if r == nil {
		return ErrNoHook
	}
	return r.replay(id)
}
