package admit

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/session"
)

func verifierOf(t *testing.T, change func(*SignedConfig), secrets ...string) (*SignedConfig, *verifier) {
	t.Helper()
	c := &SignedConfig{}
	c.SetDefaults()
	for i, s := range secrets {
		c.Keys = append(c.Keys, SigningKey{ID: string(rune('a' + i)), Secret: s})
	}
	change(c)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c, newVerifier(c)
}

func linked(url, path, query string) *Request {
	return &Request{
		Role: session.Play, Protocol: "http-flv", Remote: netip.MustParseAddrPort("127.0.0.1:5"), URL: url, Path: path, RawQuery: query,
	}
}

// TestKnownLinks checks the examples of the other servers' documentation.
func TestKnownLinks(t *testing.T) {
	_, ome := verifierOf(t, func(c *SignedConfig) { c.Scheme = "ome" }, "another", "1kU^b6")
	r := linked("ws://192.168.0.100:3333/app/stream", "app/stream", "policy=eyJ1cmxfZXhwaXJlIjoxMzk5NzIxNTgxfQ&signature=dvVdBpoxAeCPl94Kt5RoiqLI0YE")
	if terms, err := ome.decide(r, time.UnixMilli(1399721581)); err != nil || terms.By != BySigned || terms.KeyID != "b" || !terms.Until.IsZero() {
		t.Errorf("OvenMediaEngine: %+v, %v", terms, err)
	}
	_, nginx := verifierOf(t, func(c *SignedConfig) { c.Scheme = "secure_link" }, "another", "secret")
	r = linked("http://host/s/link", "s/link", "md5=_e4Nc3iduzkWRm01TBBNYw&expires=2147483647")
	if terms, err := nginx.decide(r, time.Unix(2147483647, 0)); err != nil || terms.By != BySigned || terms.KeyID != "b" {
		t.Errorf("nginx: %+v, %v", terms, err)
	}
}

