package session

import "time"

// Grant says how a session was admitted. It is comparable, and stays with the session.
type Grant struct {
	// Entry is the index of the configured stream entry that applied; -1 if none did.
	Entry int
	// Key stands for the key that was given; 0 if none was needed. Equal values stand for equal
	// keys. It is not for logs.
	Key uint64
	// Terms is what the one that admitted the session said of it; nil if it said nothing.
	Terms *Terms
}

// PathOf returns the public path of the stream that a peer asked for under another one.
func (g Grant) PathOf(asked string) string {
	if g.Terms != nil && g.Terms.Path != "" {
		return g.Terms.Path
	}
	return asked
}

// Terms are the conditions under which a peer was admitted, and what is known of it. They do not
// change. They hold no secret.
type Terms struct {
	By     string            // what admitted it: "keys", "signed", "jwt", "hook" or "program"
	KeyID  string            // the public id of the key, signing key or token, at most 128 bytes
	Label  string            // of that key, for people, at most 128 bytes
	User   string            // at most 128 bytes
	Labels map[string]string // at most 512 bytes in all
	// Path is the stream's public path, if it is not the one that the peer asked for. The hub, and
	// with it everything that is written or sent, only knows the public one.
	Path string
	// Until is when the session ends; zero for no end.
	Until time.Time
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

// SetGrant sets the session's grant.
func (s *Session) SetGrant(g Grant) { s.grant.Store(&g) }

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
