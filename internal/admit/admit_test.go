package admit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"weir/internal/config"
	"weir/internal/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func keys(k ...string) Rule {
	r := DefaultRule()
	for _, text := range k {
		r.Keys = append(r.Keys, Key{Key: text})
	}
	return r
}

func newGate(t testing.TB, entries ...Entry) *Gate {
	t.Helper()
	rules, err := NewRules(entries, Entry{Publish: DefaultRule(), Play: DefaultRule()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return New(rules, Options{})
}

func publish(path, query, addr string) *Request {
	return &Request{Role: session.Publish, Path: path, RawQuery: query, Remote: at(addr)}
}

func at(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), 1935) }

func TestAdmit(t *testing.T) {
	local := DefaultRule()
	local.Allow = []netip.Prefix{}
	for _, s := range []string{"10.0.0.0/8", "::1/128"} {
		local.Allow = append(local.Allow, netip.MustParsePrefix(s))
	}
	g := newGate(t,
		Entry{Match: "live/*", Publish: keys("one", "two+two=4"), Play: DefaultRule()},
		Entry{Match: "inside/**", Publish: local, Play: local},
		Entry{Match: "nobody/**"},
		Entry{Match: "**/private", Publish: DefaultRule(), Play: keys("see")},
	)
	for _, c := range []struct {
		role  session.Role
		path  string
		query string
		addr  string
		entry int
		want  session.Reason // Internal: let in
	}{
		{session.Publish, "live/a", "key=one", "192.0.2.1", 0, session.Internal},
		{session.Publish, "live/a", "x=1&key=one&key=no", "192.0.2.1", 0, session.Internal},
		{session.Publish, "live/a", "key=%6fne", "192.0.2.1", 0, session.Internal},
		{session.Publish, "live/a", "key=two+two=4", "192.0.2.1", 0, session.Internal},
		{session.Publish, "live/a", "key=two%2Btwo%3D4", "192.0.2.1", 0, session.Internal},
		{session.Publish, "live/a", "key=one%", "192.0.2.1", 0, session.BadKey},
		{session.Publish, "live/a", "key=on", "192.0.2.1", 0, session.BadKey},
		{session.Publish, "live/a", "key=oneone", "192.0.2.1", 0, session.BadKey},
		{session.Publish, "live/a", "key=", "192.0.2.1", 0, session.BadKey},
		{session.Publish, "live/a", "", "127.0.0.1", 0, session.BadKey},
		{session.Publish, "live/a", "token=one", "192.0.2.1", 0, session.BadKey},
		{session.Publish, "live/a", "KEY=one", "192.0.2.1", 0, session.BadKey},
		{session.Publish, "live/a", "key=" + strings.Repeat("x", 1<<16), "192.0.2.1", 0, session.BadKey},
		{session.Play, "live/a", "", "192.0.2.1", 0, session.Internal},
		{session.Play, "live/private", "", "192.0.2.1", 0, session.Internal}, // the first match applies alone
		{session.Play, "a/b/private", "", "192.0.2.1", 3, session.BadKey},
		{session.Play, "a/b/private", "key=see", "192.0.2.1", 3, session.Internal},
		{session.Publish, "inside/x/y", "", "10.9.8.7", 1, session.Internal},
		{session.Publish, "inside/x", "", "::ffff:10.9.8.7", 1, session.Internal},
		{session.Play, "inside/x", "", "::1", 1, session.Internal},
		{session.Play, "inside/x", "", "11.0.0.1", 1, session.Address},
		{session.Publish, "nobody/x", "key=", "127.0.0.1", 2, session.Address},
		{session.Publish, "other/x", "key=whatever", "2001:db8::1", -1, session.Internal},
	} {
		grant, err := g.Admit(t.Context(), &Request{Role: c.role, Path: c.path, RawQuery: c.query, Remote: at(c.addr)})
		if c.want == session.Internal {
			if err != nil || grant.Entry != c.entry || g.Rules().Match(c.path) != c.entry {
				t.Errorf("%+v: %+v, %v", c, grant, err)
			}
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Reason != c.want || session.ReasonOf(err) != c.want || grant != (session.Grant{}) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := g.Admit(t.Context(), &Request{Role: session.Play, Path: "x/y"}); err == nil {
		t.Error("a peer without an address was let in")
	}
}

func TestGrantKey(t *testing.T) {
	g := newGate(t, Entry{Match: "live/**", Publish: keys("a", "b")})
	a, err := g.Admit(context.Background(), publish("live/x", "key=a", "127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := g.Admit(context.Background(), publish("live/x", "key=b", "127.0.0.1"))
	again, _ := g.Admit(context.Background(), publish("live/x", "key=a", "192.0.2.1"))
	open, _ := g.Admit(context.Background(), publish("other/x", "key=a", "127.0.0.1"))
	if a.Key == 0 || b.Key == 0 || a.Key == b.Key || a != again || open.Key != 0 {
		t.Error(a, b, again, open)
	}
	// New rules apply to the next request.
	rules, _ := NewRules([]Entry{{Match: "live/**", Publish: keys("c")}}, Entry{}, nil)
	g.SetRules(rules)
	if _, err := g.Admit(context.Background(), publish("live/x", "key=a", "127.0.0.1")); err == nil {
		t.Error("the old rules apply")
	}
}

// letIn stands for no refusal: admission has no refusal with this reason.
const letIn = session.Internal

func TestC120_WrongKeysAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, Entry{Match: "**", Publish: keys("right"), Play: DefaultRule()})
		reason := func(query, addr string) session.Reason {
			_, err := g.Admit(context.Background(), publish("live/a", query, addr))
			if err != nil && (strings.Contains(err.Error(), "right") || strings.Contains(err.Error(), "guess")) {
				t.Errorf("the error shows a key: %v", err)
			}
			if err == nil {
				return letIn
			}
			return session.ReasonOf(err)
		}
		count := map[session.Reason]int{}
		for i := range 1000 {
			count[reason(fmt.Sprint("key=guess", i), "192.0.2.1")]++
			<-time.After(time.Minute / 1001)
		}
		if count[session.BadKey] != throttleAfter || count[session.Throttled] != 1000-throttleAfter {
			t.Errorf("%v", count)
		}
		// The address waits whatever key it gives; others and other things do not.
		if r := reason("key=right", "::ffff:192.0.2.1"); r != session.Throttled {
			t.Error(r)
		}
		if r := reason("key=right", "192.0.2.2"); r != letIn {
			t.Error(r)
		}
		if _, err := g.Admit(t.Context(), &Request{Role: session.Play, Path: "live/a", Remote: at("192.0.2.1")}); err != nil {
			t.Error(err)
		}
		<-time.After(time.Minute)
		if r := reason("key=right", "192.0.2.1"); r != letIn {
			t.Error(r)
		}
		// The second wait is longer.
		for range throttleAfter {
			reason("key=guess", "192.0.2.1")
		}
		_, err := g.Admit(context.Background(), publish("live/a", "key=guess", "192.0.2.1"))
		var e *Error
		if !errors.As(err, &e) || e.RetryAfter != 2*throttleWindow {
			t.Errorf("%v", err)
		}
		// Who behaves for long begins anew.
		<-time.After(3 * 16 * time.Minute)
		for range throttleAfter {
			reason("key=guess", "192.0.2.1")
		}
		if _, err := g.Admit(context.Background(), publish("live/a", "key=guess", "192.0.2.1")); !errors.As(err, &e) || e.RetryAfter != throttleWindow {
			t.Errorf("%v", err)
		}
		// One /64 is one peer; loopback is exempt; slow failures and missing keys do not count.
		for i := range throttleAfter {
			reason("key=guess", fmt.Sprintf("2001:db8::%x", i+1))
		}
		if r := reason("key=right", "2001:db8::ffff"); r != session.Throttled {
			t.Error(r)
		}
		for range 3 * throttleAfter {
			reason("key=guess", "127.0.0.1")
			reason("", "198.51.100.1")
		}
		for range 3 * throttleAfter {
			reason("key=guess", "198.51.100.2")
			<-time.After(time.Minute / (throttleAfter - 2))
		}
		for _, a := range []string{"127.0.0.1", "198.51.100.1", "198.51.100.2"} {
			if r := reason("key=right", a); r != letIn {
				t.Error(a, r)
			}
		}
	})
}

