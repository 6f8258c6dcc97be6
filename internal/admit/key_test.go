package admit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/config"
	"weir/internal/session"
)

// gateOf is a gate with one entry for all streams of live.
func gateOf(t testing.TB, publishers, players []Key) *Gate {
	t.Helper()
	e := Entry{Match: "live/*", Publish: DefaultRule(), Play: DefaultRule()}
	e.Publish.Keys, e.Play.Keys = publishers, players
	for _, r := range []*Rule{&e.Publish, &e.Play} {
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	return newGate(t, e)
}

func TestKeysOfEachKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(time.Hour)
		g := gateOf(t, []Key{
			{Key: "plain"},
			{ID: "hashed", Hash: HashKey("0123456789abcdef"), Label: "by its hash"},
			{ID: "ends", Key: "brief", Expires: end},
			{ID: "alice", Key: "secret-name", Path: "live/alice", Label: "Alice"},
			{ID: "user", Key: "password", User: "bob"},
			{ID: "again", Key: "plain", Expires: end.Add(-2 * time.Hour)}, // the other one with this key is valid
		}, []Key{{ID: "p", Key: "players"}})
		type want struct {
			reason session.Reason // letIn: admitted
			terms  session.Terms
		}
		in := func(terms session.Terms) want { terms.By = ByKeys; return want{letIn, terms} }
		for _, c := range []struct {
			name string
			r    Request
			want want
		}{
			{"?key", Request{Path: "live/x", RawQuery: "key=plain"}, in(session.Terms{})},
			{"bearer", Request{Path: "live/x", Credential: Credential{Kind: "bearer", Token: "plain"}}, in(session.Terms{})},
			{"a password of any user", Request{Path: "live/x", Credential: Credential{Kind: "basic", User: "x", Secret: "plain"}}, in(session.Terms{})},
			{"pass", Request{Path: "live/x", RawQuery: "user=x&pass=plain"}, in(session.Terms{})},
			{"a hash", Request{Path: "live/x", RawQuery: "key=0123456789abcdef"}, in(session.Terms{KeyID: "hashed", Label: "by its hash"})},
			{"the hash itself", Request{Path: "live/x", RawQuery: "key=" + HashKey("0123456789abcdef")}, want{reason: session.BadKey}},
			{"one that ends", Request{Path: "live/x", RawQuery: "key=brief"}, in(session.Terms{KeyID: "ends", Until: end})},
			{"a name that is a key", Request{Path: "live/secret-name"}, in(session.Terms{KeyID: "alice", Label: "Alice", Path: "live/alice"})},
			{"a key that leads elsewhere", Request{Path: "live/x", RawQuery: "key=secret-name"}, in(session.Terms{KeyID: "alice", Label: "Alice", Path: "live/alice"})},
			{"a name that is a key without a path", Request{Path: "live/plain"}, want{reason: session.BadKey}},
			{"user and password", Request{Path: "live/x", Credential: Credential{Kind: "basic", User: "bob", Secret: "password"}}, in(session.Terms{KeyID: "user", User: "bob"})},
			{"RTMP's", Request{Path: "live/x", Credential: Credential{Kind: "adobe", User: "bob", Secret: "password"}}, in(session.Terms{KeyID: "user", User: "bob"})},
			{"in the query", Request{Path: "live/x", RawQuery: "user=bob&pass=password"}, in(session.Terms{KeyID: "user", User: "bob"})},
			{"another user", Request{Path: "live/x", RawQuery: "user=bo&pass=password"}, want{reason: session.BadKey}},
			{"no user", Request{Path: "live/x", RawQuery: "key=password"}, want{reason: session.BadKey}},
			{"a player's", Request{Path: "live/x", RawQuery: "key=players"}, want{reason: session.BadKey}},
			{"a player", Request{Role: session.Play, Path: "live/x", RawQuery: "key=players"}, in(session.Terms{KeyID: "p"})},
			{"a player with a publisher's", Request{Role: session.Play, Path: "live/x", RawQuery: "key=plain"}, want{reason: session.BadKey}},
			{"a player at a name that is a publisher's key", Request{Role: session.Play, Path: "live/secret-name"}, want{reason: session.BadKey}},
		} {
			if c.r.Role == session.Pending {
				c.r.Role = session.Publish
			}
			c.r.Remote = netip.MustParseAddrPort("127.0.0.1:1")
			grant, err := g.Admit(context.Background(), &c.r)
			if c.want.reason != letIn {
				if session.ReasonOf(err) != c.want.reason || grant != (session.Grant{}) {
					t.Errorf("%s: %+v, %v", c.name, grant, err)
				}
				continue
			}
			if err != nil || grant.Terms == nil || grant.Key == 0 || fmt.Sprint(*grant.Terms) != fmt.Sprint(c.want.terms) {
				t.Errorf("%s: %+v, %v", c.name, grant.Terms, err)
			}
			if c.r.SecretName != (c.r.Role == session.Publish) {
				t.Errorf("%s: whether the name may be a key: %v", c.name, c.r.SecretName)
			}
		}
		time.Sleep(time.Hour - 1)
		if _, err := g.Admit(context.Background(), publish("live/x", "key=brief", "192.0.2.1")); err != nil {
			t.Error("at the last moment:", err)
		}
		time.Sleep(time.Nanosecond)
		for range 2 * throttleAfter { // it is no guess
			_, err := g.Admit(context.Background(), publish("live/x", "key=brief", "192.0.2.1"))
			if session.ReasonOf(err) != session.Expired || err.Error() != "admit: publish: the key has run out" {
				t.Fatal(err)
			}
		}
	})
}

