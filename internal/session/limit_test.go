package session

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// refusedBy returns the limit that err says was reached; "" for none.
func refusedBy(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var l *LimitError
	if !errors.As(err, &l) || ReasonOf(err) != Limit {
		t.Fatal(err)
	}
	return l.Limit
}

// watch opens a session that plays, or is refused.
func watch(t *testing.T, r *Registry, addr string) (*Session, string) {
	t.Helper()
	s := open(t, r, from(addr))
	limit := refusedBy(t, s.Watch(Play, "live/a"))
	if limit != "" {
		s.Close(Limit, nil)
	}
	return s, limit
}

// TestPlayerLimits: of all, and of one address; publishers are not counted, and there is room again when one leaves.
func TestPlayerLimits(t *testing.T) {
	r := New(Limits{Players: 4, PlayersPerIP: 2, Exempt: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}, Observer{})
	must := func(addr, want string) *Session {
		t.Helper()
		s, limit := watch(t, r, addr)
		if limit != want {
			t.Fatalf("%s: refused by %q, not %q", addr, limit, want)
		}
		return s
	}
	for range 3 {
		open(t, r, from("192.0.2.1")).Promote(Publish, "live/a")
	}
	waits := open(t, r, from("192.0.2.1"))
	if err := waits.Watch(Waiting, "live/b"); err != nil {
		t.Fatal(err)
	}
	first := must("192.0.2.1", "")
	must("::ffff:192.0.2.1", playersPerIP)
	first.Close(EOF, nil)
	first = must("192.0.2.1", "")
	waits.Promote(Play, "live/b") // it was counted already
	must("192.0.2.1", playersPerIP)
	first.Promote(Pending, "")
	must("192.0.2.1", "")
	// Proxies and loopback may have any number, up to that of all.
	must("198.51.100.7", "")
	must("127.0.0.1", "")
	must("198.51.100.7", "players")
	must("127.0.0.1", "players")
	r.SetLimits(Limits{PlayersPerIP: 3})
	must("192.0.2.1", "")
	must("192.0.2.1", playersPerIP)
	for _, s := range r.List() {
		s.Close(EOF, nil)
	}
	if len(r.perIP) != 0 {
		t.Errorf("left behind: %v", r.perIP)
	}
}

// TestSessionsPerUser counts by user, else by the public id of the key, else by the key.
func TestSessionsPerUser(t *testing.T) {
	r := New(Limits{SessionsPerUser: 2}, Observer{})
	alice := &Terms{By: "jwt", User: "alice"}
	for name, grants := range map[string][3]Grant{
		"a user by two keys": {{Key: 1, Terms: alice}, {Key: 2, Terms: &Terms{By: "hook", KeyID: "k", User: "alice"}}, {Terms: alice}},
		"a key's id":         {{Key: 1, Terms: &Terms{By: "keys", KeyID: "cam"}}, {Key: 2, Terms: &Terms{By: "keys", KeyID: "cam"}}, {Terms: &Terms{By: "keys", KeyID: "cam"}}},
		"a key":              {{Key: 7}, {Key: 7, Terms: &Terms{By: "keys"}}, {Key: 7, Entry: 3}},
	} {
		var open2 []*Session
		admit := func(g Grant, role Role, path, want string) *Session {
			t.Helper()
			s := open(t, r, from("192.0.2.1"))
			open2 = append(open2, s)
			_, err := s.BindGrant(g, role, path)
			if limit := refusedBy(t, err); limit != want {
				t.Fatalf("%s: refused by %q, not %q", name, limit, want)
			}
			if want == "" {
				s.Promote(role, path)
			}
			return s
		}
		first := admit(grants[0], Publish, "live/a", "")
		second := admit(grants[1], Play, "live/a", "")
		admit(grants[2], Play, "live/a", "sessions_per_user")
		admit(grants[2], Publish, "live/b", "sessions_per_user")
		admit(grants[2], Publish, "live/a", "").Close(EOF, nil) // its successor
		// The session that there is may do something else with the same grant.
		undo, err := second.BindGrant(grants[2], Play, "live/b")
		if err != nil {
			t.Fatal(name, err)
		}
		undo()
		if g, _ := second.Grant(); g != grants[1] {
			t.Errorf("%s: the grant is %v, which was undone", name, g)
		}
		fresh := open(t, r, from("192.0.2.1"))
		undo, err = fresh.BindGrant(Grant{Key: 50}, Play, "live/b")
		if err != nil {
			t.Fatal(name, err)
		}
		undo()
		if _, ok := fresh.Grant(); ok {
			t.Error(name, "a grant that was undone is there")
		}
		fresh.Close(EOF, nil)
		// Others are others, and peers without a user or a key are nobody.
		admit(Grant{Key: 99, Terms: &Terms{User: "bob"}}, Play, "live/a", "")
		admit(Grant{Key: 1, Terms: &Terms{By: "jwt", KeyID: "cam"}}, Play, "live/a", "") // another's id
		admit(Grant{Key: 1, Terms: &Terms{By: "keys", KeyID: "door"}}, Play, "live/a", "")
		for range 3 {
			admit(Grant{}, Play, "live/a", "")
			admit(Grant{Terms: &Terms{By: "hook"}}, Play, "live/a", "")
		}
		first.Close(EOF, nil)
		admit(grants[0], Play, "live/a", "")
		// A recheck may find another user, and is never refused.
		second.SetGrant(Grant{Terms: &Terms{User: "bob"}})
		admit(grants[0], Play, "live/a", "")
		for _, s := range open2 {
			s.Close(EOF, nil)
		}
	}
	if len(r.users) != 0 {
		t.Errorf("left behind: %v", r.users)
	}
}