func TestThrottleIsBounded(t *testing.T) {
	var th throttle
	now := time.Now()
	addr := func(i int) netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	}
	for i := range 3 * throttleEntries {
		th.failed(addr(i), now)
	}
	if len(th.entries) != throttleEntries || th.recent.Len() != throttleEntries {
		t.Error(len(th.entries), th.recent.Len())
	}
	if th.entries[addr(3*throttleEntries-1)] == nil || th.entries[addr(0)] != nil {
		t.Error("the newest was forgotten")
	}
	// What was under way when the wait began does not make it longer.
	for range 3 * throttleAfter {
		th.failed(addr(1), now)
	}
	if w := th.blocked(addr(1), now); w != throttleWindow {
		t.Error(w)
	}
	for range 10 {
		now = now.Add(th.blocked(addr(1), now))
		for range throttleAfter {
			th.failed(addr(1), now)
		}
	}
	if w := th.blocked(addr(1), now); w != 16*time.Minute {
		t.Error(w)
	}
}

func TestGateRace(t *testing.T) {
	g := newGate(t, Entry{Match: "**", Publish: keys("right")})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				_, _ = g.Admit(context.Background(), publish("a/b", fmt.Sprint("key=", n), fmt.Sprintf("192.0.2.%d", i%2)))
				g.SetRules(g.Rules())
			}
		})
	}
	wg.Wait()
}

