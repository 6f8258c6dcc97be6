// Package admit decides whether a peer may publish or play a stream, by the stream's rules: which
// addresses are allowed, and then a chain of links of which each admits, refuses or passes. The links
// here are keys (of the configuration, and of a KeyStore that "weir key" changes while the server runs),
// links that were signed ("weir sign"), and tokens (JWT); others, such as a decision hook, are given to
// the Gate.
//
// A key is given in the query behind the stream's name, ?key=SECRET, in every protocol; as a password
// or as a bearer token where the protocol has them; or, if it has a path of its own, in the place of
// the stream's name.
//
// Addresses that give wrong keys have to wait: after 20 within a minute their keys are refused for
// a minute, then for twice as long each time, 16 minutes at most. While an address waits even a
// right key is refused; otherwise guessing could go on at full speed. Loopback is exempt; the
// addresses of one IPv6 /64 count as one; a missing key does not count as a guess, nor does one that
// has run out.
//
// Not supported here: limits of connections (those are package session's) or of players (those are
// the stream's).
package admit

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"weir/internal/config"
	"weir/internal/session"
)

// Error refuses a peer. Its text holds no secret.
type Error struct {
	Reason     session.Reason // BadKey, Address, Throttled, Expired or Revoked
	Role       session.Role   // what the peer wanted
	RetryAfter time.Duration  // for Throttled: how long to wait
	// Shown is what was refused, for the peer's sentence: "link", "token" or "login"; empty is a key, or nothing.
	Shown string
	// Detail says what was wrong with a link or a token; empty for the rest.
	Detail string

	guess bool // a secret was wrong: it counts against the address
}

// Error returns a sentence without secrets.
func (e *Error) Error() string {
	switch {
	case e.Reason == session.Throttled:
		return fmt.Sprintf("admit: %s: too many wrong keys from this address, wait %v", e.Role, roundUp(e.RetryAfter))
	case e.Reason == session.Address:
		return fmt.Sprintf("admit: %s: not allowed from this address", e.Role)
	case e.Detail != "":
		return fmt.Sprintf("admit: %s: %s", e.Role, e.Detail)
	case e.Reason == session.Expired:
		return fmt.Sprintf("admit: %s: the key has run out", e.Role)
	case e.Reason == session.Revoked:
		return fmt.Sprintf("admit: %s: the key was revoked", e.Role)
	}
	return fmt.Sprintf("admit: %s: the key is missing or wrong", e.Role)
}

// What a peer may have shown beside a key.
const (
	aLink  = "link"
	aToken = "token"
	aLogin = "login"
)

// told returns the error as a refusal with a sentence for the peer, who need not know the details but what it was that was
// refused: who has come by a link has no key that could be wrong.
func (e *Error) told() error {
	what := ""
	switch {
	case e.Shown == "":
	case e.Shown == aLogin:
		what = "User or password is wrong."
	case e.Reason == session.Expired:
		what = "The " + e.Shown + " has run out."
	case e.Reason == session.TooLarge:
		what = "The " + e.Shown + " is too long."
	case e.Reason == session.BadKey, e.Reason == session.Denied:
		what = "The " + e.Shown + " is not valid for this stream."
	}
	if what == "" {
		return e
	}
	return &session.Refusal{Reason: e.Reason, Peer: what, Err: e}
}

// CloseReason implements session.Reasoner.
func (e *Error) CloseReason() session.Reason { return e.Reason }

// Options are what a Gate has beside its rules.
type Options struct {
	// Keys are those that "weir key" makes; nil: none.
	Keys *KeyStore
	// Links are those that rules may name besides ByKeys and BySigned.
	Links map[string]Link
}

// Gate decides by rules that can be replaced. It is safe for concurrent use.
type Gate struct {
	rules    atomic.Pointer[Rules]
	opt      Options
	seed     maphash.Seed
	throttle throttle
	slots    chan struct{} // holds one for each password that is being checked
}

// New returns a gate with its first rules.
func New(rules *Rules, opt Options) *Gate {
	g := &Gate{opt: opt, seed: maphash.MakeSeed(), slots: make(chan struct{}, passwordSlots)}
	g.SetRules(rules)
	return g
}

// SetRules replaces the rules for later requests.
func (g *Gate) SetRules(rules *Rules) { g.rules.Store(rules) }

