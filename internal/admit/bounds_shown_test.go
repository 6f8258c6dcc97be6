package admit

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"weir/internal/session"
)

// hmacJWT admits by tokens that were signed with the tests' secret.
func hmacJWT(t *testing.T) *JWT {
	t.Helper()
	c := DefaultJWTConfig()
	c.Secret = jwtSecret
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return NewJWT(c, slog.New(slog.DiscardHandler))
}

// TestTokenBounds: a token has 4,096 bytes at most, its regular expressions 255, its dates end with the year 9999, and of its texts 128 bytes are kept.
func TestTokenBounds(t *testing.T) {
	j := hmacJWT(t)
	sign := func(more ...any) string {
		return token(t, jwt.SigningMethodHS256, "", []byte(jwtSecret), player(more...))
	}
	expression := func(n int) []any {
		return []any{map[string]any{"action": "play", "path": "~^live/a$|" + strings.Repeat("b", n-len("^live/a$|"))}}
	}
	longest := ""
	for n := 2500; len(longest) < 4096; n++ {
		longest = sign("x", strings.Repeat("x", n))
	}
	if len(longest) != 4096 {
		t.Fatalf("%d bytes", len(longest))
	}
	for _, c := range []struct {
		name, text string
		want       session.Reason
		says       string
	}{
		{"4,096 bytes", longest, letIn, ""},
		{"4,097 bytes", longest + "x", session.TooLarge, "is longer than 4096 bytes"},
		{"an expression of 255 bytes", sign("weir", expression(255)), letIn, ""},
		{"an expression of 256 bytes", sign("weir", expression(256)), session.Denied, "a regular expression has more than 255 bytes"},
		{"the last second of 9999", sign("exp", 253402300799), letIn, ""},
		{"the year 10000", sign("exp", 253402300800), session.BadKey, ""},
	} {
		terms, err := decideJWT(j, session.Play, "live/a", c.text)
		if c.want == letIn && (err != nil || terms == nil) || c.want != letIn && (terms != nil || session.ReasonOf(err) != c.want || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %+v, %v", c.name, terms, err)
		}
	}
	whole := strings.Repeat("u", 128)
	for given, want := range map[string]string{whole: whole, whole + "u": whole[:125] + "…"} {
		terms, err := decideJWT(j, session.Play, "live/a", sign("sub", given, "jti", given))
		if err != nil || terms.User != want || terms.KeyID != want {
			t.Errorf("texts of %d bytes: %+v, %v", len(given), terms, err)
		}
	}
}

// TestKeySetBound: a key set has 1 MiB at most.
func TestKeySetBound(t *testing.T) {
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	set := string(keySetOf(t, jwk(t, "d", public)))
	for n, want := range map[int]string{1 << 20: "", 1<<20 + 1: "more than 1048576 bytes"} {
		name := filepath.Join(t.TempDir(), "jwks.json")
		if err := os.WriteFile(name, []byte(set+strings.Repeat(" ", n-len(set))), 0o600); err != nil {
			t.Fatal(err)
		}
		err := newKeySet(name, time.Hour, slog.New(slog.DiscardHandler)).fetch(t.Context())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: %v, want %q", n, err, want)
		}
	}
}

// TestPolicyBounds: a policy of OvenMediaEngine has 1,024 bytes at most, and its times end with the year 9999.
func TestPolicyBounds(t *testing.T) {
	_, v := verifierOf(t, func(s *SignedConfig) { s.Scheme = "ome" }, "1kU^b6")
	of := func(expire int64, size int) string {
		text := fmt.Sprintf(`{"url_expire":%d}`, expire)
		return base64.RawURLEncoding.EncodeToString([]byte(text + strings.Repeat(" ", size/4*3-len(text))))
	}
	for _, c := range []struct {
		name, policy string
		want         session.Reason
	}{
		{"1,024 bytes", of(1_800_000_060_000, 1024), letIn},
		{"1,025 bytes", of(1_800_000_060_000, 1024) + "=", session.TooLarge},
		{"the last second of 9999", of(253402300799_000, 64), letIn},
		{"and a millisecond", of(253402300799_001, 64), session.Denied},
	} {
		query := "policy=" + c.policy
		query += "&signature=" + base64.RawURLEncoding.EncodeToString(signOME("1kU^b6", "http://h:80/live/a?"+query))
		terms, err := v.decide(linked("http://h/live/a", "live/a", query), time.Unix(1_800_000_000, 0))
		if c.want == letIn && (err != nil || terms == nil) || c.want != letIn && (terms != nil || session.ReasonOf(err) != c.want) {
			t.Errorf("%s: %+v, %v", c.name, terms, err)
		}
	}
}

