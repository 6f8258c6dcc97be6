package pull

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/admit"
	"weir/internal/fetch"
	"weir/internal/peer"
	"weir/internal/session"
	"weir/internal/stream"
)

// Options are what a Manager needs.
type Options struct {
	Log *slog.Logger
	// Door lets the streams in; its Name is the protocol of their sessions.
	Door *peer.Door
	Hub  *stream.Hub
	// Server is the id of this server among those that a stream goes through.
	Server string
	// Config returns streams[].pull for a path; what is empty is fetched from the edge's origin, if there is one.
	Config func(path string) *Config
	Edge   func() *EdgeConfig
	// Forwards, if not nil, reports whether a stream that was published here is sent on to the origin. While its publisher is
	// away it is not fetched from there: it would be what was sent.
	Forwards func(path string) bool
	// Always returns the paths that the configuration has fetched always.
	Always func() []string
	// Bitrate bounds what a source sends, in bits per second; 0 is no bound.
	Bitrate func() int64
	// Changed is told of each change of a status but Connecting, and Failed of each try that failed. They must not block.
	Changed func(State)
	Failed  func(session.Reason)
	// State is the folder in which pulls that the API has made are kept; empty: in memory.
	State string
	// Open opens a source: fetch.Open.
	Open func(ctx context.Context, url string, a fetch.Access) (fetch.Source, error)
}

const (
	// maxPulls bounds the pulls; of those on demand that do not work, the oldest gives way.
	maxPulls = 10000
	// maxAdded bounds those that the API makes.
	maxAdded = 1000
	// forgetAfter is how long a pull on demand that does not work is remembered, and with it which source was good.
	forgetAfter = 10 * time.Minute
)

// Manager has the pulls of a server.
type Manager struct {
	opt   Options
	store store
	ctx   context.Context //nolint:containedctx // Close ends it
	stop  context.CancelCauseFunc
	wg    sync.WaitGroup

	mu     sync.Mutex // guards below; taken before that of a pull
	closed bool
	pulls  map[string]*pull
	added  map[string]Plan // by the API; it does not change, but is replaced
}

// NewManager returns a manager that fetches nothing: Apply begins with what the configuration and the API have fetched always. It
// fails if what is kept in the folder of state cannot be read. Close it.
func NewManager(o Options) (*Manager, error) {
	m := &Manager{opt: o, store: storeIn(o.State), pulls: map[string]*pull{}}
	var err error
	if m.added, err = m.store.read(); err != nil {
		return nil, err
	}
	m.ctx, m.stop = context.WithCancelCause(context.Background())
	for path := range m.added {
		plan, _ := m.plan(path, "")
		m.add(path).use(plan, "")
	}
	return m, nil
}

// Run fetches what is to be fetched always, and all that Want asks for, until ctx ends. It closes the manager.
func (m *Manager) Run(ctx context.Context) error {
	m.Apply()
	tick := time.NewTicker(forgetAfter / 10)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			m.Close()
			return nil
		case <-tick.C:
			m.forget()
		}
	}
}

// Close ends all pulls, and waits for them.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop(session.ErrShutdown)
	m.wg.Wait()
}

// plan returns how the stream at path is pulled, false if it is not. mu is held.
func (m *Manager) plan(path, query string) (Plan, bool) {
	c := m.opt.Config(path)
	if p, ok := m.added[path]; ok {
		p.Private = c.Private
		return p, true
	}
	if c.Enabled() {
		return c.plan(path, query), true
	}
	if e := m.opt.Edge(); e.Origin != "" {
		return e.plan(path), true
	}
	return Plan{}, false
}

// Want is told of a player that was admitted by a grant and waits for its stream, which is fetched if it is to be
// and nobody publishes it. It fails with a *session.Refusal if that is not possible now.
func (m *Manager) Want(r *admit.Request, g session.Grant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	p := m.pulls[r.Path]
	hook := g.Terms != nil && g.Terms.Pull != ""
	if p != nil && p.occupied() {
		return nil // who publishes it here goes before, whatever has failed
	}
	if p == nil || !p.isRunning() {
		plan, ok := m.plan(r.Path, r.RawQuery)
		if hook {
			c := m.opt.Config(r.Path)
			plan, ok = c.hookPlan(g.Terms.Pull), true
		}
		if !ok || online(m.opt.Hub, r.Path) || m.forwards(r.Path, plan.By) {
			return nil
		}
		if p == nil {
			if p = m.add(r.Path); p == nil {
				return &session.Refusal{Reason: session.Limit, Err: errors.New("as many streams are fetched as may be")}
			}
		}
		p.use(plan, r.RawQuery)
	}
	return p.want(r.Hops)
}

