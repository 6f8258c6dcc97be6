package event

import (
	"slices"
	"time"

	"weir/internal/session"
)

// What hooks in other servers' formats are told beside the Types, and nobody else, who wants all events included: their
// services count who is there, and so hear of exactly one end for each yes that they have said, also where the session
// never began.
const (
	// PublishAllowed: a service that waits for the end has let a publisher in. Data: none.
	PublishAllowed = "publish.allowed"
	// PublishReleased ends what PublishAllowed began. Data: reason.
	PublishReleased = "publish.released"
	// PlayAllowed and PlayReleased are the same of players.
	PlayAllowed  = "play.allowed"
	PlayReleased = "play.released"
)

// toldAs is as what those hooks tell of these.
var toldAs = map[string]string{
	PublishAllowed: PublishStart, PublishReleased: PublishStop, PlayAllowed: PlayStart, PlayReleased: PlayStop,
}

// ToldAs returns the type of the Types as which a hook tells of a type that is none of them; "" for one that is.
func ToldAs(typ string) string { return toldAs[typ] }

// Owing returns the types that have to be wanted beside those that patterns name, so that each yes has its end; starts
// says whether those are wanted that begin something, too.
func Owing(patterns []string, starts bool) (types []string) {
	for typ, as := range toldAs {
		begins := StopOf(as) != ""
		if begins && starts && Matches(patterns, StopOf(as)) || !begins && Matches(patterns, as) {
			types = append(types, typ)
		}
	}
	slices.Sort(types)
	return types
}

// offerTime is for how long a viewer that was let in may take to begin a session, by far.
const offerTime = 4 * time.Minute

// debt is an end that is owed to a service.
type debt struct {
	who    *Session
	role   session.Role
	stream *Stream
	at     time.Time
}

// Allowed tells that a service which waits for the end has let a peer in. who has the id under which it was asked, which
// its session has or will have; path is the stream's, as far as it may be told. One end follows: with the session's
// own, by Gone, or by Review.
func (t *Tracker) Allowed(who *Session, role session.Role, path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := debt{who, role, &Stream{Path: session.Printable(path, maxPath)}, time.Now()}
	t.owed[who.ID] = append(t.owed[who.ID], d)
	typ := PlayAllowed
	if role == session.Publish {
		typ = PublishAllowed
	}
	t.bus.Publish(Event{Type: typ, Stream: d.stream, Session: who})
}

// Gone tells that nothing comes of what was allowed last under an id.
func (t *Tracker) Gone(id string, role session.Role, reason session.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.owed[id]
	for i, d := range slices.Backward(list) {
		if d.role == role {
			t.take(id, i)
			t.settle(&d, reason)
			return
		}
	}
}

// Closed tells that a session is no more. Ended must have been told before.
func (t *Tracker) Closed(x *session.Session, e session.End) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settleAll(x.ID, e.Reason)
}

// Review tells of the ends of those that were let in long ago and have begun no session. isThere reports whether there is
// a session with an id.
func (t *Tracker) Review(now time.Time, isThere func(id string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, list := range t.owed {
		if now.Sub(list[len(list)-1].at) > offerTime && !isThere(id) {
			t.settleAll(id, session.EOF)
		}
	}
}

// Close tells of the ends of all that were let in and have begun no session.
func (t *Tracker) Close(reason session.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.owed {
		t.settleAll(id, reason)
	}
}

// oldest takes the debt of a session's role that was made first; nil if there is none. mu is held.
func (t *Tracker) oldest(id string, role session.Role) *debt {
	for i, d := range t.owed[id] {
		if d.role == role {
			t.take(id, i)
			return &d
		}
	}
	return nil
}

// take takes one of the debts of an id off the list. mu is held.
func (t *Tracker) take(id string, i int) {
	if list := slices.Delete(t.owed[id], i, i+1); len(list) > 0 {
		t.owed[id] = list
	} else {
		delete(t.owed, id)
	}
}

// settle tells of an end that is owed; of none if d is nil. mu is held.
func (t *Tracker) settle(d *debt, reason session.Reason) {
	if d == nil {
		return
	}
	typ := PlayReleased
	if d.role == session.Publish {
		typ = PublishReleased
	}
	t.bus.Publish(Event{Type: typ, Stream: d.stream, Session: d.who, Data: map[string]any{"reason": reason.String()}})
}

// settleAll tells of all ends that are owed for an id. mu is held.
func (t *Tracker) settleAll(id string, reason session.Reason) {
	for _, d := range t.owed[id] {
		t.settle(&d, reason)
	}
	delete(t.owed, id)
}
