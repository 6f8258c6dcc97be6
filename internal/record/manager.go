package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"weir/internal/event"
	"weir/internal/stream"
)

// Options are what a Manager needs of the server.
type Options struct {
	Log *slog.Logger
	// Stream returns the stream at a path, nil if there is none.
	Stream func(path string) *stream.Stream
	// Now is the clock of av.Frame.Arrived.
	Now func() time.Duration
	// Entries returns the recordings that the configuration in force has for a path.
	Entries func(path string) []Config
	// Named returns the stream as events have it, and the session that publishes it; nil if it is not known.
	Named func(path string) (*event.Stream, *event.Session)
	// Publish is told of events.
	Publish func(event.Event)
	Metrics Metrics
	// Catalog, if not nil, is told of files.
	Catalog Catalog
	// openDir opens a directory; nil opens it on the disk.
	openDir func(dir string) (storage, error)
}

func (o *Options) open() func(string) (storage, error) {
	if o.openDir != nil {
		return o.openDir
	}
	return openDir
}

// Metrics counts what recordings do.
type Metrics interface {
	RecordBytes(n int)
	RecordDropped(frames int)
	RecordFailed(reason string)
}

// Errors of Start, Stop and Cut.
var (
	// ErrNoStream says that nobody publishes the stream.
	ErrNoStream = errors.New("record: there is no such stream")
	// ErrNoEntry says that the configuration has no recording of this name for the stream.
	ErrNoEntry = errors.New("record: there is no such recording")
	// ErrOff says that the recording does not run.
	ErrOff = errors.New("record: it does not run")
	// ErrClosed says that the server stops.
	ErrClosed = errors.New("record: the server stops")
)

// Manager runs the recordings of all streams.
type Manager struct {
	opt Options
	log *slog.Logger
	wg  sync.WaitGroup
	// Those of pools, which end once no file is in their directory's work.
	workers sync.WaitGroup

	mu     sync.Mutex // guards below
	closed bool
	sets   map[*stream.Stream]*set
	pools  map[string]*pool
}

// set is the recordings of one life of a stream.
type set struct {
	granted []string              // of the hook; nil: by the configuration
	running map[string]*recording // by name
	stopped map[string]State      // how those ended that do not run any more
	halted  map[string]bool       // the API has stopped them: they start again by it alone
}

// New returns a manager. Close it.
func New(o Options) *Manager {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Manager{opt: o, log: o.Log, sets: map[*stream.Stream]*set{}, pools: map[string]*pool{}}
}

// Publishing tells that a publisher's media has become a stream's: its first, or another one's. granted names the recordings that
// the one that admitted the publisher wants; nil leaves it to the configuration. It does not block.
func (m *Manager) Publishing(path string, granted []string) {
	s := m.opt.Stream(path)
	if s == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	x := m.set(s)
	x.granted = granted
	m.match(s, x)
}

// Changed makes the configuration in force hold for the recordings that run.
func (m *Manager) Changed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	for s, x := range m.sets {
		select {
		case <-s.Over():
		default:
			m.match(s, x)
		}
	}
}

func (m *Manager) set(s *stream.Stream) *set {
	x := m.sets[s]
	if x == nil {
		x = &set{running: map[string]*recording{}, stopped: map[string]State{}, halted: map[string]bool{}}
		m.sets[s] = x
		m.wg.Go(func() {
			<-s.Over()
			m.forget(s)
		})
	}
	return x
}

// forget drops a stream that has ended, once its recordings have.
func (m *Manager) forget(s *stream.Stream) {
	m.mu.Lock()
	var running []*recording
	for _, r := range m.sets[s].running {
		running = append(running, r)
	}
	m.mu.Unlock()
	for _, r := range running {
		<-r.over
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sets, s)
}

// match starts and stops recordings so that they are what configuration and hook want. Those that the API started stay
// as long as the configuration has them. mu is held.
func (m *Manager) match(s *stream.Stream, x *set) {
	entries := m.opt.Entries(s.Path())
	for _, name := range x.granted {
		if !slices.ContainsFunc(entries, func(c Config) bool { return c.Name == name }) {
			m.log.Warn("the decision hook asks for a recording that the configuration does not have for this stream: add it to streams[].record",
				slog.String("stream", s.Path()), slog.String("recording", name))
		}
	}
	for i := range entries {
		c := &entries[i]
		r := x.running[c.Name]
		wanted, by := c.Start == "auto", ByConfig
		if x.granted != nil {
			wanted, by = slices.Contains(x.granted, c.Name), ByHook
		}
		switch {
		case r != nil && !wanted && r.origin != ByAPI:
			r.end()
		case r != nil:
			r.plan.Store(newPlan(c))
		case wanted && !x.halted[c.Name]:
			m.start(s, x, c, by)
		}
	}
	for name, r := range x.running {
		if !slices.ContainsFunc(entries, func(c Config) bool { return c.Name == name }) {
			r.end()
		}
	}
}

