package admit

import (
	"net/netip"
	"slices"

	"weir/internal/config"
	"weir/internal/session"
)

// The links of the chain that decide, as the configuration and Terms.By name them.
const (
	ByKeys   = "keys"
	BySigned = "signed"
	ByJWT    = "jwt"
	ByHook   = "hook"
)

// Rule says who may publish or play a stream: the configuration keys of streams[].publish and
// streams[].play that belong to this package. The zero value admits nobody.
type Rule struct {
	// Keys of which a peer must give one, at most 1,000.
	Keys []Key `yaml:"keys" reload:"new sessions" help:"keys of which a peer must give one, as ?key=… behind the stream name; each is a text, or a group; with none, and none made by weir key new, no key is asked for; what becomes of the sessions of one that is taken out is in auth.on_removed_key"`
	// Auth names the links that decide, in their order.
	Auth []string `yaml:"auth" reload:"new sessions" enum:"keys,signed,jwt,hook" help:"what decides, one after the other until one admits or refuses: keys, links that weir sign has signed (auth.signed), tokens (auth.jwt), your own service (auth.hook); who passes all of them is refused, unless it was keys alone and there are none"`
	// Allow lists the addresses that are admitted. With none nobody is.
	Allow []netip.Prefix `yaml:"allow" reload:"new sessions" help:"addresses and ranges that may come; an empty list lets nobody in"`
}

// DefaultRule admits everybody.
func DefaultRule() Rule {
	return Rule{Keys: []Key{}, Auth: []string{ByKeys}, Allow: []netip.Prefix{
		netip.PrefixFrom(netip.IPv4Unspecified(), 0),
		netip.PrefixFrom(netip.IPv6Unspecified(), 0),
	}}
}

// maxKeys is how many keys an entry may have.
const maxKeys = 1000

// Validate implements config.Validator. Its errors show no key.
func (r *Rule) Validate() error {
	if len(r.Keys) > maxKeys {
		return config.Errorf(&r.Keys, "more than %d keys", maxKeys)
	}
	ids := map[string]bool{}
	for i := range r.Keys {
		k := &r.Keys[i]
		if err := k.validate(); err != nil {
			return err
		}
		if ids[k.ID] {
			return config.Errorf(&k.ID, "two keys with the id %q", k.ID)
		}
		ids[k.ID] = k.ID != ""
	}
	for i, name := range r.Auth {
		if slices.Contains(r.Auth[:i], name) {
			return config.Errorf(&r.Auth[i], "%s is asked twice", name)
		}
	}
	if len(r.Keys) > 0 && !slices.Contains(r.Auth, ByKeys) {
		return config.Errorf(&r.Auth, "there are keys that nothing asks for: add keys to auth, or leave out the keys")
	}
	return nil
}

// Asks reports whether a link decides by this rule.
func (r *Rule) Asks(link string) bool { return slices.Contains(r.Auth, link) }

// Entry is what one entry of streams says about admission.
type Entry struct {
	Match         string
	Publish, Play Rule
}

// Rules are compiled entries. They do not change.
type Rules struct {
	matcher  *Matcher
	entries  []compiled
	fallback compiled
	signed   *verifier
	users    []user
	apps     []appRule
}

type compiled struct{ publish, play rule }

type rule struct {
	keys     *ring
	auth     []string
	required bool // who is admitted by no link is refused
	allow    []netip.Prefix
}

// NewRules compiles entries. Only the first that matches a path applies, or fallback, whose Match
// is ignored, if none does. signed has the keys of the links that were signed. NewRules fails as
// NewMatcher does.
func NewRules(entries []Entry, fallback Entry, signed *SignedConfig) (*Rules, error) {
	patterns := make([]string, len(entries))
	r := &Rules{entries: make([]compiled, len(entries)), fallback: compile(&fallback), signed: newVerifier(signed)}
	for i := range entries {
		patterns[i] = entries[i].Match
		r.entries[i] = compile(&entries[i])
		r.users = append(append(r.users, usersOf(entries[i].Publish.Keys)...), usersOf(entries[i].Play.Keys)...)
		r.apps = append(r.apps, appRuleOf(&entries[i]))
	}
	var err error
	r.matcher, err = NewMatcher(patterns)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func compile(e *Entry) compiled {
	one := func(r *Rule) rule {
		keys := make([]*held, len(r.Keys))
		for i := range r.Keys {
			keys[i] = r.Keys[i].hold()
		}
		required := len(keys) > 0 || slices.ContainsFunc(r.Auth, func(name string) bool { return name != ByKeys })
		return rule{newRing(keys), r.Auth, required, r.Allow}
	}
	return compiled{one(&e.Publish), one(&e.Play)}
}

// Match returns the index of the entry that applies to path, -1 for the fallback.
// Other packages find their settings of a stream by the same index.
func (r *Rules) Match(path string) int { return r.matcher.Match(path) }

// Asks reports whether a link decides about a role in the streams of an entry.
func (r *Rules) Asks(entry int, role session.Role, link string) bool {
	return slices.Contains(r.at(entry).of(role).auth, link)
}

func (r *Rules) at(index int) *compiled {
	if index < 0 {
		return &r.fallback
	}
	return &r.entries[index]
}

func (c *compiled) of(role session.Role) *rule {
	if role == session.Publish {
		return &c.publish
	}
	return &c.play
}
