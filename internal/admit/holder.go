package admit

import "weir/internal/session"

// Holder stands for the sessions that a key of the configuration has admitted in a role.
type Holder struct {
	Key  uint64 // as Grant.Key has it
	Role session.Role
}

// Holders returns those of all keys of the rules: the keys of streams, and those with which links are signed. What
// was taken out of a configuration is not among those of the next.
func (g *Gate) Holders(r *Rules) map[Holder]struct{} {
	all := map[Holder]struct{}{}
	add := func(c *compiled) {
		for _, role := range [...]session.Role{session.Publish, session.Play} {
			ring := c.of(role).keys
			take := func(keys []*held) {
				for _, k := range keys {
					all[Holder{k.hash.id(), role}] = struct{}{}
				}
			}
			for _, keys := range ring.keys {
				take(keys)
			}
			for _, keys := range ring.passwords {
				take(keys)
			}
		}
	}
	add(&r.fallback)
	for i := range r.entries {
		add(&r.entries[i])
	}
	for id := range r.signed.keys {
		key := g.keyOf(&session.Terms{By: BySigned, KeyID: id})
		all[Holder{key, session.Publish}], all[Holder{key, session.Play}] = struct{}{}, struct{}{}
	}
	return all
}
