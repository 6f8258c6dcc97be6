package admit

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/session"
)

var signingKeys = &SignedConfig{Keys: []SigningKey{{"a", "0123456789abcdef"}, {"b", "fedcba9876543210"}}}

// signedGate asks for signed links, of publishers and players.
func signedGate(t testing.TB, c *SignedConfig) *Gate {
	t.Helper()
	rule := DefaultRule()
	rule.Auth = []string{BySigned}
	rules, err := NewRules(nil, Entry{Publish: rule, Play: rule}, c)
	if err != nil {
		t.Fatal(err)
	}
	return New(rules, Options{})
}

// TestSignatureIsAsDocumented holds the signature to what another program would compute:
//
//	printf 'v1\nplay\nlive/a\nexp=2000000000' | openssl dgst -sha256 -hmac 0123456789abcdef -binary | basenc --base64url | tr -d =
func TestSignatureIsAsDocumented(t *testing.T) {
	k := &signingKeys.Keys[0]
	for _, c := range []struct {
		s    Signed
		want string
	}{
		{Signed{Role: session.Play, Path: "live/a", Expires: time.Unix(2e9, 0)}, "exp=2000000000&kid=a&sig=egqIAGWRyitpR6RIUYU2ILgt81at_R5LVFHErwHuHBA"},
		{Signed{
			Role: session.Publish, Path: "live/**", Expires: time.Unix(2e9, 0), NotBefore: time.Unix(1e9, 0),
			Addresses: netip.MustParsePrefix("203.0.113.0/24"), Until: time.Unix(2e9+60, 0),
		}, "exp=2000000000&nbf=1000000000&ip=203.0.113.0/24&until=2000000060&kid=a&sig=XGZHid_nrYo-OUgNQ5AP0PmVfP-3Phv-DHCaAKPRIhQ"},
	} {
		if got := k.Sign(&c.s); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	long := SigningKey{strings.Repeat("k", 32), "0123456789abcdef"}
	if got := long.Sign(&Signed{
		Role: session.Publish, Path: "live/a", Expires: time.Unix(2e9, 0), NotBefore: time.Unix(1e9, 0),
		Addresses: netip.MustParsePrefix("2001:db8:1111:2222:3333:4444:5555:6666/128"), Until: time.Unix(2e9, 0),
	}); len(got) > 200 {
		t.Errorf("%d characters: %s", len(got), got)
	}
}

func TestSignedLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := signedGate(t, signingKeys)
		now := time.Now()
		sign := func(k int, s Signed) string { return signingKeys.Keys[k].Sign(&s) }
		hour := Signed{Role: session.Play, Path: "live/a", Expires: now.Add(time.Hour)}
		with := func(change func(s *Signed)) string {
			s := hour
			change(&s)
			return sign(0, s)
		}
		good := sign(0, hour)
		for _, c := range []struct {
			name, path, query, addr string
			want                    session.Reason
			says                    string
		}{
			{"good", "live/a", good, "192.0.2.1", letIn, ""},
			{"beside other parameters", "live/a", "start=live&" + good + "&x=y", "192.0.2.1", letIn, ""},
			{"the other key", "live/a", sign(1, hour), "192.0.2.1", letIn, ""},
			{"another stream", "live/b", good, "192.0.2.1", session.BadKey, "the link was changed, or was signed for another stream, role or key"},
			{"a stream below", "live/a/b", good, "192.0.2.1", session.BadKey, "was changed"},
			{"another role", "live/a", with(func(s *Signed) { s.Role = session.Publish }), "192.0.2.1", session.BadKey, "was changed"},
			{"the key of another", "live/a", strings.Replace(good, "kid=a", "kid=b", 1), "192.0.2.1", session.BadKey, "was changed"},
			{"an unknown key", "live/a", strings.Replace(good, "kid=a", "kid=c", 1), "192.0.2.1", session.BadKey, "a key that this server does not have"},
			{"a later end", "live/a", strings.Replace(good, "exp=", "exp=9", 1), "192.0.2.1", session.BadKey, "was changed"},
			{"an added until", "live/a", good + "&until=9999999999", "192.0.2.1", session.BadKey, "was changed"},
			{"no signature", "live/a", "", "192.0.2.1", session.BadKey, "the key is missing or wrong"},
			{"half a signature", "live/a", good[:len(good)-10], "192.0.2.1", session.BadKey, "a malformed signature"},
			{"all below", "live/x/y", with(func(s *Signed) { s.Path = "live/**" }), "192.0.2.1", letIn, ""},
			{"eight folders down", "live/1/2/3/4/5/6/7/8", with(func(s *Signed) { s.Path = "live/**" }), "192.0.2.1", letIn, ""},
			{"nine folders down", "live/1/2/3/4/5/6/7/8/9", with(func(s *Signed) { s.Path = "live/**" }), "192.0.2.1", session.BadKey, "was changed"},
			{"all below another", "live2/x", with(func(s *Signed) { s.Path = "live/**" }), "192.0.2.1", session.BadKey, "was changed"},
			{"ended, within the skew", "live/a", with(func(s *Signed) { s.Expires = now.Add(-30 * time.Second) }), "192.0.2.1", letIn, ""},
			{"ended", "live/a", with(func(s *Signed) { s.Expires = now.Add(-31 * time.Second) }), "192.0.2.1", session.Expired, "the link has run out"},
			{"early, within the skew", "live/a", with(func(s *Signed) { s.NotBefore = now.Add(30 * time.Second) }), "192.0.2.1", letIn, ""},
			{"early", "live/a", with(func(s *Signed) { s.NotBefore = now.Add(31 * time.Second) }), "192.0.2.1", session.Denied, "the link is not valid yet"},
			{"over", "live/a", with(func(s *Signed) { s.Until = now }), "192.0.2.1", session.Expired, "the link has run out"},
			{"the address", "live/a", with(func(s *Signed) { s.Addresses = netip.MustParsePrefix("192.0.2.0/28") }), "::ffff:192.0.2.1", letIn, ""},
			{"the address, escaped", "live/a", strings.Replace(with(func(s *Signed) { s.Addresses = netip.MustParsePrefix("192.0.2.0/28") }), "/28", "%2F28", 1), "192.0.2.1", letIn, ""},
			{"another address", "live/a", with(func(s *Signed) { s.Addresses = netip.MustParsePrefix("192.0.2.0/28") }), "192.0.2.16", session.Address, "not allowed from this address"},
			{"without an end", "live/a", with(func(s *Signed) { s.Expires = time.Time{} }), "192.0.2.1", session.Denied, "its exp, nbf, until or ip is wrong"},
		} {
			grant, err := g.Admit(context.Background(), &Request{Role: session.Play, Path: c.path, RawQuery: c.query, Remote: at(c.addr)})
			switch {
			case c.want == letIn:
				if err != nil || grant.Terms.By != BySigned || grant.Key == 0 || !strings.Contains(c.query, "kid="+grant.Terms.KeyID) {
					t.Errorf("%s: %+v, %v", c.name, grant.Terms, err)
				}
			case session.ReasonOf(err) != c.want || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "sig="):
				t.Errorf("%s: %v", c.name, err)
			}
		}
		until := time.Unix(now.Unix()+60, 0)
		grant, err := g.Admit(context.Background(), &Request{Role: session.Play, Path: "live/a", RawQuery: with(func(s *Signed) { s.Until = until }), Remote: at("192.0.2.1")})
		if err != nil || !grant.Terms.Until.Equal(until) {
			t.Errorf("%+v, %v", grant.Terms, err)
		}
	})
}

