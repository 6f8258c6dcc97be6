package session

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Grant says how a session was admitted. It is comparable, and stays with the session.
type Grant struct {
	// Entry is the index of the configured stream entry that applied; -1 if none did.
	Entry int
	// Key stands for the key that was given; 0 if none was needed. Equal values stand for equal
	// keys. It is not for logs.
	Key uint64
	// Terms is what those that admitted the session said of it, taken together; nil if they said nothing.
	Terms *Terms
	// Parts is what each of them said, the last one first; nil if Terms is what one of them said.
	Parts *Part
	// Hidden says that a player has asked for a name which is a key: it waits for a stream of no name, and what it asked for is told
	// nowhere.
	Hidden bool
}

// Part is what one of several that admitted a session said. It does not change.
type Part struct {
	Terms  *Terms
	Before *Part // what was said before; nil for the first
}

// And returns the grant with what one more said, who was asked after the others. nil terms say nothing.
func (g Grant) And(said *Terms) Grant {
	switch {
	case said == nil:
		return g
	case g.Terms == nil:
		g.Terms, g.Hidden = said, g.Hidden && said.Path == ""
		return g
	case g.Parts == nil:
		g.Parts = &Part{Terms: g.Terms}
	}
	g.Hidden = g.Hidden && said.Path == ""
	g.Parts, g.Terms = &Part{said, g.Parts}, g.Terms.With(said)
	return g
}

// Said returns what those that admitted the session said, in their order. What follows one another and is not
// asked about again is taken together.
func (g Grant) Said() []*Terms {
	parts := []*Terms{}
	for p := g.Parts; p != nil; p = p.Before {
		parts = append(parts, p.Terms)
	}
	if g.Parts == nil && g.Terms != nil {
		parts = append(parts, g.Terms)
	}
	said := parts[:0:0]
	for _, t := range slices.Backward(parts) {
		if n := len(said) - 1; n >= 0 && t.Recheck == 0 && said[n].Recheck == 0 {
			said[n] = said[n].With(t)
		} else {
			said = append(said, t)
		}
	}
	return said
}

// Again returns the grant with what those say now who want to be asked again while the session runs (Terms.Recheck).
// What the others said stays: it was said for as long as the session lasts. again asks one of them, and is given what
// that one said last. A name that is not said again stays; another one would be another stream.
func (g Grant) Again(again func(last *Terms) (*Terms, error)) (Grant, error) {
	now := Grant{Entry: g.Entry, Key: g.Key, Hidden: g.Hidden}
	for _, last := range g.Said() {
		said := last
		if last.Recheck > 0 {
			var err error
			if said, err = again(last); err != nil {
				return Grant{}, err
			}
			said = said.named(last)
		}
		now = now.And(said)
	}
	return now, nil
}

// named returns terms with the name of last, and the key that led to it, if they have none.
func (t *Terms) named(last *Terms) *Terms {
	sum := Terms{By: last.By}
	if t != nil {
		sum = *t
	}
	if sum.Path == "" {
		sum.Path = last.Path
	}
	if sum.KeyID == "" {
		sum.KeyID, sum.Label = last.KeyID, last.Label
	}
	return &sum
}

// PathOf returns the public path of the stream that a peer asked for under another one.
func (g Grant) PathOf(asked string) string {
	switch {
	case g.Terms != nil && g.Terms.Path != "":
		return g.Terms.Path
	case g.Hidden:
		return MaskName(asked)
	}
	return asked
}

// Terms are the conditions under which a peer was admitted, and what is known of it. They do not
// change. Only Push and Pull may hold secrets.
type Terms struct {
	By     string            // what admitted it: "keys", "signed", "jwt", "hook", "program" or "cdn"
	KeyID  string            // the public id of the key, signing key or token, at most 128 bytes
	Label  string            // of that key, for people, at most 128 bytes
	User   string            // at most 128 bytes
	Labels map[string]string // at most 16, of 512 bytes in all
	// Path is the stream's public path, if it is not the one that the peer asked for. The hub, and
	// with it everything that is written or sent, only knows the public one.
	Path string
	// Session is the id by which somebody was asked about the peer before it had a session, which its session is to have;
	// empty for none.
	Session string
	// Paired says that whoever was asked about the peer pairs each yes with an end.
	Paired bool
	// Until is when the session ends; zero for no end.
	Until time.Time
	// Warn is when what the peer showed runs out without an end of the session, which is logged; zero for never.
	Warn time.Time
	// Recheck is how often the decision is asked for again while the session runs; 0 for never.
	Recheck time.Duration
	// Duration is the longest that the session may last; 0 for no bound of its own.
	Duration time.Duration
	// Bitrate bounds a publisher, in bits per second; 0 for no bound of its own.
	Bitrate int64
	// Players bounds the players of a publisher's stream; 0 for no bound of its own.
	Players int
	// Push is where a publisher's stream is also sent to.
	Push []Push
	// Record names the recordings of a publisher's stream: nil for those of the configuration, empty for none.
	Record []string
	// Pull is from where a player's stream is fetched, and Redirect where a player is sent to instead.
	Pull, Redirect string
}

