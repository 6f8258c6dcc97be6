package admit

import (
	"context"
	"maps"
	"testing"
	"time"

	"weir/internal/session"
)

// TestHolders: each session that a key of the configuration has admitted, of whatever kind the key is, has one of its holders, and
// keys that are others have others.
func TestHolders(t *testing.T) {
	signing := SigningKey{ID: "s", Secret: "secret-of-s-0123456789"}
	rule := DefaultRule()
	rule.Auth = []string{ByKeys, BySigned}
	rule.Keys = []Key{{Key: "text"}, {Hash: HashKey("hashed")}, {User: "ann", Key: "plain"}, {User: "bob", Hash: cheapHash}}
	play := DefaultRule()
	play.Auth, play.Keys = rule.Auth, []Key{{Key: "text"}}
	rules, err := NewRules([]Entry{{Match: "**", Publish: rule, Play: play}}, Entry{Publish: DefaultRule(), Play: DefaultRule()}, &SignedConfig{Keys: []SigningKey{signing}})
	if err != nil {
		t.Fatal(err)
	}
	g := New(rules, Options{})
	want := map[Holder]struct{}{}
	admitted := func(r *Request) {
		t.Helper()
		grant, err := g.Admit(context.Background(), r)
		if err != nil || grant.Key == 0 {
			t.Fatal(grant, err)
		}
		want[Holder{grant.Key, r.Role}] = struct{}{}
	}
	for _, role := range []session.Role{session.Publish, session.Play} {
		link := signing.Sign(&Signed{Role: role, Path: "live/a", Expires: time.Now().Add(time.Hour)})
		for _, query := range []string{"key=text", link} {
			admitted(&Request{Role: role, Path: "live/a", RawQuery: query, Remote: at("192.0.2.1")})
		}
	}
	admitted(publish("live/a", "key=hashed", "192.0.2.1"))
	admitted(login("ann", "plain"))
	admitted(login("bob", "password"))
	if len(want) != 7 {
		t.Errorf("%d keys and roles, of 7", len(want))
	}
	if got := g.Holders(rules); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