// TestSignedTimeBound: a link may run until the last second of the year 9999.
func TestSignedTimeBound(t *testing.T) {
	g := signedGate(t, signingKeys)
	for end, want := range map[int64]session.Reason{253402300799: letIn, 253402300800: session.Denied} {
		r := publish("live/a", signingKeys.Keys[0].Sign(&Signed{Role: session.Publish, Path: "live/a", Expires: time.Unix(end, 0)}), "192.0.2.1")
		if _, err := g.Admit(t.Context(), r); (err == nil) != (want == letIn) || err != nil && session.ReasonOf(err) != want {
			t.Errorf("until %d: %v", end, err)
		}
	}
}

// TestSignedConfigBounds: how many keys and URLs there may be, and how long they are, by our scheme and by those of other servers.
func TestSignedConfigBounds(t *testing.T) {
	keys := func(n, size int) (list []SigningKey) {
		for i := range n {
			list = append(list, SigningKey{ID: fmt.Sprint("k", i), Secret: strings.Repeat("s", size)})
		}
		return list
	}
	urls := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("https://h%d:443", i))
		}
		return list
	}
	for _, c := range []struct {
		scheme string
		keys   []SigningKey
		urls   []string
		want   string
	}{
		{"weir", keys(100, 16), nil, ""},
		{"weir", keys(101, 16), nil, "more than 100 keys"},
		{"weir", keys(1, 15), nil, "a signing key has 16 to 255 characters"},
		{"weir", keys(1, 255), nil, ""},
		{"weir", keys(1, 256), nil, "a signing key has 16 to 255 characters"},
		{"weir", []SigningKey{{strings.Repeat("i", 32), strings.Repeat("s", 16)}}, nil, ""},
		{"weir", []SigningKey{{strings.Repeat("i", 33), strings.Repeat("s", 16)}}, nil, "an id has 1 to 32 letters"},
		{"ome", keys(8, 6), urls(16), ""},
		{"ome", keys(9, 6), nil, "more than 8 keys"},
		{"ome", keys(1, 5), nil, "a signing key has 6 to 255 characters"},
		{"ome", keys(1, 6), urls(17), "more than 16 URLs"},
	} {
		conf := &SignedConfig{}
		conf.SetDefaults()
		conf.Scheme, conf.Keys, conf.URLs = c.scheme, c.keys, c.urls
		if err := conf.Validate(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %d keys and %d URLs: %v, want %q", c.scheme, len(c.keys), len(c.urls), err, c.want)
		}
	}
}

// TestPasswordBounds: what the hash of a password may cost.
func TestPasswordBounds(t *testing.T) {
	for cost, good := range map[string]bool{
		"m=65536,t=10,p=8": true, "m=65537,t=10,p=8": false, "m=65536,t=11,p=8": false, "m=65536,t=10,p=9": false,
		"m=8,t=1,p=1": true, "m=7,t=1,p=1": false, "m=8,t=0,p=1": false, "m=8,t=1,p=0": false,
	} {
		_, err := parsePassword(strings.Replace(cheapHash, "m=256,t=2,p=1", cost, 1))
		if (err == nil) != good || err != nil && err.Error() != "the hash of a password costs at most m=65536,t=10,p=8" {
			t.Errorf("%s: %v", cost, err)
		}
	}
}

// TestKeyFileBounds: the file of keys has 10,000 of them and 16 MiB at most.
func TestKeyFileBounds(t *testing.T) {
	f := newFile(t)
	_, k := mustAdd(t, f, StoredKey{Role: "publish", Match: "live/*"})
	list := make([]StoredKey, 10_001)
	for i := range list {
		list[i] = k
		list[i].ID = fmt.Sprint("k", i)
	}
	write := func(n, size int) {
		t.Helper()
		b, err := json.Marshal(keyFile{1, list[:n]})
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, strings.Repeat(" ", max(size-len(b), 0))...)
		if err := os.WriteFile(f.Name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(9_999, 0)
	mustAdd(t, f, StoredKey{Role: "publish", Match: "live/*"})
	if got, err := f.List(); err != nil || len(got) != 10_000 {
		t.Errorf("%d keys, %v", len(got), err)
	}
	_, _, err := f.Add(StoredKey{Role: "publish", Match: "live/*"})
	if e, ok := errors.AsType[*KeyError](err); !ok || e.Code != "too_many" || err.Error() != "there are 10000 keys already, as many as there may be" {
		t.Errorf("one more: %v", err)
	}
	write(10_001, 0)
	if _, err := f.List(); err == nil || !strings.Contains(err.Error(), "has more than 10000 keys") {
		t.Errorf("a file of more: %v", err)
	}
	for n, want := range map[int]string{16 << 20: "", 16<<20 + 1: "has more than 16777216 bytes"} {
		write(1, n)
		if got, err := f.List(); (err == nil) != (want == "") || err == nil && len(got) != 1 || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: %d keys, %v, want %q", n, len(got), err, want)
		}
	}
}