// Missing returns what a player is told who has waited in vain for the stream at path, a *session.Refusal; nil if it is not being fetched.
func (m *Manager) Missing(path string) error {
	m.mu.Lock()
	p := m.pulls[path]
	m.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.missing()
}

// Resume has a stream fetched, if it is to be, whose players wait for a publisher that is elsewhere now: they go on with what comes from there.
func (m *Manager) Resume(path string) {
	s := m.opt.Hub.Get(path)
	if s == nil || s.Stats().Players == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	plan, ok := m.plan(path, "")
	if m.closed || !ok || online(m.opt.Hub, path) || m.forwards(path, plan.By) {
		return
	}
	p := m.pulls[path]
	if p == nil {
		p = m.add(path)
	}
	if p == nil || p.isRunning() {
		return
	}
	p.use(plan, "")
	_ = p.want(nil) // if the source has just failed, the stream's grace goes on
}

// forwards reports whether a stream that would be pulled by who made its plan is sent to where it would come from.
func (m *Manager) forwards(path, by string) bool {
	return by == ByEdge && m.opt.Forwards != nil && m.opt.Forwards(path)
}

// online reports whether somebody publishes a stream.
func online(h *stream.Hub, path string) bool {
	s := h.Get(path)
	if s == nil {
		return false
	}
	_, ok := s.Publisher()
	return ok
}

// add returns a new pull, nil if there are too many. mu is held.
func (m *Manager) add(path string) *pull {
	if len(m.pulls) >= maxPulls {
		var oldest *pull
		var since time.Time
		for _, p := range m.pulls {
			if at, ok := p.restsSince(); ok && (oldest == nil || at.Before(since)) {
				oldest, since = p, at
			}
		}
		if oldest == nil {
			return nil
		}
		delete(m.pulls, oldest.path)
	}
	p := &pull{m: m, path: path}
	p.state.Status, p.state.Since, p.told = Idle, time.Now(), news{status: Idle}
	m.pulls[path] = p
	return p
}

// forget drops the pulls on demand that have not worked for long.
func (m *Manager) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path, p := range m.pulls {
		if at, ok := p.restsSince(); ok && time.Since(at) > forgetAfter {
			delete(m.pulls, path)
		}
	}
}

// Apply puts the configuration of the moment into force.
func (m *Manager) Apply() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	for path, p := range m.pulls {
		m.refresh(path, p)
	}
	for _, path := range m.opt.Always() {
		m.begin(path)
	}
	for path, plan := range m.added {
		if !plan.OnDemand {
			m.begin(path)
		}
	}
}

// refresh puts the plan of the moment into force for a pull. mu is held.
func (m *Manager) refresh(path string, p *pull) {
	by, query := p.origin()
	if by == ByHook {
		return
	}
	plan, ok := m.plan(path, query)
	if !ok {
		delete(m.pulls, path)
		p.interrupt(errRemoved)
		return
	}
	if before := p.use(plan, query); !before.sameSources(&plan) {
		p.interrupt(errReplanned)
	}
}

// begin begins with a pull that is always to work, if it does not yet. mu is held.
func (m *Manager) begin(path string) {
	p := m.pulls[path]
	if p == nil {
		if p = m.add(path); p == nil {
			m.opt.Log.Error("a stream is not fetched: there are too many", slog.String("stream", path))
			return
		}
	}
	if p.isRunning() {
		return
	}
	if plan, ok := m.plan(path, ""); ok {
		p.use(plan, "")
		p.retry()
	}
}

// Errors of what the API asks for.
var (
	ErrNoPull     = errors.New("pull: the stream is not fetched")
	ErrConfigured = errors.New("pull: the stream is fetched because of the configuration")
	ErrExists     = errors.New("pull: the API has the stream fetched already")
	ErrTooMany    = errors.New("pull: the API has as many streams fetched as may be")
)

