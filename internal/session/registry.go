package session

import (
	"cmp"
	"crypto/rand"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Observer is told what happens to sessions, of each session in order. Its functions may be nil; they
// are called outside the registry's lock, on the goroutine that caused the event. They must not block, nor
// promote or close the session that they are told of.
type Observer struct {
	Promoted func(*Session)                // it begins to publish or play
	Stopped  func(*Session, End)           // it stopped publishing or playing but stays connected
	Closed   func(*Session, End)           // called once a session, after it left the registry
	Refused  func(info Info, reason error) // Open refused it
}

// Registry is the set of open sessions.
type Registry struct {
	observer Observer
	tasks    sync.WaitGroup

	mu       sync.Mutex // guards below; a leaf
	limits   Limits
	stopped  error // the cause given to CloseAll, after which no session opens
	sessions map[string]*Session
	perIP    map[netip.Addr]perIP
	users    map[user]map[*Session]struct{}
	totals   map[string]*Totals // by protocol; the counters are those of closed sessions
	egress   egress
	rates    rates
	moves    uint64 // how often a session was opened, closed or given a role
}

// perIP counts the sessions of one address.
type perIP struct{ all, pending, players int32 }

// Totals are the sums of one protocol's sessions, open and closed. The counters never fall.
type Totals struct {
	Protocol                         string
	Roles                            [roleCount]int // open sessions, by Role
	BytesIn, BytesOut, Frames, Skips uint64
}

func (t *Totals) add(s *Session) {
	t.BytesIn += s.BytesIn.Load()
	t.BytesOut += s.BytesOut.Load()
	t.Frames += s.Frames.Load()
	t.Skips += s.Skips.Load()
}

// New returns an empty registry.
func New(limits Limits, observer Observer) *Registry {
	return &Registry{
		observer: observer, limits: limits, sessions: map[string]*Session{},
		perIP: map[netip.Addr]perIP{}, users: map[user]map[*Session]struct{}{}, totals: map[string]*Totals{},
	}
}

// SetLimits changes the limits. Open sessions stay.
func (r *Registry) SetLimits(l Limits) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limits = l
}

// Open registers a peer as pending. It fails with a *LimitError, or after CloseAll with its cause.
// The caller must close the session.
func (r *Registry) Open(info Info) (*Session, error) {
	s := &Session{
		ID: info.ID, Protocol: info.Protocol, Remote: info.Remote,
		Started: time.Now(), reg: r, cancel: info.Cancel, open: true,
		tls: info.TLS,
	}
	if info.InProcess || info.Source != "" || len(info.Via) > 0 {
		s.origin = &origin{info.InProcess, info.Source, info.Via}
	}
	if s.ID == "" {
		s.ID = NewID()
	}
	s.SetUserAgent(info.UserAgent)
	s.activity.Store(pendingActivity)
	if err := r.insert(s); err != nil {
		if f := r.observer.Refused; f != nil {
			f(info, err)
		}
		return nil, err
	}
	return s, nil
}

func (r *Registry) insert(s *Session) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped != nil {
		return r.stopped
	}
	ip, counted := CountedAddr(s.Remote.Addr())
	n := r.perIP[ip]
	for _, l := range []struct {
		name      string
		have, max int
	}{
		{"connections", len(r.sessions), r.limits.Connections},
		{"connections_per_ip", int(n.all), r.limits.ConnectionsPerIP},
		{"pending_per_ip", int(n.pending), r.limits.PendingPerIP},
	} {
		if l.max > 0 && l.have >= l.max {
			return &LimitError{l.name, l.max}
		}
	}
	if r.sessions[s.ID] != nil {
		s.ID = NewID()
	}
	r.moves++
	r.tasks.Add(1) // until Close has told the observer
	r.sessions[s.ID] = s
	if counted {
		r.perIP[ip] = perIP{n.all + 1, n.pending + 1, n.players}
	}
	t := r.totals[s.Protocol]
	if t == nil {
		t = &Totals{Protocol: s.Protocol}
		r.totals[s.Protocol] = t
	}
	t.Roles[Pending]++
	return nil
}

// move gives an open session another role.
func (r *Registry) move(s *Session, role Role, stream string) (was *activity, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.moveLocked(s, role, stream)
}

func (r *Registry) moveLocked(s *Session, role Role, stream string) (was *activity, ok bool) {
	next := pendingActivity
	if role != Pending {
		next = &activity{role, strings.Clone(stream), time.Now()}
	}
	if !s.open {
		return nil, false
	}
	r.moves++
	was = s.activity.Swap(next)
	r.settle(s, was)
	t := r.totals[s.Protocol]
	t.Roles[was.role]--
	t.Roles[next.role]++
	r.count(s, 0, pending(next.role)-pending(was.role), plays(next.role)-plays(was.role))
	return was, true
}

