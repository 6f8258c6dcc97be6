package push

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"weir/internal/session"
	"weir/internal/stream"
)

// Options are what a Manager works with.
type Options struct {
	// Log is told what happens to targets; nil logs nothing.
	Log *slog.Logger
	Hub *stream.Hub
	// Configured returns the entries of streams[].push that apply to a path.
	Configured func(path string) []Config
	// Granted returns where the decision about a publisher, by the id of its session, sends its
	// stream. It is asked when the publisher's media begins. nil: there are no decisions.
	Granted func(session string) []session.Push
	// Edge, if not nil, returns where the stream of a publisher goes because this server is the edge of another one, and
	// whether every certificate is accepted there; ok is false if it goes nowhere. It is asked when the publisher's media
	// begins, and by Apply.
	Edge func(path string, p stream.Info) (to Config, insecure, ok bool)
	// Elsewhere, if not nil, is told of a stream that waits for its publisher's return while the origin, to which Edge has it sent, has it from
	// another one.
	Elsewhere func(path string)
	// Server is this server's id, by which it finds streams that have been here.
	Server string
	// Own reports whether a port is one at which this server takes publishers; nil: none is.
	Own func(port int) bool
	// Pulled reports whether a stream is fetched now from a host or from an address, one of which may be missing; nil: none is.
	Pulled func(path, host string, addr netip.Addr) bool
	// Private reports whether targets that the API and decisions name may be at addresses of this machine and of private
	// networks; nil: none may. Those of the configuration may be anywhere.
	Private func(path string) bool
	// Tell, if not nil, is told of events, their data included. It must not block.
	Tell func(typ, path string, data map[string]any)
	// Failed, if not nil, counts the failure of a target of a service.
	Failed func(service string, reason session.Reason)
	// State is the folder in which targets that the API made are kept; empty: in memory.
	State string
	// Roots may vouch for servers; nil: those that the system trusts.
	Roots *x509.CertPool
	// Dial opens TCP connections; nil: a net.Dialer with Resolver, which is the system's if nil.
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	Resolver *net.Resolver
}

// Manager sends streams on. It is told of the events of streams, and of changes of the configuration.
type Manager struct {
	opt   Options
	write func(kept) error // to the disk
	loops loops
	held  held
	sent  map[*service]*atomic.Int64 // bytes; of every service

	wg sync.WaitGroup // the targets' goroutines

	// changing is held while the API changes something, also while that is written to the disk. It is taken before mu.
	changing sync.Mutex

	mu     sync.Mutex // guards below; publishers wait for it, so it is held neither over I/O nor while a stream's lock is taken
	closed bool
	lines  map[string]*line // by path
	ending map[ident]*ending
	kept   kept // replaced under changing, too
}

// ident names a target.
type ident struct{ path, name string }

// line is one live stream.
type line struct {
	stream    *stream.Stream
	publisher stream.Info    // the newest
	granted   []session.Push // by the decision about it
	targets   map[string]*target
	noted     map[string]time.Time // when each thing that a service does not want was found, by service and setting
}

// wanted is a target that a stream is to have.
type wanted struct {
	Config
	origin   Origin
	insecure bool // every certificate is accepted
	made     bool // it was made turned on, whatever the API has made of that
}

// New returns a manager. It fails if what is kept in the folder of state cannot be read.
func New(o Options) (*Manager, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	disk := storeIn(o.State)
	m := &Manager{
		opt: o, write: disk.write, sent: map[*service]*atomic.Int64{custom: {}},
		lines: map[string]*line{}, ending: map[ident]*ending{},
	}
	for _, s := range services {
		m.sent[s] = &atomic.Int64{}
	}
	m.loops.byName = map[string]weak.Pointer[loop]{}
	var err error
	m.kept, err = disk.read()
	return m, err
}

// Run waits until ctx ends, and then ends all targets properly and waits for them.
func (m *Manager) Run(ctx context.Context) error {
	<-ctx.Done()
	m.mu.Lock()
	m.closed = true
	for _, l := range m.lines {
		for _, t := range l.targets {
			m.halt(t, session.ErrShutdown)
		}
	}
	for _, e := range m.ending {
		e.stop(session.ErrShutdown)
	}
	m.mu.Unlock()
	m.wg.Wait()
	return nil
}

// Stream takes an event of a stream. It does not block.
func (m *Manager) Stream(e stream.Event) {
	if m.take(e) && m.opt.Elsewhere != nil {
		m.opt.Elsewhere(e.Path)
	}
}