// TestEgress: players are added as long as no more than the limit was sent over the last two seconds, to the bit.
func TestEgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Limits{Egress: 8000}, Observer{})
		r.Measure(time.Now())
		s, _ := watch(t, r, "192.0.2.1")
		step := func(bytes uint64) {
			<-time.After(MeasureEvery)
			s.BytesOut.Add(bytes)
			r.Measure(time.Now())
		}
		for range 4 {
			step(500) // 1,000 bytes a second
		}
		if _, limit := watch(t, r, "192.0.2.1"); limit != "" || r.Egress() != 8000 {
			t.Errorf("at the limit: %d bit/s, refused by %q", r.Egress(), limit)
		}
		step(501)
		if _, limit := watch(t, r, "192.0.2.1"); limit != egressBitrate || r.Egress() != 8004 {
			t.Errorf("beyond the limit: %d bit/s, refused by %q", r.Egress(), limit)
		}
		if s.Role() != Play {
			t.Error("a player that runs was ended")
		}
		// What sessions that have ended sent, and what belongs to none, counts too.
		s.Close(EOF, nil)
		r.Sent("hls", 2000)
		step(0)
		if got, want := r.Egress(), int64((3*500+501+2000-500)*8/2); got != want {
			t.Errorf("%d bit/s, want %d", got, want)
		}
		for range 5 {
			step(0)
		}
		if _, limit := watch(t, r, "192.0.2.1"); limit != "" || r.Egress() != 0 {
			t.Errorf("two seconds later: %d bit/s, refused by %q", r.Egress(), limit)
		}
	})
}

// TestRoom: it is asked for before a session begins, and is what a session finds.
func TestRoom(t *testing.T) {
	r := New(Limits{Players: 1}, Observer{})
	at := netip.MustParseAddrPort("192.0.2.1:1")
	if err := r.Room(at.Addr()); err != nil {
		t.Error(err)
	}
	s, err := r.Open(Info{Protocol: "a", Remote: at})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Watch(Play, "live/a"); err != nil {
		t.Fatal(err)
	}
	var limit *LimitError
	if err := r.Room(at.Addr()); !errors.As(err, &limit) || limit.Key() != "players" {
		t.Error(err)
	}
	s.Close(EOF, nil)
	if err := r.Room(at.Addr()); err != nil {
		t.Error("after it has gone:", err)
	}
}
