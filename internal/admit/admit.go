// Package admit decides whether a peer may publish or play a stream, by the stream's rules: which
// addresses are allowed and which keys are valid. A key is given in the query behind the stream's
// name, ?key=SECRET, in every protocol.
//
// Addresses that give wrong keys have to wait: after 20 within a minute their keys are refused for
// a minute, then for twice as long each time, 16 minutes at most. While an address waits even a
// right key is refused; otherwise guessing could go on at full speed. Loopback is exempt; the
// addresses of one IPv6 /64 count as one; a missing key does not count as a guess.
//
// Not supported here: tokens, web hooks, limits of connections (those are package
// session's) or of players (those are the stream's).
package admit

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"weir/internal/config"
	"weir/internal/session"
)

// Error refuses a peer. Its text holds no key.
type Error struct {
	Reason     session.Reason // BadKey, Address or Throttled
	Role       session.Role   // what the peer wanted
	RetryAfter time.Duration  // for Throttled: how long to wait
}

// Error returns a sentence without secrets.
func (e *Error) Error() string {
	switch e.Reason {
	case session.Throttled:
		return fmt.Sprintf("admit: %s: too many wrong keys from this address, wait %v", e.Role, e.RetryAfter.Round(time.Second))
	case session.Address:
		return fmt.Sprintf("admit: %s: not allowed from this address", e.Role)
	}
	return fmt.Sprintf("admit: %s: the key is missing or wrong", e.Role)
}

// CloseReason implements session.Reasoner.
func (e *Error) CloseReason() session.Reason { return e.Reason }

// Gate decides by rules that can be replaced. It is safe for concurrent use.
type Gate struct {
	rules    atomic.Pointer[Rules]
	throttle throttle
}

// New returns a gate with its first rules.
func New(rules *Rules) *Gate {
	g := &Gate{}
	g.SetRules(rules)
	return g
}

// SetRules replaces the rules for later requests.
func (g *Gate) SetRules(rules *Rules) { g.rules.Store(rules) }

// Rules returns the rules in force.
func (g *Gate) Rules() *Rules { return g.rules.Load() }

// Admit admits a peer or refuses it with an *Error. A peer without an address is refused. Admit does no I/O and
// does not wait.
func (g *Gate) Admit(_ context.Context, r *Request) (session.Grant, error) {
	rules := g.rules.Load()
	grant := session.Grant{Entry: rules.Match(r.Path)}
	c := rules.at(grant.Entry)
	rule := &c.play
	if r.Role == session.Publish {
		rule = &c.publish
	}
	if !config.Contains(rule.allow, r.Remote.Addr()) {
		return session.Grant{}, &Error{Reason: session.Address, Role: r.Role}
	}
	if len(rule.keys) == 0 {
		return grant, nil
	}
	client, counted := session.Client(r.Remote.Addr())
	if counted {
		if wait := g.throttle.blocked(client, time.Now()); wait > 0 {
			return session.Grant{}, &Error{Reason: session.Throttled, Role: r.Role, RetryAfter: wait}
		}
	}
	key := KeyOf(r.RawQuery)
	if key == "" || len(key) > maxKey {
		return session.Grant{}, &Error{Reason: session.BadKey, Role: r.Role}
	}
	id, ok := find(rule.keys, key)
	if !ok {
		if counted {
			g.throttle.failed(client, time.Now())
		}
		return session.Grant{}, &Error{Reason: session.BadKey, Role: r.Role}
	}
	grant.Key = id
	return grant, nil
}