func TestKeyValidate(t *testing.T) {
	for _, c := range []struct {
		keys []Key
		want string // "": valid
	}{
		{[]Key{{Key: "a", Hash: HashKey("a")}}, "set key or hash, not both"},
		{[]Key{{ID: "a"}}, "an empty key"},
		{[]Key{{Hash: "sha256:" + strings.Repeat("0", 64)}}, ""},
		{[]Key{{Hash: "sha256:" + strings.Repeat("0", 63)}}, "a hash is sha256: and 64 digits in hex"},
		{[]Key{{Hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"}}, "argon2id: and the hash of a password"},
		{[]Key{{Hash: "md5:" + strings.Repeat("0", 32)}}, "a hash is sha256: and 64 digits in hex"},
		{[]Key{{Key: "a", ID: strings.Repeat("i", 64)}}, ""},
		{[]Key{{Key: "a", ID: strings.Repeat("i", 65)}}, "an id has 1 to 64 letters"},
		{[]Key{{Key: "a", ID: "a b"}}, "an id has 1 to 64 letters"},
		{[]Key{{Key: "a", ID: "i"}, {Key: "b", ID: "i"}}, `two keys with the id "i"`},
		{[]Key{{Key: "a"}, {Key: "b"}}, ""},
		{[]Key{{Key: "a", Label: strings.Repeat("l", 128)}}, ""},
		{[]Key{{Key: "a", Label: strings.Repeat("l", 129)}}, "a label has at most 128 bytes"},
		{[]Key{{Key: "a", Label: "a\nb"}}, "a label has at most 128 bytes"},
		{[]Key{{Key: "a", User: strings.Repeat("u", 64)}}, ""},
		{[]Key{{Key: "a", User: strings.Repeat("u", 65)}}, "a user has at most 64 bytes"},
		{[]Key{{Key: "a", User: "a:b"}}, "a user has at most 64 bytes"},
		{[]Key{{Key: "a", Path: "live/a"}}, ""},
		{[]Key{{Key: "a", Path: "live/*"}}, `"live/*" is no stream`},
		{[]Key{{Key: "a", Path: "live"}}, `"live" is no stream`},
		{[]Key{{Key: "a", Path: "live/../a"}}, `"live/../a" is no stream`},
	} {
		r := DefaultRule()
		r.Keys = c.keys
		if err := r.Validate(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.keys, err, c.want)
		}
	}
	r := DefaultRule()
	if r.Auth = []string{ByKeys, ByKeys}; r.Validate() == nil {
		t.Error("a link is asked twice")
	}
	r.Auth, r.Keys = []string{BySigned}, []Key{{Key: "a"}}
	if err := r.Validate(); err == nil || !strings.Contains(err.Error(), "there are keys that nothing asks for") {
		t.Error(err)
	}
	var conf struct {
		Rule `yaml:",inline"`
	}
	conf.Rule = DefaultRule()
	_, err := config.Load(&conf, config.Source{File: "a.yml", Data: []byte("keys:\n  - id: x\n    key: a\n  - {id: x, key: hunter2}\nauth: [keys, magic]\n")})
	if err == nil || err.Error() != "a.yml:5:14: auth.1: found text \"magic\", allowed: keys, signed, jwt, hook" {
		t.Error(err)
	}
}

// linkFunc is a link of a test.
type linkFunc func(r *Request) (*session.Terms, error)

func (f linkFunc) Decide(_ context.Context, r *Request) (*session.Terms, error) { return f(r) }

func TestChain(t *testing.T) {
	hooked := &session.Terms{By: ByHook, KeyID: "h"}
	entry := func(auth ...string) Entry {
		r := DefaultRule()
		r.Keys, r.Auth = []Key{{ID: "k", Key: "right"}}, auth
		if !slices.Contains(auth, ByKeys) {
			r.Keys = nil
		}
		return Entry{Match: "**", Publish: r, Play: DefaultRule()}
	}
	no := &session.Refusal{Reason: session.Hook, Peer: "not you", Err: errors.New("the service said no")}
	for _, c := range []struct {
		name   string
		auth   []string
		query  string
		hook   linkFunc
		by     string // "": refused
		reason session.Reason
		asked  int // how often the hook was
	}{
		{"the first admits", []string{ByKeys, ByHook}, "key=right", nil, ByKeys, 0, 0},
		{"the first passes, the second admits", []string{ByKeys, ByHook}, "key=wrong", func(*Request) (*session.Terms, error) { return hooked, nil }, ByHook, 0, 1},
		{"the second refuses", []string{ByKeys, ByHook}, "", func(*Request) (*session.Terms, error) { return nil, no }, "", session.Hook, 1},
		{"both pass", []string{ByKeys, ByHook}, "", func(*Request) (*session.Terms, error) { return nil, nil }, "", session.BadKey, 1},
		{"the other order", []string{ByHook, ByKeys}, "key=right", func(*Request) (*session.Terms, error) { return nil, nil }, ByKeys, 0, 1},
		{"a refusal before the key", []string{ByHook, ByKeys}, "key=right", func(*Request) (*session.Terms, error) { return nil, no }, "", session.Hook, 1},
		{"no keys", []string{ByHook}, "key=right", func(*Request) (*session.Terms, error) { return nil, nil }, "", session.BadKey, 1},
		{"nothing that is configured", []string{ByJWT}, "key=right", nil, "", session.Internal, 0},
	} {
		asked := 0
		rules, err := NewRules([]Entry{entry(c.auth...)}, Entry{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		g := New(rules, Options{Links: map[string]Link{ByHook: linkFunc(func(r *Request) (*session.Terms, error) { asked++; return c.hook(r) })}})
		grant, err := g.Admit(context.Background(), publish("live/a", c.query, "192.0.2.1"))
		switch {
		case asked != c.asked:
			t.Errorf("%s: the hook was asked %d times", c.name, asked)
		case c.by == "" && (err == nil || session.ReasonOf(err) != c.reason || grant != session.Grant{}):
			t.Errorf("%s: %+v, %v", c.name, grant, err)
		case c.by != "" && (err != nil || grant.Terms.By != c.by || grant.Key == 0):
			t.Errorf("%s: %+v, %v", c.name, grant, err)
		}
	}

	// A session that runs is asked about where it was admitted, and nowhere else; who is not asked any more withdraws nothing.
	rules, _ := NewRules([]Entry{entry(ByKeys, ByHook)}, Entry{}, nil)
	says := &session.Terms{By: ByHook, User: "new"}
	g := New(rules, Options{Links: map[string]Link{ByHook: linkFunc(func(r *Request) (*session.Terms, error) {
		if r.RawQuery == "no" {
			return nil, no
		}
		return says, nil
	})}})
	r := publish("live/a", "", "192.0.2.1")
	r.Recheck = true
	if terms, err := g.Again(context.Background(), r, hooked); err != nil || terms != says {
		t.Errorf("%+v, %v", terms, err)
	}
	r.RawQuery = "no"
	if _, err := g.Again(context.Background(), r, hooked); session.ReasonOf(err) != session.Hook {
		t.Error(err)
	}
	rules, _ = NewRules([]Entry{entry(ByKeys)}, Entry{}, nil)
	g.SetRules(rules)
	if terms, err := g.Again(context.Background(), r, hooked); err != nil || terms != hooked {
		t.Errorf("%+v, %v", terms, err)
	}
	says, r.RawQuery = nil, ""
	rules, _ = NewRules([]Entry{entry(ByHook)}, Entry{}, nil)
	g.SetRules(rules)
	if terms, err := g.Again(context.Background(), r, hooked); err != nil || terms != hooked {
		t.Errorf("it passes: %+v, %v", terms, err)
	}
}

// renamer is a link of a test that may rename publishers.
type renamer struct{ linkFunc }

func (renamer) NamesAreSecret(role session.Role) bool { return role == session.Publish }

// TestNamesThatARenamerMayTakeForKeys are secret whoever refuses them, also before the link is asked.
func TestNamesThatARenamerMayTakeForKeys(t *testing.T) {
	no := func(*Request) (*session.Terms, error) { return nil, errors.New("no") }
	for name, c := range map[string]struct {
		auth  []string
		allow bool
		role  session.Role
		want  bool
	}{
		"the renamer refuses":   {[]string{ByHook}, true, session.Publish, true},
		"the address":           {[]string{ByHook}, false, session.Publish, true},
		"a link before it":      {[]string{ByJWT, ByHook}, true, session.Publish, true},
		"not one that is asked": {[]string{ByJWT}, true, session.Publish, false},
		"a player":              {[]string{ByHook}, true, session.Play, false},
	} {
		rule := DefaultRule()
		if rule.Auth = c.auth; !c.allow {
			rule.Allow = nil
		}
		rules, err := NewRules([]Entry{{Match: "**", Publish: rule, Play: rule}}, Entry{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		g := New(rules, Options{Links: map[string]Link{ByJWT: linkFunc(no), ByHook: renamer{no}}})
		r := publish("live/hunter2", "", "192.0.2.1")
		r.Role = c.role
		if g.SecretName(r) != c.want {
			t.Errorf("%s: %v before it was asked", name, !c.want)
		}
		if _, err := g.Admit(context.Background(), r); err == nil || r.SecretName != c.want {
			t.Errorf("%s: %v, %v", name, r.SecretName, err)
		}
	}
}

// TestOpen: a stream is open where everybody who may come from an address plays it, and nobody is asked.
func TestOpen(t *testing.T) {
	entry := func(match string, change func(*Rule)) Entry {
		r := DefaultRule()
		change(&r)
		return Entry{Match: match, Publish: DefaultRule(), Play: r}
	}
	rules, err := NewRules([]Entry{
		entry("live/keys", func(r *Rule) { r.Keys = []Key{{Key: "a"}} }),
		entry("live/hook", func(r *Rule) { r.Auth = []string{ByKeys, ByHook} }),
		entry("live/signed", func(r *Rule) { r.Auth = []string{BySigned} }),
		entry("live/home", func(r *Rule) { r.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }),
	}, Entry{Play: DefaultRule()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := New(rules, Options{Links: map[string]Link{ByHook: linkFunc(func(*Request) (*session.Terms, error) {
		t.Error("somebody was asked")
		return nil, nil //nolint:nilnil // it passes
	})}})
	for path, want := range map[string]bool{"live/keys": false, "live/hook": false, "live/signed": false, "live/home": false, "live/a": true} {
		if got := g.Open(path, netip.MustParseAddr("192.0.2.1")); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	if !g.Open("live/home", netip.MustParseAddr("10.1.2.3")) || g.Open("live/a", netip.Addr{}) {
		t.Error("the address makes no difference")
	}
}

// confirmer is a link of a test that is asked after others too.
type confirmer struct{ linkFunc }

func (confirmer) Confirms() bool { return true }

func TestConfirmer(t *testing.T) {
	end := time.Now().Add(time.Hour)
	rule := DefaultRule()
	rule.Auth = []string{ByKeys, ByHook}
	rule.Keys = []Key{{ID: "k", Key: "right", Path: "live/x", Label: "key's", Expires: end}}
	rules, err := NewRules([]Entry{{Match: "**", Publish: rule}}, Entry{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var says *session.Terms
	var refuses error
	g := New(rules, Options{Links: map[string]Link{ByHook: confirmer{func(*Request) (*session.Terms, error) { return says, refuses }}}})
	ask := func(query string) string {
		r := publish("live/a", query, "127.0.0.1")
		grant, err := g.Admit(context.Background(), r)
		if err != nil {
			return session.ReasonOf(err).String()
		}
		d := digestOf("right")
		if query != "" && grant.Key != d.id() {
			t.Error("the grant is not the key's")
		}
		return fmt.Sprintf("%s %s %s %s %v %d", grant.Terms.By, grant.Terms.KeyID, grant.Terms.User, grant.Terms.Path, grant.Terms.Until.Equal(end), grant.Terms.Bitrate)
	}
	says = &session.Terms{By: ByHook, User: "u", Bitrate: 5, Until: end.Add(time.Hour)}
	if got := ask("key=right"); got != "hook k u live/x true 5" {
		t.Errorf("both: %q", got)
	}
	if got := ask(""); !strings.HasPrefix(got, "hook") || strings.Contains(got, "live/x") {
		t.Errorf("the second alone: %q", got)
	}
	refuses = session.Because(session.Hook, errors.New("no"))
	if got := ask("key=right"); got != "hook" {
		t.Errorf("the second refuses: %q", got)
	}
	says, refuses = nil, nil
	if got := ask("key=right"); !strings.HasPrefix(got, ByKeys) {
		t.Errorf("the second passes: %q", got)
	}
	if got := ask("key=wrong"); got != "bad_key" {
		t.Errorf("both pass: %q", got)
	}
}

// TestO22_GuessesDelayNobodyElse: 100 wrong keys a second from one address, of which each waits as long as it is told to,
// change what others see by nothing; and the one that guesses gets in after the wait that it was told.
func TestO22_GuessesDelayNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gateOf(t, []Key{{Key: "right"}}, nil)
		var wait time.Duration
		for i := range 1000 {
			_, err := g.Admit(context.Background(), publish("live/a", fmt.Sprint("key=guess", i), "192.0.2.1"))
			var e *Error
			var refusal *session.Refusal
			if !errors.As(err, &e) || i >= throttleAfter && (e.Reason != session.Throttled || e.RetryAfter <= 0 || !errors.As(err, &refusal) || refusal.RetryAfter != e.RetryAfter) {
				t.Fatal(i, err)
			}
			if i == 999 {
				wait = e.RetryAfter
				if want := fmt.Sprintf("Too many wrong keys came from this address: wait %v before trying again.", roundUp(wait)); session.PeerText(err) != want {
					t.Errorf("%q, want %q", session.PeerText(err), want)
				}
			}
			before := time.Now()
			if _, err := g.Admit(context.Background(), publish("live/b", "key=right", "192.0.2.2")); err != nil || time.Since(before) != 0 {
				t.Fatal("another address:", err, time.Since(before))
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(wait - 10*time.Millisecond - 1)
		if _, err := g.Admit(context.Background(), publish("live/a", "key=right", "192.0.2.1")); session.ReasonOf(err) != session.Throttled {
			t.Error("before the wait is over:", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := g.Admit(context.Background(), publish("live/a", "key=right", "192.0.2.1")); err != nil {
			t.Error("after the wait:", err)
		}
	})
}

// TestGuessesAtFullSpeed measures in real time what somebody waits for while four others guess as fast as they can,
// beside what it is while they guess elsewhere and only take the processor's time.
func TestGuessesAtFullSpeed(t *testing.T) {
	g, elsewhere := gateOf(t, []Key{{Key: "right"}}, nil), gateOf(t, []Key{{Key: "right"}}, nil)
	alone, beside := p99Beside(t, g, elsewhere), p99Beside(t, g, g)
	t.Logf("p99 %v while four guess elsewhere, %v while they guess here", alone, beside)
	if beside-alone > 20*time.Millisecond {
		t.Errorf("p99 %v while four guess elsewhere, %v while they guess here", alone, beside)
	}
}

// p99Beside returns the 99th percentile of what g takes to admit somebody while four others guess at guessed.
func p99Beside(t *testing.T, g, guessed *Gate) time.Duration {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{}, 4)
	for i := range 4 {
		go func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = guessed.Admit(ctx, publish("live/a", fmt.Sprint("key=guess", n), fmt.Sprintf("192.0.2.%d", i+1)))
			}
			done <- struct{}{}
		}()
	}
	defer func() {
		stop()
		for range 4 {
			<-done
		}
	}()
	took := make([]time.Duration, 2000)
	for i := range took {
		before := time.Now()
		if _, err := g.Admit(context.Background(), publish("live/b", "key=right", "198.51.100.1")); err != nil {
			t.Fatal(err)
		}
		took[i] = time.Since(before)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func BenchmarkAdmitThousandKeys(b *testing.B) {
	list := make([]Key, maxKeys)
	for i := range list {
		list[i] = Key{ID: fmt.Sprint("k", i), Key: fmt.Sprintf("%032d", i)}
	}
	g := gateOf(b, list, nil)
	for name, r := range map[string]*Request{
		"right": publish("live/a", "key="+list[777].Key, "192.0.2.1"),
		"wrong": publish("live/a", "key="+strings.Repeat("x", 32), "127.0.0.1"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Admit(context.Background(), r); (err == nil) != (name == "right") {
					b.Fatal(err)
				}
			}
		})
	}
}
