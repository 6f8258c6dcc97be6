package admit

import (
	"net/netip"
	"strings"

	"weir/internal/config"
)

// Rule says who may publish or play a stream: the configuration keys of streams[].publish and
// streams[].play that belong to this package. The zero value admits nobody.
type Rule struct {
	// Keys of which a peer must give one, at most 1,000. With none no key is needed.
	Keys []string `yaml:"keys" secret:"true" help:"keys of which a peer must give one, as ?key=… behind the stream name; none asks for no key; applies to new sessions"`
	// Allow lists the addresses that are admitted. With none nobody is.
	Allow []netip.Prefix `yaml:"allow" help:"addresses and ranges that may come; an empty list lets nobody in; applies to new sessions"`
}

// DefaultRule admits everybody.
func DefaultRule() Rule {
	return Rule{Keys: []string{}, Allow: []netip.Prefix{
		netip.PrefixFrom(netip.IPv4Unspecified(), 0),
		netip.PrefixFrom(netip.IPv6Unspecified(), 0),
	}}
}

const (
	maxKey  = 255
	maxKeys = 1000
)

// Validate implements config.Validator. Its errors show no key.
func (r *Rule) Validate() error {
	if len(r.Keys) > maxKeys {
		return config.Errorf(&r.Keys, "more than %d keys", maxKeys)
	}
	for i, k := range r.Keys {
		switch {
		case k == "":
			return config.Errorf(&r.Keys[i], "an empty key; for no key write keys: []")
		case len(k) > maxKey:
			return config.Errorf(&r.Keys[i], "a key longer than %d bytes", maxKey)
		case strings.ContainsFunc(k, func(r rune) bool { return r <= ' ' || r == 0x7f }):
			return config.Errorf(&r.Keys[i], "a key with a space or a control character")
		}
	}
	return nil
}

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
}

type compiled struct{ publish, play rule }

type rule struct {
	keys  []digest
	allow []netip.Prefix
}

// NewRules compiles entries. Only the first that matches a path applies, or fallback, whose Match
// is ignored, if none does. NewRules fails as NewMatcher does.
func NewRules(entries []Entry, fallback Entry) (*Rules, error) {
	patterns := make([]string, len(entries))
	r := &Rules{entries: make([]compiled, len(entries)), fallback: compile(&fallback)}
	for i := range entries {
		patterns[i] = entries[i].Match
		r.entries[i] = compile(&entries[i])
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
		keys := make([]digest, len(r.Keys))
		for i, k := range r.Keys {
			keys[i] = digestOf(k)
		}
		return rule{keys, r.Allow}
	}
	return compiled{one(&e.Publish), one(&e.Play)}
}

// Match returns the index of the entry that applies to path, -1 for the fallback.
// Other packages find their settings of a stream by the same index.
func (r *Rules) Match(path string) int { return r.matcher.Match(path) }

func (r *Rules) at(index int) *compiled {
	if index < 0 {
		return &r.fallback
	}
	return &r.entries[index]
}
