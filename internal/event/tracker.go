package event

import (
	"net/netip"
	"sync"
	"time"

	"weir/internal/session"
)

// Tracker makes events of what sessions and streams report. Each start has exactly one stop. On one
// stream the stop of a publisher goes before the start of the next, which waits for it if need be,
// and before the stream's end. A session that published no media has neither start nor stop but one
// PublishRejected.
//
// Its methods are for the observers of sessions and streams: they do not block. What is reported of
// one session must come in the order in which it happened, and so must what is reported of one
// stream; the two may come in any order.
type Tracker struct {
	bus *Bus

	mu      sync.Mutex // guards below; held while events are published, so that their order is kept
	lives   map[string]*life
	streams map[string]*state
	epoch   uint64 // the last that was given
	limits  map[string]*limit
	refused refusals
	owed    map[string][]debt // by the id of the session, the oldest first
}

// life is what one session does with one stream, from when it got its role to when it lost it.
type life struct {
	session *session.Session
	role    session.Role
	path    string
	since   time.Time // of its start event, or of its role if it has none yet
	base    figures   // of the session when it got the role
	fed     bool      // a publisher whose media became the stream's
	ended   bool      // what is below is final
	reason  session.Reason
	took    time.Duration
	sum     figures
	paired  bool  // the service that was asked about it hears of its end by a debt
	debt    *debt // that its stop settles; nil for none
}

// figures are the counters of a session.
type figures struct{ in, out, frames, skips uint64 }

func figuresOf(x *session.Session) figures {
	return figures{x.BytesIn.Load(), x.BytesOut.Load(), x.Frames.Load(), x.Skips.Load()}
}

// NewTracker returns a tracker that publishes on b.
func NewTracker(b *Bus) *Tracker {
	return &Tracker{bus: b, lives: map[string]*life{}, streams: map[string]*state{}, limits: map[string]*limit{}, owed: map[string][]debt{}}
}

// Promoted is for session.Observer. Players are followed only if somebody wants their events.
func (t *Tracker) Promoted(x *session.Session) {
	role := x.Role()
	if role == session.Play && !t.bus.Wanted(PlayStart, PlayStop) {
		return
	}
	l := &life{session: x, role: role, path: x.Stream(), since: time.Now(), base: figuresOf(x), paired: x.Terms().Paired}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lives[x.ID] = l
	if role == session.Play {
		s := t.state(l.path)
		s.players++
		t.bus.Publish(Event{Type: PlayStart, Time: l.since, Stream: s.named(), Session: Describe(x, role), Paired: l.paired})
	}
}

// Ended is for the Stopped and Closed of session.Observer; after Closed it is followed by Tracker.Closed.
func (t *Tracker) Ended(x *session.Session, e session.End) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lives[x.ID]
	if l == nil {
		t.settle(t.oldest(x.ID, e.Role), e.Reason)
		return
	}
	delete(t.lives, x.ID)
	l.end(e.Reason)
	l.debt = t.oldest(x.ID, l.role)
	switch {
	case l.role == session.Play:
		s := t.state(l.path)
		s.players--
		t.bus.Publish(Event{Type: PlayStop, Stream: s.named(), Session: Describe(x, l.role), Data: l.totals(), Paired: l.paired})
		t.settle(l.debt, l.reason)
		t.forget(s)
	case l.fed:
		t.advance(t.state(l.path))
	default:
		t.rejected(Describe(x, l.role), l.path, l.reason, "It sent no media.")
		t.settle(l.debt, l.reason)
	}
}

// Disconnected tells that a connection has ended that the decision hook was asked about when it connected.
func (t *Tracker) Disconnected(x *session.Session, app string, e session.End) {
	if !t.bus.Wanted(Disconnect) {
		return
	}
	n := figuresOf(x)
	data := map[string]any{
		"app": app, "reason": e.Reason.String(), "duration": time.Since(x.Started).Round(time.Millisecond).Seconds(),
		"bytes_received": n.in, "bytes_sent": n.out,
	}
	if path := x.LastStream(); path != "" {
		data["stream"] = path
	}
	t.bus.Publish(Event{Type: Disconnect, Session: Describe(x, e.Role), Data: data})
}

// NeverConnected is Disconnected for a connection that had gone before the answer came, which was yes.
func (t *Tracker) NeverConnected(who *Session, app string) {
	t.bus.Publish(Event{Type: Disconnect, Session: who, Data: map[string]any{
		"app": app, "reason": session.EOF.String(), "duration": 0.0, "bytes_received": uint64(0), "bytes_sent": uint64(0),
	}})
}

// Refused tells of a publisher that was refused because of err. Only what the peer may know of err
// is told.
func (t *Tracker) Refused(who *Session, path string, err error) {
	if !t.bus.Wanted(PublishRejected) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rejected(who, path, session.ReasonOf(err), session.PeerText(err))
}

// rejected publishes a PublishRejected, unless there are too many. mu is held.
func (t *Tracker) rejected(who *Session, path string, reason session.Reason, text string) {
	leftOut, ok := t.refused.admit(who.Remote, time.Now())
	if !ok {
		return
	}
	data := map[string]any{"reason": reason.String(), "text": text}
	if leftOut > 0 {
		data["left_out"] = leftOut
	}
	named := &Stream{Path: session.Printable(path, maxPath)}
	if s := t.streams[path]; s != nil {
		named = s.named()
	}
	t.bus.Publish(Event{Type: PublishRejected, Stream: named, Session: who, Data: data})
}