// start runs a recording. mu is held.
func (m *Manager) start(s *stream.Stream, x *set, c *Config, by Origin) *recording {
	ctx, cancel := context.WithCancelCause(context.Background())
	r := &recording{
		m: m, stream: s, name: c.Name, origin: by, cancel: cancel, over: make(chan struct{}), fits: map[trackID]fit{},
		nextID: event.NewID(time.Now()), log: m.log.With(slog.String("stream", s.Path()), slog.String("recording", c.Name)),
	}
	r.id = r.nextID
	r.first = s.Follow(stream.FollowOptions{From: stream.FromCached, Strict: true}) // at once: the publisher may leave soon
	r.plan.Store(newPlan(c))
	x.running[c.Name] = r
	delete(x.stopped, c.Name)
	m.wg.Go(func() {
		r.run(ctx)
		cancel(nil)
		m.mu.Lock()
		defer m.mu.Unlock()
		if x.running[r.name] == r {
			delete(x.running, r.name)
			st := r.state()
			st.State = "off"
			x.stopped[r.name] = st
		}
		select {
		case <-s.Over():
		default:
			if r.wasStopped() && !m.closed { // it may be wanted again since
				m.match(s, x)
			}
		}
	})
	return r
}

// Start starts a recording of a stream, from the newest key frame that the stream keeps on. Of one that runs it only returns the state; for one that
// is about to end it waits, until ctx ends. It fails with ErrNoStream, ErrNoEntry, ErrClosed or the error of ctx.
func (m *Manager) Start(ctx context.Context, path, name string) (State, error) {
	s, c, err := m.find(path, name)
	if err != nil {
		return State{}, err
	}
	for {
		m.mu.Lock()
		if m.closed {
			m.mu.Unlock()
			return State{}, ErrClosed
		}
		x := m.set(s)
		delete(x.halted, name)
		r := x.running[name]
		if r == nil {
			r = m.start(s, x, c, ByAPI)
		}
		m.mu.Unlock()
		if !r.stopping() {
			return r.state(), nil
		}
		select {
		case <-r.over: // it is about to end
		case <-ctx.Done():
			return State{}, ctx.Err()
		}
		m.settle(x, r)
	}
}

// settle waits until a recording that is over has left its set.
func (m *Manager) settle(x *set, r *recording) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x.running[r.name] == r {
		delete(x.running, r.name)
	}
}

// Stop ends a recording of a stream, and returns its state once its file is whole, or when ctx ends. Of one that does not run it
// returns the state too. It fails with ErrNoStream, ErrNoEntry or ErrClosed.
func (m *Manager) Stop(ctx context.Context, path, name string) (State, error) {
	s, c, err := m.find(path, name)
	if err != nil {
		return State{}, err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return State{}, ErrClosed
	}
	x := m.set(s)
	r := x.running[name]
	st, was := x.stopped[name]
	if !was {
		st = State{Stream: path, Recording: name, Format: c.Format, Dir: c.Dir, State: "off"}
	}
	x.halted[name] = true
	m.mu.Unlock()
	if r == nil {
		return st, nil
	}
	r.end()
	select {
	case <-r.over:
	case <-ctx.Done():
		return r.state(), nil
	}
	st = r.state()
	st.State = "off"
	return st, nil
}

// Cut ends the present file of a recording at the next key frame, where the next one begins: State.Next is its id. Until then the same call changes
// nothing. It fails with ErrNoStream, ErrNoEntry, or ErrOff if the recording does not run.
func (m *Manager) Cut(path, name string) (State, error) {
	s, _, err := m.find(path, name)
	if err != nil {
		return State{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.sets[s]
	if x == nil || x.running[name] == nil || x.running[name].stopping() {
		return State{}, fmt.Errorf("%w: %s of %s", ErrOff, name, path)
	}
	r := x.running[name]
	next := r.cut()
	st := r.state()
	st.Next = next
	return st, nil
}

// find returns the stream and the entry of a recording.
func (m *Manager) find(path, name string) (*stream.Stream, *Config, error) {
	s := m.opt.Stream(path)
	if s == nil {
		return nil, nil, fmt.Errorf("%w: %s", ErrNoStream, path)
	}
	entries := m.opt.Entries(path)
	i := slices.IndexFunc(entries, func(c Config) bool { return c.Name == name })
	if i < 0 {
		return nil, nil, fmt.Errorf("%w: %s", ErrNoEntry, name)
	}
	return s, &entries[i], nil
}

// Running returns how many recordings there are.
func (m *Manager) Running() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, x := range m.sets {
		n += len(x.running)
	}
	return n
}

// closeTime is how long Close waits for disks. What is not whole then is repaired at the next start.
const closeTime = 30 * time.Second

// Run waits until ctx ends, and then for the files to be whole, which they are once all streams have ended.
func (m *Manager) Run(ctx context.Context) error {
	<-ctx.Done()
	m.Close()
	return nil
}

// Close waits until all files are whole, as they are once their streams have ended, and lets no recording begin. It can be called again.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() { // it stays behind only if a disk never answers
		m.wg.Wait()
		m.workers.Wait()
		close(done)
	})
	t := time.NewTimer(closeTime)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		m.log.Error("a disk does not answer: recordings that are not whole are repaired at the next start")
	}
}