func TestRuleValidate(t *testing.T) {
	ok := DefaultRule()
	if err := ok.Validate(); err != nil {
		t.Error(err)
	}
	for _, k := range []string{"", "hunter 2", "hunter\n", "hunter" + strings.Repeat("x", 250)} {
		r := keys("fine", k)
		if err := r.Validate(); err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%q: %v", k, err)
		}
	}
	many := keys(strings.Fields(strings.Repeat("k ", 1001))...)
	if many.Validate() == nil {
		t.Error("any number of keys")
	}
	// As part of a configuration.
	var conf struct {
		S struct {
			Publish struct{ Rule } `yaml:"publish"`
		} `yaml:"s"`
	}
	conf.S.Publish.Rule = DefaultRule()
	_, err := config.Load(&conf, config.Source{File: "weir.yml", Data: []byte("s:\n  publish:\n    keys: [a, '']\n")})
	if err == nil || err.Error() != "weir.yml:3:15: s.publish.keys.1: an empty key; for no key write keys: []" {
		t.Error(err)
	}
}

func TestRefusalText(t *testing.T) {
	for reason, want := range map[session.Reason]string{
		session.BadKey:    "admit: play: the key is missing or wrong",
		session.Address:   "admit: play: not allowed from this address",
		session.Throttled: "admit: play: too many wrong keys from this address, wait 1m0s",
	} {
		err := fmt.Errorf("rtmp: %w", &Error{Reason: reason, Role: session.Play, RetryAfter: time.Minute})
		if err.Error() != "rtmp: "+want || session.ReasonOf(err) != reason {
			t.Errorf("%v: %v, %v", reason, err, session.ReasonOf(err))
		}
	}
}

func FuzzKeyOf(f *testing.F) {
	for _, s := range []string{"", "key=a", "a=b&key=%41", "key=%", "key=a+b", "key", "&&key==", "key=a?key=b"} {
		f.Add(s)
	}
	g := newGate(f, Entry{Match: "**", Publish: keys("right")})
	f.Fuzz(func(t *testing.T, query string) {
		key := KeyOf(query)
		if len(key) > len(query) {
			t.Fatalf("%q", key)
		}
		_, err := g.Admit(context.Background(), publish("a/b", query, "127.0.0.1"))
		if (err == nil) != (key == "right") {
			t.Fatal(key, err)
		}
	})
}

func BenchmarkAdmit(b *testing.B) {
	g := newGate(b, Entry{Match: "studio/*"}, Entry{Match: "live/**", Publish: keys("one", "two", "three")})
	for name, r := range map[string]*Request{
		"open": publish("other/stream", "", "192.0.2.1"),
		"key":  publish("live/stream", "key=three", "192.0.2.1"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Admit(context.Background(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestPeersAreToldWhatWasRefused: who came by a link or a token hears of that, and not of a key; the details are the operator's.
func TestPeersAreToldWhatWasRefused(t *testing.T) {
	for _, c := range []struct {
		e    Error
		want string
	}{
		{Error{Reason: session.BadKey}, "The key is missing or wrong."},
		{Error{Reason: session.Expired}, "The time for which this was allowed is over."},
		{Error{Shown: aLink, Reason: session.BadKey, Detail: "the link was changed"}, "The link is not valid for this stream."},
		{Error{Shown: aLink, Reason: session.Denied, Detail: "the link is not valid yet"}, "The link is not valid for this stream."},
		{Error{Shown: aLink, Reason: session.Expired}, "The link has run out."},
		{Error{Shown: aLink, Reason: session.Address}, "Not allowed from this address."},
		{Error{Shown: aToken, Reason: session.Expired}, "The token has run out."},
		{Error{Shown: aToken, Reason: session.TooLarge}, "The token is too long."},
		{Error{Shown: aLogin, Reason: session.BadKey}, "User or password is wrong."},
	} {
		err := c.e.told()
		if got := session.PeerText(err); got != c.want || session.ReasonOf(err) != c.e.Reason || err.Error() != c.e.Error() {
			t.Errorf("%+v: %q", c.e, got)
		}
	}
	key := SigningKey{ID: "a", Secret: "secret-of-a-0123456789"}
	rule := DefaultRule()
	rule.Auth = []string{BySigned}
	rules, err := NewRules(nil, Entry{Play: rule}, &SignedConfig{Keys: []SigningKey{key}})
	if err != nil {
		t.Fatal(err)
	}
	r := publish("live/a", key.Sign(&Signed{Role: session.Play, Path: "live/b", Expires: time.Now().Add(time.Hour)}), "192.0.2.1")
	r.Role = session.Play
	if _, err := New(rules, Options{}).Admit(context.Background(), r); session.PeerText(err) != "The link is not valid for this stream." {
		t.Error(session.PeerText(err), err)
	}
}
