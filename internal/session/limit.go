package session

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Limits bound the sessions; 0 means no limit. Loopback addresses are exempt from
// those per address, and so is a session without an address. IPv6 addresses of one /64
// count as one.
type Limits struct {
	Connections      int // of all protocols, of which players leave one in twenty to others
	ConnectionsPerIP int // of one address
	PendingPerIP     int // of one address, pending or waiting for a stream
	Players          int // that play or wait for a stream
	PlayersPerIP     int // the same, of one address
	SessionsPerUser  int // of one user, or of one key that stands for no user
	// Egress bounds what is sent, in bits per second as Measure has found it: beyond it no player is added.
	Egress int64
	// Exempt are ranges of addresses that PlayersPerIP does not bound: those of trusted proxies.
	Exempt []netip.Prefix
}

// LimitError refuses a session that would exceed a limit. Its reason is Limit.
type LimitError struct {
	// Limit is "connections", "connections of players", "connections_per_ip", "pending_per_ip", "players",
	// "players_per_ip", "sessions_per_user" or "egress_bitrate".
	Limit string
	Max   int
}

// Error says which limit was reached.
func (e *LimitError) Error() string {
	hint := ""
	if e.Limit == playersPerIP {
		hint = "; if a proxy is at this address, name it in http.trusted_proxies"
	}
	if e.Limit == egressBitrate {
		return fmt.Sprintf("session: limits.%s (%d bit/s) is reached", e.Limit, e.Max)
	}
	return fmt.Sprintf("session: limits.%s (%d) is reached%s", e.Limit, e.Max, hint)
}

// LimitNames returns the keys of the limits that errors are about.
func LimitNames() []string {
	return []string{"connections", "connections_per_ip", "pending_per_ip", "players", playersPerIP, "sessions_per_user", egressBitrate}
}

// Key is the limit's key in the section limits of the configuration.
func (e *LimitError) Key() string {
	key, _, _ := strings.Cut(e.Limit, " ") // "connections of players"
	return key
}

// CloseReason implements Reasoner.
func (e *LimitError) CloseReason() Reason { return Limit }

// The names of limits on players.
const (
	playersPerIP  = "players_per_ip"
	egressBitrate = "egress_bitrate"
)

// reserveShare is the part of Limits.Connections that players leave to others: however many come,
// a publisher finds room. Of fewer than reserveShare connections none are reserved.
const reserveShare = 20

// watch gives a pending session the role of a player, if players may have one more session.
func (r *Registry) watch(s *Session, role Role, stream string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.room(s.Remote.Addr()); err != nil {
		return err
	}
	r.moveLocked(s, role, stream)
	return nil
}

// Room reports whether one more player at an address may begin now. It fails with a *LimitError.
func (r *Registry) Room(from netip.Addr) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.room(from)
}

// room is Room. mu is held.
func (r *Registry) room(from netip.Addr) error {
	players := 0
	for _, t := range r.totals {
		players += t.Roles[Play] + t.Roles[Waiting]
	}
	here := 0
	if ip, counted := CountedAddr(from); counted && !r.exempt(from) {
		here = int(r.perIP[ip].players)
	}
	for _, l := range []struct {
		name      string
		have, max int
	}{
		{"connections of players", players, r.limits.Connections - r.limits.Connections/reserveShare},
		{"players", players, r.limits.Players},
		{playersPerIP, here, r.limits.PlayersPerIP},
	} {
		if l.max > 0 && l.have >= l.max {
			return &LimitError{l.name, l.max}
		}
	}
	if most := r.limits.Egress; most > 0 && r.egress.rate > most {
		return &LimitError{egressBitrate, int(most)}
	}
	return nil
}

// exempt reports whether the address is one of those that PlayersPerIP does not bound. mu is held.
func (r *Registry) exempt(a netip.Addr) bool {
	a = a.Unmap()
	return slices.ContainsFunc(r.limits.Exempt, func(p netip.Prefix) bool { return p.Contains(a) })
}

// user is whose sessions are counted together.
type user struct {
	by, name string
	key      uint64
}

// user returns whose session has the grant; the zero value for nobody's.
func (g *Grant) user() user {
	switch t := g.Terms; {
	case t != nil && t.User != "":
		return user{by: "user", name: t.User}
	case t != nil && t.KeyID != "":
		return user{by: t.By, name: t.KeyID}
	}
	return user{key: g.Key}
}

// SetGrant sets the session's grant.
func (s *Session) SetGrant(g Grant) {
	s.reg.mu.Lock()
	defer s.reg.mu.Unlock()
	s.reg.grant(s, &g)
}

// BindGrant is SetGrant for a session that is to publish or play the stream at path; undo brings the grant before back. It
// fails with a *LimitError if the grant's user, or the key if it stands for no user, has as many sessions as it
// may. One that publishes the same stream does not count for a publisher, which is its successor.
func (s *Session) BindGrant(g Grant, role Role, path string) (undo func(), err error) {
	r := s.reg
	r.mu.Lock()
	defer r.mu.Unlock()
	u, most := g.user(), r.limits.SessionsPerUser
	if theirs := r.users[u]; most > 0 && u != (user{}) && len(theirs) >= most {
		n := 0
		for x := range theirs {
			if x != s && (role != Publish || x.Role() != Publish || x.Stream() != path) {
				n++
			}
		}
		if n >= most {
			return nil, &LimitError{"sessions_per_user", most}
		}
	}
	was := s.grant.Load()
	r.grant(s, &g)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.grant(s, was)
	}, nil
}

// grant sets a session's grant, and counts the session as its user's; nil for none. mu is held.
func (r *Registry) grant(s *Session, g *Grant) {
	s.grant.Store(g)
	var u user
	if g != nil {
		u = g.user()
	}
	if s.user == u || !s.open {
		return
	}
	r.forgetUser(s)
	if s.user = u; u != (user{}) {
		if r.users[u] == nil {
			r.users[u] = map[*Session]struct{}{}
		}
		r.users[u][s] = struct{}{}
	}
}

// forgetUser counts a session as nobody's. mu is held.
func (r *Registry) forgetUser(s *Session) {
	if theirs := r.users[s.user]; theirs != nil {
		if delete(theirs, s); len(theirs) == 0 {
			delete(r.users, s.user)
		}
	}
	s.user = user{}
}
