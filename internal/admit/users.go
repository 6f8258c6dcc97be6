package admit

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"weir/internal/session"
)

// user is a key with a user, for protocols whose peers prove that they know it without showing it.
type user struct{ name, password string }

// usersOf returns the keys with a user of which the configuration has the text.
func usersOf(keys []Key) (list []user) {
	for i := range keys {
		if k := &keys[i]; k.User != "" && k.Key != "" {
			list = append(list, user{k.User, k.Key})
		}
	}
	return list
}

// onlyUsers reports whether a rule admits nobody but those who come with user and password.
func (r *Rule) onlyUsers() bool {
	return len(r.Keys) > 0 && slices.Equal(r.Auth, []string{ByKeys}) &&
		!slices.ContainsFunc(r.Keys, func(k Key) bool { return k.User == "" || k.Key == "" })
}

// Password returns the password of a user who may publish or play something; false if there is none. Of several
// entries with the user the first one's counts.
func (g *Gate) Password(name string) (password string, ok bool) {
	rules := g.rules.Load()
	for i := range rules.users {
		if rules.users[i].name == name {
			return rules.users[i].password, true
		}
	}
	return "", false
}

// AsksUser reports whether all who publish a stream app/name have to come with user and password, whatever the
// name: then a protocol that learns the app first may ask for them at once.
func (g *Gate) AsksUser(app string) bool {
	rules := g.rules.Load()
	if len(rules.users) == 0 {
		return false
	}
	if s := g.opt.Keys; s != nil && slices.ContainsFunc(s.now.Load().list, func(k *held) bool {
		return k.stored.role == session.Publish && overlaps(k.stored.match[0], app)
	}) {
		return false
	}
	for i := range rules.apps {
		a := &rules.apps[i]
		switch {
		case !overlaps(a.first, app):
		case !a.onlyUsers:
			return false
		case Covers(a.match, app+"/*"):
			return true
		}
	}
	return false // streams that no entry matches are open
}

// appRule is what AsksUser needs of an entry.
type appRule struct {
	match, first string // the pattern, and its first segment
	onlyUsers    bool
}

func appRuleOf(e *Entry) appRule {
	first, _, _ := strings.Cut(e.Match, "/")
	return appRule{e.Match, first, e.Publish.onlyUsers()}
}

// overlaps reports whether a pattern that begins with a segment may fit streams of an app.
func overlaps(first, app string) bool { return first == "**" || matchSegment(first, app) }

// MayTry reports whether a password from an address may be tried: not while it has to wait because of wrong ones.
// The error is the one that Admit gives.
func (g *Gate) MayTry(addr netip.Addr) error {
	if client, counted := session.CountedAddr(addr); counted {
		if wait := g.throttle.blocked(client, time.Now()); wait > 0 {
			return throttled(session.Publish, wait)
		}
	}
	return nil
}

// WrongPassword counts a wrong password against an address, and returns the refusal.
func (g *Gate) WrongPassword(addr netip.Addr) error {
	if client, counted := session.CountedAddr(addr); counted {
		g.throttle.failed(client, time.Now())
	}
	return (&Error{Shown: aLogin, Reason: session.BadKey, Role: session.Publish, Detail: "user or password is wrong"}).told()
}