func TestSignedConfigValidate(t *testing.T) {
	const secret = "hunter2-hunter2-hunter2"
	many := make([]SigningKey, 101)
	for _, c := range []struct {
		keys []SigningKey
		want string
	}{
		{[]SigningKey{{"a", secret}, {"b", secret}}, ""},
		{[]SigningKey{{"a", secret[:16]}}, ""},
		{[]SigningKey{{"a", secret[:15]}}, "a signing key has 16 to 255 characters"},
		{[]SigningKey{{"a", strings.Repeat("x", 256)}}, "a signing key has 16 to 255 characters"},
		{[]SigningKey{{"", secret}}, "an id has 1 to 32"},
		{[]SigningKey{{strings.Repeat("i", 33), secret}}, "an id has 1 to 32"},
		{[]SigningKey{{"a&b", secret}}, "an id has 1 to 32"},
		{[]SigningKey{{"a", secret}, {"a", secret}}, `two keys with the id "a"`},
		{many, "more than 100 keys"},
	} {
		err := (&SignedConfig{Keys: c.keys}).Validate()
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	for path, good := range map[string]bool{
		"live/a": true, "live/a/b": true, "live/**": true, "live/a/**": true, "live": false, "**": false, "live/*": false, "live/a*": false, "/live/a": false, "": false,
	} {
		if err := CheckSignedPath(path); (err == nil) != good {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func FuzzSignedLink(f *testing.F) {
	g := signedGate(f, signingKeys)
	s := Signed{Role: session.Play, Path: "live/a", Expires: time.Now().Add(time.Hour)}
	good := signingKeys.Keys[0].Sign(&s)
	f.Add("live/a", good)
	f.Add("live/a/b", "exp=&nbf=1&ip=x&until=-1&kid=a&sig=AAAA")
	f.Fuzz(func(t *testing.T, path, query string) {
		grant, err := g.Admit(context.Background(), &Request{Role: session.Play, Path: path, RawQuery: query, Remote: at("127.0.0.1")})
		if err == nil && (path != "live/a" || grant.Terms == nil || param(query, "exp") != param(good, "exp")) {
			t.Fatal(grant)
		}
	})
}

func BenchmarkSignedLink(b *testing.B) {
	g := signedGate(b, signingKeys)
	r := &Request{Role: session.Play, Path: "live/a", Remote: at("192.0.2.1"), RawQuery: signingKeys.Keys[0].Sign(&Signed{
		Role: session.Play, Path: "live/a", Expires: time.Now().Add(time.Hour),
	})}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Admit(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
}