// TestForeignLinks: links that we sign by other servers' schemes admit as they say, and nothing else.
func TestForeignLinks(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name, scheme, target string
		sign                 Signed
		ask                  func(r *Request)
		want                 session.Reason // 0: it admits
		detail               string
	}{
		{"RTMP without its port", "ome", "rtmp://h:1935/live/a", Signed{}, func(r *Request) { r.URL = "rtmp://h/live/a" }, 0, ""},
		{"a file below the stream", "ome", "http://h:80/live/a/index.m3u8", Signed{}, func(r *Request) { r.URL = "http://h/live/a/index.m3u8" }, 0, ""},
		{"its short form", "ome", "http://h:80/live/a.m3u8", Signed{}, func(r *Request) { r.URL = "http://h/live/a/index.m3u8" }, 0, ""},
		{"TLS that a proxy took off", "ome", "wss://h:443/live/a", Signed{}, func(r *Request) { r.URL = "http://h/live/a.flv" }, 0, ""},
		{"a URL of the configuration", "ome", "https://cdn.example.com:8443/live/a", Signed{}, func(r *Request) { r.URL = "http://10.0.0.1:8080/live/a.flv" }, 0, ""},
		{"another port", "ome", "http://h:81/live/a", Signed{}, func(r *Request) { r.URL = "http://h/live/a" }, session.BadKey, "another URL"},
		{"another stream", "ome", "http://h:80/live/b", Signed{}, nil, session.BadKey, "another URL"},
		{"changed", "ome", "http://h:80/live/a", Signed{}, func(r *Request) {
			r.RawQuery = strings.Replace(r.RawQuery, "policy=", "policy="+base64.RawURLEncoding.EncodeToString([]byte(`{"url_expire":9}`))+"&x=", 1)
		}, session.BadKey, "was changed"},
		{"late", "ome", "http://h:80/live/a", Signed{Expires: now.Add(-31 * time.Second)}, nil, session.Expired, "run out"},
		{"early", "ome", "http://h:80/live/a", Signed{NotBefore: now.Add(31 * time.Second)}, nil, session.Denied, "not valid yet"},
		{"its end", "ome", "http://h:80/live/a", Signed{Until: now.Add(time.Minute)}, nil, 0, ""},
		{"after its end", "ome", "http://h:80/live/a", Signed{Until: now}, nil, session.Expired, "run out"},
		{"its address", "ome", "http://h:80/live/a", Signed{Addresses: netip.MustParsePrefix("127.0.0.0/8")}, nil, 0, ""},
		{"another address", "ome", "http://h:80/live/a", Signed{Addresses: netip.MustParsePrefix("203.0.113.0/24")}, nil, session.Address, "not allowed from this address"},
		{"to publish", "ome", "http://h:80/live/a", Signed{}, func(r *Request) { r.Role = session.Publish }, session.Denied, "auth.signed.role"},
		{"no signature", "ome", "http://h:80/live/a", Signed{}, func(r *Request) { r.RawQuery = "signature=%00" }, session.BadKey, "is none"},
		{"a path", "secure_link", "/live/a.m3u8", Signed{Addresses: netip.MustParsePrefix("127.0.0.1/32")}, func(r *Request) { r.URL = "http://h/live/a/index.m3u8" }, 0, ""},
		{"RTMP", "secure_link", "/live/a", Signed{Addresses: netip.MustParsePrefix("127.0.0.1/32")}, func(r *Request) { r.URL = "" }, 0, ""},
		{"another address", "secure_link", "/live/a", Signed{Addresses: netip.MustParsePrefix("203.0.113.7/32")}, nil, session.BadKey, "another URL"},
		{"another stream", "secure_link", "/live/b", Signed{Addresses: netip.MustParsePrefix("127.0.0.1/32")}, nil, session.BadKey, "another URL"},
		{"late", "secure_link", "/live/a", Signed{Expires: now.Add(-31 * time.Second), Addresses: netip.MustParsePrefix("127.0.0.1/32")}, nil, session.Expired, "run out"},
		{"changed", "secure_link", "/live/a", Signed{Addresses: netip.MustParsePrefix("127.0.0.1/32")}, func(r *Request) { r.RawQuery += "9" }, session.BadKey, "was changed"},
	} {
		t.Run(c.scheme+"/"+c.name, func(t *testing.T) {
			conf, v := verifierOf(t, func(s *SignedConfig) { s.Scheme, s.URLs = c.scheme, []string{"https://cdn.example.com:8443"} }, "1kU^b6")
			if c.sign.Expires.IsZero() {
				c.sign.Expires = now.Add(time.Minute)
			}
			query, err := conf.SignLink(&conf.Keys[0], &c.sign, c.target)
			if err != nil {
				t.Fatal(err)
			}
			r := linked("http://h/live/a", "live/a", query)
			if c.ask != nil {
				c.ask(r)
			}
			terms, err := v.decide(r, now)
			switch {
			case c.want == 0 && (err != nil || terms == nil || terms.KeyID != "a" || !terms.Until.Equal(c.sign.Until)):
				t.Errorf("%+v, %v", terms, err)
			case c.want != 0 && (err == nil || session.ReasonOf(err) != c.want || !strings.Contains(err.Error(), c.detail)):
				t.Errorf("%v, want %v with %q", err, c.want, c.detail)
			}
		})
	}
	_, v := verifierOf(t, func(s *SignedConfig) { s.Scheme = "ome" }, "1kU^b6")
	for nearest, want := range map[string]bool{"10.0.0.1": false, "10.0.0.2": true, "127.0.0.1": false} { // allow_ip is that of who connects
		query := "policy=" + base64.RawURLEncoding.EncodeToString([]byte(`{"url_expire":1800000060000,"allow_ip":"`+nearest+`"}`))
		query += "&signature=" + base64.RawURLEncoding.EncodeToString(signOME("1kU^b6", "http://h:80/live/a?"+query))
		r := linked("http://h/live/a", "live/a", query)
		r.Via = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}
		if terms, err := v.decide(r, now); (terms != nil) != want || !want && session.ReasonOf(err) != session.Address {
			t.Errorf("through two proxies, for %s: %+v, %v", nearest, terms, err)
		}
	}
	if terms, err := v.decide(linked("http://h/live/a", "live/a", "key=x"), now); terms != nil || err != nil {
		t.Errorf("who shows no link: %+v, %v", terms, err)
	}
}

// TestExpressions: what can be hashed, and what would let anybody make links is refused.
func TestExpressions(t *testing.T) {
	r := linked("http://h/live/a.flv", "live/a", "st=x%20y&e=5")
	for text, want := range map[string]string{
		"$secure_link_expires$uri$remote_addr $secret": "5/live/a.flv127.0.0.1 s3cret",
		"${secret}${app}-${name}:$arg_st:$arg_expires": "s3cretlive-a:x y:",
		"$secret$uri":                  "!$secure_link_expires is missing",
		"$uri$secure_link_expires":     "!$secret is missing",
		"$secret$arg_expires":          "!$uri is missing",
		"$secret$uri$arg_expires$host": "!$host is not known",
		"$secret$uri${arg_expires":     "!not closed",
		strings.Repeat("x", 513):       "!more than 512 bytes",
	} {
		e, err := parseExpression(text)
		if message, fails := strings.CutPrefix(want, "!"); fails {
			if err == nil || !strings.Contains(err.Error(), message) {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := e.text(r, "/live/a.flv", "5", "s3cret"); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for name, change := range map[string]func(*SignedConfig){
		"expression": func(c *SignedConfig) { c.Scheme, c.Expression = "secure_link", "$uri" },
		"url":        func(c *SignedConfig) { c.Scheme, c.URLs = "ome", []string{"cdn.example.com"} },
		"keys":       func(c *SignedConfig) { c.Scheme, c.Keys = "ome", make([]SigningKey, 9) },
	} {
		c := &SignedConfig{}
		c.SetDefaults()
		change(c)
		if err := c.Validate(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