// Rules returns the rules in force.
func (g *Gate) Rules() *Rules { return g.rules.Load() }

// Admit admits a peer. It refuses one with an *Error (within a *session.Refusal, for those that are told how
// long to wait) or with the error of a link; a peer without an address is refused. It waits only as its links
// do: signed links do not, and keys do for hashes of passwords alone. For a session that runs there is Again.
func (g *Gate) Admit(ctx context.Context, r *Request) (session.Grant, error) {
	rules := g.rules.Load()
	grant := session.Grant{Entry: rules.Match(r.Path)}
	entry := rules.at(grant.Entry)
	rule := entry.of(r.Role)
	names, isKey := g.areKeys(rule, r), g.isKey(entry, r)
	r.SecretName = names || isKey || g.renames(rule, r.Role)
	if !config.Contains(rule.allow, r.Remote.Addr()) {
		return session.Grant{}, &Error{Reason: session.Address, Role: r.Role}
	}
	required := rule.required || g.opt.Keys.covers(rule, r)
	client, counted := session.CountedAddr(r.Remote.Addr())
	counted = counted && required
	now := time.Now()
	if counted {
		if wait := g.throttle.blocked(client, now); wait > 0 {
			return session.Grant{}, throttled(r.Role, wait)
		}
	}
	err := g.ask(ctx, rules, rule, r, now, names, &grant)
	if err == nil && grant.Terms == nil && required {
		_, n := offers(r, names)
		e := &Error{Reason: session.BadKey, Role: r.Role, guess: n > 0}
		if g.opt.Keys.unreadable() {
			e.guess, e.Detail = false, "the key is missing or not known, and the file of keys cannot be read now"
		}
		err = e
	}
	if err == nil {
		grant.Hidden = isKey && r.Role == session.Play && (grant.Terms == nil || grant.Terms.Path == "")
		return grant, nil
	}
	e, ok := errors.AsType[*Error](err)
	if ok && e.guess && counted {
		g.throttle.failed(client, now)
	}
	if _, told := errors.AsType[*session.Refusal](err); ok && !told {
		err = e.told()
	}
	return session.Grant{}, err
}

// Again asks the link that said last of a session about it once more, whatever others would say now: they
// decided when the session came. Where the rules do not ask that link any more it withdraws nothing.
func (g *Gate) Again(ctx context.Context, r *Request, last *session.Terms) (*session.Terms, error) {
	rules := g.rules.Load()
	link := g.opt.Links[last.By]
	if link == nil || !slices.Contains(rules.at(rules.Match(r.Path)).of(r.Role).auth, last.By) {
		return last, nil
	}
	said, err := link.Decide(ctx, r)
	if said == nil && err == nil {
		return last, nil
	}
	return said, err
}

// SecretName reports whether the name that a peer asks for may be a key.
func (g *Gate) SecretName(r *Request) bool {
	rules := g.rules.Load()
	entry := rules.at(rules.Match(r.Path))
	rule := entry.of(r.Role)
	return g.areKeys(rule, r) || g.isKey(entry, r) || g.renames(rule, r.Role)
}

// Hides reports whether a player asks for a name that is a key, for those whose grants do not come from Admit.
func (g *Gate) Hides(r *Request) bool {
	rules := g.rules.Load()
	return r.Role == session.Play && g.isKey(rules.at(rules.Match(r.Path)), r)
}

// isKey reports whether the name that a peer asks for is a key, valid or not, that leads to another stream, whoever it is for: players
// may come by the names under which encoders publish. A name under which a stream is live is known already.
func (g *Gate) isKey(entry *compiled, r *Request) bool {
	rings := [...]*ring{entry.publish.keys, entry.play.keys, g.opt.Keys.current()}
	if r.Online || !slices.ContainsFunc(rings[:], func(k *ring) bool { return k.paths }) {
		return false
	}
	name := digestOf(nameOf(r.Path))
	return slices.ContainsFunc(rings[:], func(k *ring) bool { return k.leads(&name, r.Path) })
}

// areKeys reports whether a key may stand in the place of the name that a peer asks for.
func (g *Gate) areKeys(rule *rule, r *Request) bool {
	return slices.Contains(rule.auth, ByKeys) && (rule.keys.paths || g.opt.Keys.areNames(r))
}