// With combines two sets of terms, of which either may be nil: fields that later has win, but of two ends, of two
// bounds and of two paces to ask again the tighter one holds.
func (t *Terms) With(later *Terms) *Terms {
	switch {
	case t == nil:
		return later
	case later == nil:
		return t
	}
	sum := Terms{
		By: cmp.Or(later.By, t.By), KeyID: cmp.Or(later.KeyID, t.KeyID), Label: cmp.Or(later.Label, t.Label),
		User: cmp.Or(later.User, t.User), Labels: later.Labels, Path: cmp.Or(later.Path, t.Path), Session: cmp.Or(later.Session, t.Session), Paired: later.Paired || t.Paired, Until: later.Until, Warn: later.Warn,
		Recheck: tighter(later.Recheck, t.Recheck), Duration: tighter(later.Duration, t.Duration),
		Bitrate: tighter(later.Bitrate, t.Bitrate), Players: tighter(later.Players, t.Players),
		Push: later.Push, Record: later.Record, Pull: cmp.Or(later.Pull, t.Pull), Redirect: cmp.Or(later.Redirect, t.Redirect),
	}
	if sum.Until.IsZero() || !t.Until.IsZero() && t.Until.Before(sum.Until) {
		sum.Until = t.Until
	}
	if sum.Warn.IsZero() {
		sum.Warn = t.Warn
	}
	if sum.Labels == nil {
		sum.Labels = t.Labels
	}
	if sum.Push == nil {
		sum.Push = t.Push
	}
	if sum.Record == nil {
		sum.Record = t.Record
	}
	return &sum
}

// tighter returns the smaller of two bounds, of which 0 is none.
func tighter[T cmp.Ordered](a, b T) T {
	var none T
	if a == none || b != none && b < a {
		return b
	}
	return a
}

const (
	maxTerm   = 128 // bytes of each text
	maxLabels = 16
	maxLabel  = 512 // bytes of all labels
)

// Check says which bound the terms break. It returns nil for terms that may be kept.
func (t *Terms) Check() error {
	if t == nil {
		return nil
	}
	for _, f := range []struct{ name, text string }{{"key id", t.KeyID}, {"label", t.Label}, {"user", t.User}} {
		if len(f.text) > maxTerm || f.text != Printable(f.text, maxTerm) {
			return fmt.Errorf("the %s of the grant is longer than %d bytes, or has control characters", f.name, maxTerm)
		}
	}
	size := 0
	for k, v := range t.Labels {
		size += len(k) + len(v)
		if k != Printable(k, maxLabel) || v != Printable(v, maxLabel) {
			return errors.New("the labels of the grant have control characters")
		}
	}
	if size > maxLabel || len(t.Labels) > maxLabels {
		return fmt.Errorf("the grant has %d labels of %d bytes; %d of %d may be", len(t.Labels), size, maxLabels, maxLabel)
	}
	return nil
}

// Push is another server to which a stream is sent.
type Push struct{ Name, URL, Key string }

// End returns when a session that began at start ends by these terms; zero for no end.
func (t *Terms) End(start time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	end := t.Until
	if t.Duration > 0 {
		if e := start.Add(t.Duration); end.IsZero() || e.Before(end) {
			end = e
		}
	}
	return end
}

// Grant returns the session's grant; false before SetGrant.
func (s *Session) Grant() (Grant, bool) {
	if g := s.grant.Load(); g != nil {
		return *g, true
	}
	return Grant{}, false
}

// Terms returns the terms of the session's grant; never nil.
func (s *Session) Terms() *Terms {
	if g := s.grant.Load(); g != nil && g.Terms != nil {
		return g.Terms
	}
	return &noTerms
}

var noTerms Terms
