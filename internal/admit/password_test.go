package admit

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/session"
)

// cheapHash is of "password": one of the test vectors of argon2's reference implementation.
const cheapHash = "argon2id:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"

func ruleWith(keys ...Key) *Rules {
	r := DefaultRule()
	r.Keys = keys
	if err := r.Validate(); err != nil {
		panic(err)
	}
	rules, err := NewRules([]Entry{{Match: "**", Publish: r, Play: r}}, Entry{Publish: DefaultRule(), Play: DefaultRule()}, nil)
	if err != nil {
		panic(err)
	}
	return rules
}

func login(user, password string) *Request {
	return &Request{
		Role: session.Publish, Protocol: "rtmp", Path: "live/a", Remote: netip.MustParseAddrPort("203.0.113.7:5"),
		Credential: Credential{Kind: "basic", User: user, Secret: password},
	}
}

// TestPassword: the password that somebody chose lets its user in, and nothing else does.
func TestPassword(t *testing.T) {
	t.Parallel()
	ours := HashPassword("correct horse")
	if !strings.HasPrefix(ours, "argon2id:$argon2id$v=19$m=19456,t=2,p=1$") || ours == HashPassword("correct horse") {
		t.Error(ours)
	}
	g := New(ruleWith(
		Key{ID: "ann", User: "ann", Hash: ours, Label: "Ann"}, Key{User: "bob", Hash: cheapHash}, Key{User: "carl", Key: "plain"},
		Key{User: "eve", Hash: strings.Replace(cheapHash, "argon2id:", "argon2:", 1), Expires: time.Now().Add(-time.Hour)},
	), Options{})
	for _, c := range []struct {
		user, password string
		want           session.Reason
	}{
		{"ann", "correct horse", 0},
		{"ann", "correct horse", 0}, // from memory
		{"bob", "password", 0},
		{"carl", "plain", 0},
		{"ann", "password", session.BadKey},
		{"bob", "correct horse", session.BadKey},
		{"bob", "plain", session.BadKey},
		{"", "password", session.BadKey},
		{"bob", "", session.BadKey},
		{"bob", cheapHash, session.BadKey},
		{"eve", "password", session.Expired},
	} {
		grant, err := g.Admit(t.Context(), login(c.user, c.password))
		if c.want == 0 && (err != nil || grant.Terms.User != c.user || grant.Key == 0) || c.want != 0 && (err == nil || session.ReasonOf(err) != c.want) {
			t.Errorf("%s %q: %+v, %v", c.user, c.password, grant.Terms, err)
		}
	}
	query := login("", "")
	query.Credential, query.RawQuery = Credential{}, "user=ann&pass=correct%20horse"
	if _, err := g.Admit(t.Context(), query); err != nil {
		t.Error("in the query:", err)
	}
}

// TestPasswordHashes that are refused, with what is said of them.
func TestPasswordHashes(t *testing.T) {
	for hash, want := range map[string]string{
		"argon2id:": "weir key hash --password",
		strings.Replace(cheapHash, "v=19", "v=16", 1):          "weir key hash --password",
		strings.Replace(cheapHash, "$argon2id", "$argon2i", 1): "weir key hash --password",
		strings.Replace(cheapHash, "m=256", "m=4194304", 1):    "costs at most m=65536",
		strings.Replace(cheapHash, "t=2", "t=0", 1):            "costs at most",
		strings.Replace(cheapHash, "p=1", "p=99", 1):           "costs at most",
		strings.Replace(cheapHash, "p=1", "p=1x", 1):           "weir key hash --password",
		cheapHash + "!": "weir key hash --password",
	} {
		k := Key{User: "bob", Hash: hash}
		if err := k.validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", hash, err)
		}
	}
	k := Key{Hash: cheapHash}
	if err := k.validate(); err == nil || !strings.Contains(err.Error(), "set user") {
		t.Error(err)
	}
}

// TestPasswordsWait: passwords are checked a few at a time, and the others wait for so long and no longer; who was
// known before does not wait.
func TestPasswordsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(ruleWith(Key{User: "bob", Hash: cheapHash}), Options{})
		if _, err := g.Admit(t.Context(), login("bob", "password")); err != nil {
			t.Fatal(err)
		}
		for range passwordSlots {
			g.slots <- struct{}{}
		}
		begun := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := g.Admit(t.Context(), login("bob", "wrong"))
			if session.ReasonOf(err) != session.Limit || time.Since(begun) != passwordWait {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
		})
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := g.Admit(ctx, login("bob", "wrong")); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		if _, err := g.Admit(t.Context(), login("bob", "password")); err != nil || time.Since(begun) != 0 {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		wg.Wait()
		<-g.slots
		if _, err := g.Admit(t.Context(), login("bob", "wrong")); session.ReasonOf(err) != session.BadKey || len(g.slots) != passwordSlots-1 {
			t.Errorf("%v, %d slots are taken", err, len(g.slots))
		}
	})
}