// renames reports whether a link of the rule may take a name for a key.
func (g *Gate) renames(rule *rule, role session.Role) bool {
	return slices.ContainsFunc(rule.auth, func(name string) bool {
		link, ok := g.opt.Links[name].(Renamer)
		return ok && link.NamesAreSecret(role)
	})
}

// Open reports whether everybody at an address may play the stream at path, so that nobody need be asked.
func (g *Gate) Open(path string, from netip.Addr) bool {
	rules := g.rules.Load()
	rule := &rules.at(rules.Match(path)).play
	return !rule.required && !g.opt.Keys.covers(rule, &Request{Role: session.Play, Path: path}) && config.Contains(rule.allow, from)
}

// throttled refuses a peer whose address has to wait.
func throttled(role session.Role, wait time.Duration) error {
	e := &Error{Reason: session.Throttled, Role: role, RetryAfter: wait}
	return &session.Refusal{
		Reason: e.Reason, Err: e, RetryAfter: wait,
		Peer: fmt.Sprintf("Too many wrong keys came from this address: wait %v before trying again.", roundUp(wait)),
	}
}

// roundUp returns d in whole seconds, 1 at least.
func roundUp(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}

// Confirmer is a Link that may want to be asked even if a link before it has admitted a peer. Then both must.
type Confirmer interface {
	Link
	// Confirms reports whether it wants to.
	Confirms() bool
}

// confirms reports whether a link is a Confirmer that wants to be asked.
func (g *Gate) confirms(name string) bool {
	c, ok := g.opt.Links[name].(Confirmer)
	return ok && c.Confirms()
}

// ask asks the links of a rule until one admits or refuses, and then those that confirm.
func (g *Gate) ask(ctx context.Context, rules *Rules, rule *rule, r *Request, now time.Time, names bool, grant *session.Grant) error {
	for _, name := range rule.auth {
		if grant.Terms != nil && !g.confirms(name) {
			continue
		}
		var terms *session.Terms
		var key uint64
		var err error
		switch link := g.opt.Links[name]; {
		case name == ByKeys:
			terms, key, err = g.key(ctx, rule, r, now, names)
		case name == BySigned:
			terms, err = rules.signed.decide(r, now)
		case link != nil:
			terms, err = link.Decide(ctx, r)
		default: // the configuration is checked; that of a program may not have been
			err = session.Because(session.Internal, fmt.Errorf("admit: auth asks %s, which is not configured", name))
		}
		switch {
		case err != nil:
			return err
		case terms == nil:
		case grant.Terms != nil:
			*grant = grant.And(terms)
		default:
			if key == 0 {
				key = g.keyOf(terms)
			}
			grant.Terms, grant.Key = terms, key
		}
	}
	return nil
}

// keyOf stands for who was admitted, by a link that knows no keys. It is never 0.
func (g *Gate) keyOf(t *session.Terms) uint64 {
	return maphash.Comparable(g.seed, [3]string{t.By, t.KeyID, t.User}) | 1
}

// key looks for a key that the peer has shown.
func (g *Gate) key(ctx context.Context, rule *rule, r *Request, now time.Time, names bool) (*session.Terms, uint64, error) {
	stored := g.opt.Keys.current()
	if rule.keys.size == 0 && g.opt.Keys == nil {
		return nil, 0, nil
	}
	list, n := offers(r, names)
	var reason session.Reason
	for again := false; ; again = true {
		for i := range list[:n] {
			k := rule.keys.find(&list[i], r, now)
			if k == nil {
				k = stored.find(&list[i], r, now)
			}
			if k == nil {
				continue
			}
			if why := k.refused(now); why != 0 {
				reason = why
				continue
			}
			if k.stored != nil {
				k.stored.used.Store(now.Unix())
			}
			return k.terms, k.hash.id(), nil
		}
		// A key that was made a moment ago is in the file already.
		if again || n == 0 || reason != 0 || !g.opt.Keys.look(now) {
			break
		}
		stored = g.opt.Keys.current()
	}
	if k, err := g.password(ctx, rule, list[:n], r); err != nil {
		return nil, 0, err
	} else if k != nil {
		if reason = k.refused(now); reason == 0 {
			return k.terms, k.hash.id(), nil
		}
	}
	if reason != 0 {
		return nil, 0, &Error{Reason: reason, Role: r.Role}
	}
	return nil, 0, nil
}