// maxPath bounds the path of a peer that was refused, perhaps because of its path, in bytes.
const maxPath = 255

// Skipped tells that a player skipped bytes because it was lag behind.
func (t *Tracker) Skipped(x *session.Session, lag time.Duration, bytes int64) {
	if !t.bus.Wanted(PlayerSkipped) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	named := &Stream{Path: x.Stream()}
	if s := t.streams[named.Path]; s != nil {
		named = s.named()
	}
	t.bus.Publish(Event{Type: PlayerSkipped, Stream: named, Session: Describe(x, session.Play), Data: map[string]any{
		"lag": lag.Seconds(), "bytes": bytes, "skips": x.Skips.Load(),
	}})
}

// Health tells that something is wrong with what a stream's publisher sends, or that nothing is any
// more. data says what; it may be nil.
func (t *Tracker) Health(path string, healthy bool, data map[string]any) {
	typ := PublisherUnhealthy
	if healthy {
		typ = PublisherHealthy
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bus.Publish(t.about(typ, path, data))
}

// Segment tells of a segment of a stream that is done. The last one is so only once its publisher has gone.
func (t *Tracker) Segment(path string, data map[string]any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.about(SegmentDone, path, data)
	if s := t.streams[path]; s != nil && e.Session == nil {
		e.Session = s.last
	}
	t.bus.Publish(e)
}

// about makes an event of a stream and its publisher. mu is held.
func (t *Tracker) about(typ, path string, data map[string]any) Event {
	e := Event{Type: typ, Stream: &Stream{Path: path}, Data: data}
	if s := t.streams[path]; s != nil {
		e.Stream = s.named()
		if s.current != nil {
			e.Session = Describe(s.current.session, session.Publish)
		}
	}
	return e
}

// Push tells of an event of a target to which a stream is sent.
func (t *Tracker) Push(typ, path string, data map[string]any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	named := &Stream{Path: path}
	if s := t.streams[path]; s != nil {
		named = s.named()
	}
	t.bus.Publish(Event{Type: typ, Stream: named, Data: data})
}

// Named returns a stream as events have it, and the session whose media is the stream's now, also where its start still waits
// for the stop of another one; nil if there is none.
func (t *Tracker) Named(path string) (*Stream, *Session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.streams[path]
	if s == nil {
		return &Stream{Path: path}, nil
	}
	feeds := s.current
	for _, next := range s.held {
		if next.kind == start {
			feeds = next.life
		}
	}
	if feeds == nil {
		return s.named(), nil
	}
	return s.named(), Describe(feeds.session, session.Publish)
}

// limit counts the refusals of one limit.
type limit struct {
	told    time.Time
	refused uint64
}

// limitEvery is how often a limit that refuses peers is told of.
const limitEvery = time.Minute

// Limit tells that a limit refused a peer. name is the key of the configuration, from a closed set;
// most is its value, 0 if it is not known here.
func (t *Tracker) Limit(name string, most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.limits[name]
	if l == nil {
		l = &limit{}
		t.limits[name] = l
	}
	l.refused++
	now := time.Now()
	if !l.told.IsZero() && now.Sub(l.told) < limitEvery {
		return
	}
	data := map[string]any{"limit": name, "refused": l.refused}
	if most > 0 {
		data["max"] = most
	}
	l.told, l.refused = now, 0
	t.bus.Publish(Event{Type: LimitReached, Data: data})
}

// Describe returns what events say of a session in a role.
func Describe(x *session.Session, role session.Role) *Session {
	t := x.Terms()
	s := Peer(x.ID, x.Protocol, role, x.From(), x.UserAgent(), x.Via(), x.TLS())
	s.User, s.KeyID, s.Label, s.Labels, s.Shown = t.User, t.KeyID, t.Label, t.Labels, x.Shown()
	return s
}

// Peer returns what events say of a peer of which nobody has said who it is.
func Peer(id, protocol string, role session.Role, remote, agent string, via []netip.Addr, tls bool) *Session {
	s := &Session{ID: id, Protocol: protocol, Role: role.String(), Remote: remote, TLS: tls, UserAgent: agent}
	if role == session.Publish {
		s.Encoder = agent
	}
	for _, a := range via {
		s.Via = append(s.Via, a.String())
	}
	return s
}

// end makes the figures of l final. It does nothing the second time.
func (l *life) end(reason session.Reason) {
	if l.ended {
		return
	}
	n := figuresOf(l.session)
	l.ended, l.reason, l.took = true, reason, time.Since(l.since)
	l.sum = figures{n.in - l.base.in, n.out - l.base.out, n.frames - l.base.frames, n.skips - l.base.skips}
}

// totals returns the data of the stop of l.
func (l *life) totals() map[string]any {
	d := map[string]any{
		"reason": l.reason.String(), "duration": l.took.Round(time.Millisecond).Seconds(),
		"bytes_received": l.sum.in, "bytes_sent": l.sum.out, "frames": l.sum.frames,
	}
	if l.role == session.Play {
		d["skips"] = l.sum.skips
	}
	return d
}