// take takes an event of a stream, and reports whether that waits for its publisher while the origin has it from another one.
func (m *Manager) take(e stream.Event) (elsewhere bool) {
	switch e.Kind {
	case stream.Started, stream.Waiting, stream.Resumed, stream.Retracked, stream.Ended:
	default:
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lines[e.Path]
	if l != nil && closed(l.stream.Over()) {
		for _, t := range l.targets {
			if t.stop != nil { // it sends what there is, and ends by itself
				t.end(errEnded)
				m.ends(t, t.stop)
			}
		}
		delete(m.lines, e.Path)
		l = nil
	}
	comes := e.Kind == stream.Started || e.Kind == stream.Resumed
	if l == nil && comes {
		if s := m.opt.Hub.Get(e.Path); s != nil && closed(s.Begun()) && !closed(s.Over()) && !m.closed {
			l = &line{stream: s, targets: map[string]*target{}}
			m.lines[e.Path] = l
		}
	}
	if l == nil {
		return false
	}
	if comes {
		if p, ok := l.stream.Publisher(); ok {
			l.publisher = p
		}
		if m.opt.Granted != nil {
			l.granted = m.opt.Granted(e.Session)
		}
	}
	if e.Kind == stream.Waiting {
		for _, t := range l.targets {
			t.away(true)
			elsewhere = elsewhere || t.isElsewhere()
		}
		return elsewhere
	}
	m.sync(e.Path, l)
	for _, t := range l.targets {
		t.anew(comes)
		if comes {
			t.away(false)
			signal(t.look)
		}
	}
	return false
}

// signal makes a channel have its element.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Apply puts another configuration into force: targets come, go and change.
func (m *Manager) Apply() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path, l := range m.lines {
		m.sync(path, l)
		if m.opt.Private == nil || !m.opt.Private(path) {
			continue
		}
		for _, t := range l.targets {
			t.allowed()
		}
	}
}

// sync makes the targets of a live stream those that it is to have. mu is held.
func (m *Manager) sync(path string, l *line) {
	if m.closed {
		return
	}
	want := m.wanted(path)
	for name, t := range l.targets {
		if !slices.ContainsFunc(want, func(w wanted) bool { w.made = t.made; return w == t.wanted }) {
			cause := errRemoved
			if slices.ContainsFunc(want, func(w wanted) bool { return w.Name == name && !w.Enabled && t.Enabled }) {
				cause = errOff
			}
			m.halt(t, cause)
			delete(l.targets, name)
		}
	}
	for _, w := range want {
		if l.targets[w.Name] != nil {
			continue
		}
		t := newTarget(m, path, l.stream, w)
		l.targets[w.Name] = t
		if w.Enabled {
			m.start(t)
		}
	}
}

// wanted returns the targets that a stream is to have, those that are turned off among them. mu is held.
func (m *Manager) wanted(path string) []wanted {
	var list []wanted
	taken := map[string]bool{}
	add := func(c Config, o Origin, insecure bool) {
		list = append(list, wanted{c, o, insecure, c.Enabled})
		taken[c.Name] = true
	}
	for _, c := range withNames(m.opt.Configured(path)) {
		add(c, FromConfig, false)
	}
	for _, k := range m.kept.Added {
		if k.Stream == path && !taken[k.Name] {
			add(k.Config, FromAPI, false)
		}
	}
	var publisher stream.Info
	var granted []session.Push
	if l := m.lines[path]; l != nil {
		publisher, granted = l.publisher, l.granted
	}
	if m.opt.Edge != nil {
		if c, insecure, ok := m.opt.Edge(path, publisher); ok {
			c.Name = free(c.Name, taken)
			add(c, FromEdge, insecure)
		}
	}
	for _, p := range granted {
		c := DefaultConfig()
		c.URL, c.Key = p.URL, p.Key
		c.Name = free(nameFrom(p.Name), taken)
		add(c, FromHook, false)
	}
	for i := range list {
		if at := m.kept.override(path, list[i].Name); at >= 0 && list[i].origin != FromAPI {
			list[i].Enabled = m.kept.Switched[at].On
		}
	}
	return list
}

// start runs a target. mu is held.
func (m *Manager) start(t *target) {
	ctx, stop := context.WithCancelCause(context.Background())
	waiting, end := context.WithCancelCause(ctx)
	done := make(chan struct{})
	t.stop, t.end, t.done = stop, end, done
	id := ident{t.path, t.Name}
	before := m.ending[id]
	state := t.expected()
	if before != nil {
		state = Waiting
	}
	t.set(state) // now: the answer to whoever turns it on is made of it
	m.wg.Go(func() {
		t.run(ctx, waiting, before)
		end(nil)
		stop(nil)
		close(done)
		m.mu.Lock()
		defer m.mu.Unlock()
		if e := m.ending[id]; e != nil && closed(e.done) {
			delete(m.ending, id)
		}
	})
}

// halt ends a target, which goes on ending beside. mu is held.
func (m *Manager) halt(t *target, cause error) {
	if t.stop == nil {
		return
	}
	stop := t.stop
	t.stop = nil
	stop(cause)
	m.ends(t, stop)
}

// ends notes that a target ends, so that the next of its name waits for it. mu is held.
func (m *Manager) ends(t *target, stop context.CancelCauseFunc) {
	if !closed(t.done) { // else it has already looked for itself
		m.ending[ident{t.path, t.Name}] = &ending{stop, t.done}
	}
}

// Forwards reports whether a stream is sent on to the origin of this edge, or will be once it can be: not if the origin
// refuses it.
func (m *Manager) Forwards(path string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lines[path]
	if l == nil {
		return false
	}
	for _, t := range l.targets {
		if t.origin == FromEdge && t.Enabled {
			return t.now() != Refused
		}
	}
	return false
}