func pending(r Role) int32 {
	if r == Pending || r == Waiting {
		return 1
	}
	return 0
}

// plays is 1 of a role that counts as a player, also one that waits.
func plays(r Role) int32 {
	if r == Play || r == Waiting {
		return 1
	}
	return 0
}

// count changes the counts of the address of s. mu is held.
func (r *Registry) count(s *Session, all, pending, players int32) {
	ip, counted := CountedAddr(s.Remote.Addr())
	if !counted || all == 0 && pending == 0 && players == 0 {
		return
	}
	n := r.perIP[ip]
	n = perIP{n.all + all, n.pending + pending, n.players + players}
	if n.all == 0 {
		delete(r.perIP, ip)
	} else {
		r.perIP[ip] = n
	}
}

// remove takes an open session out of the registry and completes its end.
func (r *Registry) remove(s *Session, e *End) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.open {
		return false
	}
	s.open = false
	p := s.activity.Load()
	e.Role, e.Stream = p.role, p.stream
	r.moves++
	r.settle(s, p)
	delete(r.sessions, s.ID)
	t := r.totals[s.Protocol]
	t.Roles[p.role]--
	t.add(s)
	r.count(s, -1, -pending(p.role), -plays(p.role))
	r.forgetUser(s)
	return true
}

// Get returns the open session with the id, or nil.
func (r *Registry) Get(id string) *Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[id]
}

// Len returns the number of open sessions.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions)
}

// List returns the open sessions, the oldest first.
func (r *Registry) List() []*Session {
	list := r.all()
	slices.SortFunc(list, func(a, b *Session) int {
		return cmp.Or(a.Started.Compare(b.Started), strings.Compare(a.ID, b.ID))
	})
	return list
}

func (r *Registry) all() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*Session, 0, len(r.sessions))
	for _, s := range r.sessions {
		list = append(list, s)
	}
	return list
}

// Kick asks the session with the id to end. It reports false if there is none or it was already asked.
func (r *Registry) Kick(id string, cause error) bool {
	s := r.Get(id)
	return s != nil && s.Kick(cause)
}

// Refuse refuses new sessions with cause from now on. Those there are go on.
func (r *Registry) Refuse(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped == nil {
		r.stopped = cause
	}
}

// CloseAll asks every session to end, and from now on refuses new ones with cause. It does not
// wait: the protocol that opened a session closes it.
func (r *Registry) CloseAll(cause error) {
	r.Refuse(cause)
	for _, s := range r.all() {
		s.Kick(cause)
	}
}

// Wait returns once all sessions are closed, the observer has been told, and their tasks are done. CloseAll must go before.
func (r *Registry) Wait() { r.tasks.Wait() }

// Moves returns how often a session was opened, closed or given a role so far.
func (r *Registry) Moves() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.moves
}

// CloseProtocol asks the sessions of one protocol to end.
func (r *Registry) CloseProtocol(protocol string, cause error) {
	for _, s := range r.all() {
		if s.Protocol == protocol {
			s.Kick(cause)
		}
	}
}

// Sent counts sent bytes of a protocol that belong to no session, such as answers that caches may keep.
func (r *Registry) Sent(protocol string, n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sentLocked(protocol, n)
}

func (r *Registry) sentLocked(protocol string, n uint64) {
	t := r.totals[protocol]
	if t == nil {
		t = &Totals{Protocol: protocol}
		r.totals[protocol] = t
	}
	t.BytesOut += n
}

// Totals returns the sums of every protocol that had a session, by name. It visits every open
// session: call it once a scrape, not once a frame. What a session counts after its Close is lost.
func (r *Registry) Totals() []Totals {
	r.mu.Lock()
	defer r.mu.Unlock()
	sums := make(map[string]*Totals, len(r.totals))
	for name, t := range r.totals {
		sum := *t
		sums[name] = &sum
	}
	for _, s := range r.sessions {
		sums[s.Protocol].add(s)
	}
	list := make([]Totals, 0, len(sums))
	for _, t := range sums {
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b Totals) int { return strings.Compare(a.Protocol, b.Protocol) })
	return list
}

// CountedAddr returns the address under which limits count a: an IPv4 address itself, or the /64 of an
// IPv6 address. It reports false for what is exempt: loopback, and no address.
func CountedAddr(a netip.Addr) (netip.Addr, bool) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() {
		return netip.Addr{}, false
	}
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr(), true
	}
	return a, true
}

// NewID returns an id for a session, of 80 random bits in 16 characters, of letters and digits.
func NewID() string { return strings.ToLower(rand.Text()[:16]) }