// Add fetches the stream at path by a plan of the API's, instead of what the configuration says of it, and keeps it. It fails with
// ErrExists or ErrTooMany.
func (m *Manager) Add(path string, plan Plan) (State, error) {
	plan.By = ByAPI
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.added[path]; ok {
		return State{}, ErrExists
	}
	if m.closed || len(m.added) >= maxAdded {
		return State{}, ErrTooMany
	}
	p := m.pulls[path]
	fresh := p == nil
	if fresh {
		p = m.add(path)
	}
	if p == nil {
		return State{}, ErrTooMany
	}
	next := maps.Clone(m.added)
	next[path] = plan
	if err := m.keep(next); err != nil {
		if fresh {
			delete(m.pulls, path)
		}
		return State{}, err
	}
	plan, _ = m.plan(path, "")
	p.use(plan, "")
	if !p.interrupt(errReplanned) && !plan.OnDemand {
		p.retry()
	}
	return p.look(), nil
}

// keep writes down what the API has fetched, and makes it so. mu is held.
func (m *Manager) keep(added map[string]Plan) error {
	if err := m.store.write(added); err != nil {
		return fmt.Errorf("pull: keeping the streams that the API has fetched: %w", err)
	}
	m.added = added
	return nil
}

// Remove undoes Add: the stream ends, unless the configuration has it fetched. It fails with ErrNoPull or ErrConfigured.
func (m *Manager) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pulls[path]
	if _, ok := m.added[path]; !ok {
		if p == nil {
			return ErrNoPull
		}
		return ErrConfigured
	}
	next := maps.Clone(m.added)
	delete(next, path)
	if err := m.keep(next); err != nil {
		return err
	}
	if p != nil {
		m.refresh(path, p)
	}
	if slices.Contains(m.opt.Always(), path) {
		m.begin(path)
	}
	return nil
}

// Retry tries the sources of a stream at once. It fails with ErrNoPull.
func (m *Manager) Retry(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pulls[path]
	if p == nil || m.closed {
		return ErrNoPull
	}
	if by, query := p.origin(); by != ByHook && !p.isRunning() { // what a hook has named, only it can name again
		if plan, ok := m.plan(path, query); ok {
			p.use(plan, query)
		}
	}
	p.retry()
	return nil
}

// Source returns where the stream at path is fetched from now: the URL, and the addresses that have been connected to; empty if it is
// not fetched.
func (m *Manager) Source(path string) (url string, addrs []netip.Addr) {
	m.mu.Lock()
	p := m.pulls[path]
	m.mu.Unlock()
	if p == nil {
		return "", nil
	}
	return p.source()
}

// List returns the states of all pulls, ordered by path.
func (m *Manager) List() []State {
	m.mu.Lock()
	list := make([]State, 0, len(m.pulls))
	for _, p := range m.pulls {
		list = append(list, p.look())
	}
	m.mu.Unlock()
	slices.SortFunc(list, func(a, b State) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// Count calls yield with how many pulls have each status.
func (m *Manager) Count(yield func(status string, n int)) {
	n := map[Status]int{}
	m.mu.Lock()
	for _, p := range m.pulls {
		n[p.status()]++
	}
	m.mu.Unlock()
	for _, s := range Statuses() {
		yield(string(s), n[s])
	}
}

// OnBackup returns how many streams are fetched from another source than their first one.
func (m *Manager) OnBackup() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.pulls {
		if p.onBackup() {
			n++
		}
	}
	return n
}

// tell logs a change, and passes it on.
func (m *Manager) tell(s State) {
	at, source := slog.String("stream", s.Path), slog.String("source", s.Source)
	switch s.Status {
	case Live:
		if reason, why := s.Why(); s.Backup && why != "" {
			m.opt.Log.Warn("the stream is fetched from a source that stands in for the first one", at, source, slog.String("session", s.Session), slog.String("reason", reason.String()), slog.String("err", why))
			break
		}
		m.opt.Log.Info("the stream is fetched", at, source, slog.String("session", s.Session))
	case Standby:
		m.opt.Log.Info("the stream is not fetched while it is published here", at)
	case Retrying, Failed:
		reason, why := s.Why()
		m.opt.Log.Warn(map[Status]string{ //nolint:sloglint // one of two constants
			Retrying: "the stream cannot be fetched: trying again and again", Failed: "the stream cannot be fetched: trying again for the next player",
		}[s.Status], at, source, slog.String("reason", reason.String()), slog.String("err", why))
	case Absent:
		reason, why := s.Why()
		m.opt.Log.Info("nobody publishes the stream where it is fetched from: trying again for the next player", at, source, slog.String("reason", reason.String()), slog.String("err", why))
	default:
		m.opt.Log.Info("the stream is not fetched any more", at)
	}
	m.opt.Changed(s)
}

// maxLogged bounds what a server can make a log line hold, in bytes.
const maxLogged = 512