// sender returns which other stream is sent where a target is, with the same key; empty if none is.
func (m *Manager) sender(t *target) string {
	t.mu.Lock()
	to := t.address
	t.mu.Unlock()
	if to == nil {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for path, l := range m.lines {
		for _, other := range l.targets {
			if other != t && other.sendsTo(to) {
				return path
			}
		}
	}
	return ""
}

// tell tells of an event.
func (m *Manager) tell(typ, path string, data map[string]any) {
	if m.opt.Tell != nil {
		m.opt.Tell(typ, path, data)
	}
}

// failed counts a failure.
func (m *Manager) failed(s *service, reason session.Reason) {
	if m.opt.Failed != nil {
		m.opt.Failed(s.name, reason)
	}
}

// count counts bytes that were sent to a service.
func (m *Manager) count(s *service, bytes int64) { m.sent[s].Add(bytes) }

// Sent yields the bytes of media that were sent so far to each service.
func (m *Manager) Sent(yield func(service string, bytes int64)) {
	for s, n := range m.sent {
		yield(s.name, n.Load())
	}
}

// Targets yields how many targets of each service are in each state.
func (m *Manager) Targets(yield func(service, state string, n int)) {
	counts := map[[2]string]int{}
	m.mu.Lock()
	for _, l := range m.lines {
		for _, t := range l.targets {
			t.mu.Lock()
			counts[[2]string{t.service.name, t.state.String()}]++
			t.mu.Unlock()
		}
	}
	m.mu.Unlock()
	for k, n := range counts {
		yield(k[0], k[1], n)
	}
}

// List returns the targets, in the order of streams and names: those of live streams, and those that the
// API made for others. With a stream they are all that it has or is to have.
func (m *Manager) List(path string) []Status {
	m.mu.Lock()
	var running []*target
	seen := map[ident]bool{}
	for p, l := range m.lines {
		for name, t := range l.targets {
			if path == "" || p == path {
				running = append(running, t)
				seen[ident{p, name}] = true
			}
		}
	}
	var list []Status
	for _, p := range m.idle(path) {
		own := map[string]Origin{}
		for _, w := range m.wanted(p) {
			if own[w.Name] = w.origin; !seen[ident{p, w.Name}] && m.lines[p] == nil {
				list = append(list, idleStatus(p, w))
			}
		}
		for _, k := range m.kept.Added {
			if o := own[k.Name]; k.Stream == p && o != FromAPI {
				list = append(list, hiddenStatus(p, k.Config, o))
			}
		}
	}
	m.mu.Unlock()
	for _, t := range running {
		list = append(list, t.Status())
	}
	slices.SortFunc(list, func(a, b Status) int {
		if c := strings.Compare(a.Stream, b.Stream); c != 0 {
			return c
		}
		return strings.Compare(a.Config.Name, b.Config.Name)
	})
	return list
}

// idle returns the streams whose targets are listed although they are not live. mu is held.
func (m *Manager) idle(path string) []string {
	if path != "" {
		return []string{path}
	}
	var list []string
	for _, k := range m.kept.Added {
		if !slices.Contains(list, k.Stream) {
			list = append(list, k.Stream)
		}
	}
	return list
}

// idleStatus is that of a target whose stream is not live.
func idleStatus(path string, w wanted) Status {
	s := Status{Stream: path, Config: w.Config, Origin: w.origin, URL: shown(&w.Config, path), State: Waiting}
	if !w.Enabled {
		s.State = Off
	}
	return s
}

// hiddenStatus is that of a target that the API made, and whose name another one has now.
func hiddenStatus(path string, c Config, by Origin) Status {
	s := idleStatus(path, wanted{Config: c, origin: FromAPI})
	s.State, s.Reason = Off, session.Config
	s.Error = fmt.Sprintf("another target has this name now, and goes before (%s): remove this one, or give that one another name", by)
	return s
}

// Notes returns what there is to say of a live stream because of where it is sent.
func (m *Manager) Notes(path string) []Note {
	m.mu.Lock()
	l := m.lines[path]
	if l == nil {
		m.mu.Unlock()
		return nil
	}
	noted := l.noted // it does not change, but is replaced
	var wanting []*service
	for _, t := range l.targets {
		if t.Enabled && !slices.Contains(wanting, t.service) {
			wanting = append(wanting, t.service)
		}
	}
	m.mu.Unlock()
	found := map[string]time.Time{}
	var list []Note
	for _, s := range wanting {
		for _, n := range notes(s, l.stream) {
			key := s.name + n.Setting
			if n.Since = noted[key]; n.Since.IsZero() {
				n.Since = time.Now()
			}
			found[key] = n.Since
			list = append(list, n)
		}
	}
	m.mu.Lock()
	l.noted = found
	m.mu.Unlock()
	slices.SortFunc(list, func(a, b Note) int { return strings.Compare(a.Sentence, b.Sentence) })
	return list
}
