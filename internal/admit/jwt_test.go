package admit

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"weir/internal/config"
	"weir/internal/session"
)

const jwtSecret = "0123456789abcdef0123456789abcdef"

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwk describes a public key as a key set has it.
func jwk(t testing.TB, kid string, key crypto.PublicKey) map[string]string {
	t.Helper()
	switch k := key.(type) {
	case *rsa.PublicKey:
		return map[string]string{"kty": "RSA", "kid": kid, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		b, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"kty": "EC", "kid": kid, "crv": "P-256", "x": b64(b[1:33]), "y": b64(b[33:])}
	case ed25519.PublicKey:
		return map[string]string{"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": b64(k)}
	}
	t.Fatalf("%T", key)
	return nil
}

func keySetOf(t testing.TB, keys ...map[string]string) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// token signs claims; kid may be empty.
func token(t testing.TB, method jwt.SigningMethod, kid string, key any, claims jwt.MapClaims) string {
	t.Helper()
	tok := jwt.NewWithClaims(method, claims)
	if kid != "" {
		tok.Header["kid"] = kid
	}
	text, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// player are claims that admit a player of live/a for an hour.
func player(more ...any) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "u42", "jti": "t1", "exp": time.Now().Add(time.Hour).Unix(), "weir": []any{map[string]any{"action": "play", "path": "live/*"}}}
	for i := 0; i < len(more); i += 2 {
		if name, _ := more[i].(string); more[i+1] == nil {
			delete(c, name)
		} else {
			c[name] = more[i+1]
		}
	}
	return c
}

func decideJWT(j *JWT, role session.Role, path, text string) (*session.Terms, error) {
	return j.Decide(context.Background(), &Request{Role: role, Path: path, Remote: at("192.0.2.1"), Credential: Credential{Kind: "bearer", Token: text}})
}

func TestTokens(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pinned := jwk(t, "pinned", &rsaKey.PublicKey)
	pinned["alg"] = "RS512"
	encryption := jwk(t, "enc", &rsaKey.PublicKey)
	encryption["use"] = "enc"
	file := filepath.Join(t.TempDir(), "jwks.json")
	set := keySetOf(t, jwk(t, "r", &rsaKey.PublicKey), jwk(t, "e", &ecKey.PublicKey), jwk(t, "d", edPublic), pinned, encryption,
		map[string]string{"kty": "oct", "kid": "o", "k": b64([]byte(jwtSecret))}, map[string]string{"kty": "future", "kid": "f"})
	if err := os.WriteFile(file, set, 0o600); err != nil {
		t.Fatal(err)
	}
	newJWT := func(change func(c *JWTConfig)) *JWT {
		c := DefaultJWTConfig()
		c.JWKS = file
		change(&c)
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		j := NewJWT(c, slog.New(slog.DiscardHandler))
		if j.set != nil {
			if err := j.set.fetch(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		return j
	}
	keys := newJWT(func(*JWTConfig) {})
	secret := newJWT(func(c *JWTConfig) { c.JWKS, c.Secret = "", jwtSecret })
	both := newJWT(func(c *JWTConfig) { c.Secret = jwtSecret })
	named := newJWT(func(c *JWTConfig) { c.Issuer, c.Audience = "https://id.example.org", "weir" })
	own := newJWT(func(c *JWTConfig) { c.Claim = "streams" })
	mtx := func(list any) jwt.MapClaims { return player("weir", nil, "mediamtx_permissions", list) }
	good := token(t, jwt.SigningMethodRS256, "r", rsaKey, player())
	none := b64([]byte(`{"alg":"none","kid":"r"}`)) + "." + strings.Split(good, ".")[1] + "."
	// The classic forgery: the public key is taken as the secret of HS256.
	confused := token(t, jwt.SigningMethodHS256, "r", rsaKey.N.Bytes(), player())
	for _, c := range []struct {
		name string
		j    *JWT
		path string
		text string
		want session.Reason
		says string
	}{
		{"RS256", keys, "live/a", good, letIn, ""},
		{"PS256", keys, "live/a", token(t, jwt.SigningMethodPS256, "r", rsaKey, player()), letIn, ""},
		{"ES256", keys, "live/a", token(t, jwt.SigningMethodES256, "e", ecKey, player()), letIn, ""},
		{"EdDSA", keys, "live/a", token(t, jwt.SigningMethodEdDSA, "d", edKey, player()), letIn, ""},
		{"without kid", keys, "live/a", token(t, jwt.SigningMethodES256, "", ecKey, player()), letIn, ""},
		{"the algorithm of the key", keys, "live/a", token(t, jwt.SigningMethodRS512, "pinned", rsaKey, player()), letIn, ""},
		{"another algorithm than the key's", keys, "live/a", token(t, jwt.SigningMethodRS256, "pinned", rsaKey, player()), session.BadKey, "a key that is not in the key set"},
		{"a key for encryption", keys, "live/a", token(t, jwt.SigningMethodRS256, "enc", rsaKey, player()), session.BadKey, "a key that is not in the key set"},
		{"HS256", secret, "live/a", token(t, jwt.SigningMethodHS256, "", []byte(jwtSecret), player()), letIn, ""},
		{"HS512 beside a key set", both, "live/a", token(t, jwt.SigningMethodHS512, "r", []byte(jwtSecret), player()), letIn, ""},
		{"RS256 beside a secret", both, "live/a", good, letIn, ""},
		{"HS256 without a secret", keys, "live/a", token(t, jwt.SigningMethodHS256, "o", []byte(jwtSecret), player()), session.BadKey, "a wrong signature, or one of a kind that is not allowed"},
		{"the public key as a secret", keys, "live/a", confused, session.BadKey, "of a kind that is not allowed"},
		{"the public key as a secret, beside a secret", both, "live/a", confused, session.BadKey, "a wrong signature"},
		{"none", keys, "live/a", none, session.BadKey, ""},
		{"RS256 without a key set", secret, "live/a", good, session.BadKey, "of a kind that is not allowed"},
		{"a key that does not fit", keys, "live/a", token(t, jwt.SigningMethodES256, "r", ecKey, player()), session.BadKey, ""},
		{"another's signature", keys, "live/a", good[:len(good)-20] + strings.Repeat("A", 20), session.BadKey, "a wrong signature"},
		{"no token at all", keys, "live/a", "eyJ.x.y", session.BadKey, "is not a JSON Web Token"},
		{"without exp", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("exp", nil)), session.Denied, "has no time at which it runs out"},
		{"ended", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("exp", time.Now().Add(-time.Minute).Unix())), session.Expired, "the token has run out"},
		{"early", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("nbf", time.Now().Add(time.Minute).Unix())), session.Denied, "is not valid yet"},
		{"early, within the leeway", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("nbf", time.Now().Add(20*time.Second).Unix())), letIn, ""},
		{"issuer and audience", named, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("iss", "https://id.example.org", "aud", []string{"other", "weir"})), letIn, ""},
		{"another issuer", named, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("iss", "https://id.example.com", "aud", "weir")), session.Denied, "was issued by someone other than auth.jwt.issuer"},
		{"another audience", named, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("iss", "https://id.example.org", "aud", "other")), session.Denied, "is for another audience"},
		{"another stream", keys, "other/a", good, session.Denied, "the token is not for this stream"},
		{"without the claim", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("weir", nil)), session.Denied, "is not for this stream"},
		{"a claim that is none", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("weir", 5)), session.Denied, "it is no list of actions and paths"},
		{"a pattern that is none", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("weir", []any{map[string]any{"action": "play", "path": "live//a"}})), session.Denied, "a pattern has an empty segment"},
		{"a publisher's", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("weir", []any{map[string]any{"action": "publish"}, map[string]any{"action": "api"}})), session.Denied, "is not for this stream"},
		{"for all", keys, "x/y/z", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("weir", []any{map[string]any{"action": "read", "path": "**"}})), letIn, ""},
		{"without a path", keys, "x/y/z", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("weir", []any{map[string]any{"action": "read"}})), session.Denied, "is not for this stream"},
		{"Exp beside exp", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("exp", 1000, "Exp", 4e9)), session.Expired, "has run out"},
		{"EXP alone", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("exp", nil, "EXP", 4e9)), session.Denied, "has no time at which it runs out"},
		{"an exp beyond all dates", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("exp", 1e19)), session.BadKey, ""},
		{"an nbf beyond all dates", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("nbf", 1e19)), session.BadKey, ""},
		{"a claim of its own", own, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, player("weir", nil, "streams", []any{map[string]any{"action": "play", "path": "live/a"}})), letIn, ""},
		{"MediaMTX's", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, mtx([]any{map[string]any{"action": "read", "path": "live/a"}})), letIn, ""},
		{"MediaMTX's, a path is no pattern", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, mtx([]any{map[string]any{"action": "read", "path": "live/*"}})), session.Denied, "is not for this stream"},
		{"MediaMTX's, a regular expression", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, mtx([]any{map[string]any{"action": "read", "path": "~^live/[ab]$"}})), letIn, ""},
		{"MediaMTX's, a regular expression that does not fit", keys, "live/ab", token(t, jwt.SigningMethodRS256, "r", rsaKey, mtx([]any{map[string]any{"action": "read", "path": "~^live/[ab]$"}})), session.Denied, "is not for this stream"},
		{"MediaMTX's, as a text", keys, "live/a", token(t, jwt.SigningMethodRS256, "r", rsaKey, mtx(`[{"action":"read","path":""}]`)), letIn, ""},
	} {
		terms, err := decideJWT(c.j, session.Play, c.path, c.text)
		if c.want == letIn {
			if err != nil || terms == nil || terms.By != ByJWT || terms.User != "u42" || terms.KeyID != "t1" || time.Until(terms.Until) < 59*time.Minute {
				t.Errorf("%s: %+v, %v", c.name, terms, err)
			}
			continue
		}
		if terms != nil || session.ReasonOf(err) != c.want || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "eyJ") {
			t.Errorf("%s: %+v, %v (%v)", c.name, terms, err, session.ReasonOf(err))
		}
	}

	// A token that demands an extension is for those who know it.
	critical := jwt.NewWithClaims(jwt.SigningMethodRS256, player())
	critical.Header["kid"], critical.Header["crit"] = "r", []string{"b64"}
	text, err := critical.SignedString(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	if terms, err := decideJWT(keys, session.Play, "live/a", text); terms != nil || session.ReasonOf(err) != session.BadKey || !strings.Contains(err.Error(), "critical extensions (crit)") {
		t.Errorf("crit: %+v, %v", terms, err)
	}

	// A publisher goes on when its token ends, unless it is to end.
	publisher := token(t, jwt.SigningMethodRS256, "r", rsaKey, player("jti", nil, "weir", []any{map[string]any{"action": "publish", "path": "live/a"}}))
	if terms, err := decideJWT(keys, session.Publish, "live/a", publisher); err != nil || !terms.Until.IsZero() || terms.KeyID != "r" {
		t.Errorf("%+v, %v", terms, err)
	}
	if terms, err := decideJWT(newJWT(func(c *JWTConfig) { c.EndPublishers = true }), session.Publish, "live/a", publisher); err != nil || terms.Until.IsZero() {
		t.Errorf("%+v, %v", terms, err)
	}
	// A token comes in many ways; what is none is left to the next link.
	for name, r := range map[string]*Request{
		"bearer":   {Credential: Credential{Kind: "bearer", Token: good}},
		"password": {Credential: Credential{Kind: "basic", User: "x", Secret: good}},
		"token":    {RawQuery: "x=y&token=" + good},
		"jwt":      {RawQuery: "jwt=" + good},
		"pass":     {RawQuery: "user=&pass=" + good},
	} {
		r.Role, r.Path = session.Play, "live/a"
		if terms, err := keys.Decide(context.Background(), r); err != nil || terms == nil {
			t.Errorf("%s: %v, %v", name, terms, err)
		}
	}
	for _, r := range []*Request{{}, {RawQuery: "token=x"}, {Credential: Credential{Kind: "bearer", Token: "a-key"}}, {RawQuery: "key=" + good}} {
		r.Role, r.Path = session.Play, "live/a"
		if terms, err := keys.Decide(context.Background(), r); err != nil || terms != nil {
			t.Errorf("%+v: %v, %v", r, terms, err)
		}
	}
}

// TestKeySetOverHTTP: the set is fetched in the background; while it cannot be fetched the last one stays; an unknown
// key makes it be fetched once a minute at most; and a server that hangs stops nobody whose key is known.
func TestKeySetOverHTTP(t *testing.T) {
	oldKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	newKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var fetches atomic.Int32
	var answer atomic.Pointer[[]byte] // nil: it hangs
	hung := make(chan struct{})
	id := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetches.Add(1)
		b := answer.Load()
		if b == nil {
			select {
			case <-hung:
			case <-r.Context().Done():
			}
			return
		}
		if len(*b) == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write(*b)
	}))
	defer id.Close()
	defer close(hung)
	first := keySetOf(t, jwk(t, "old", &oldKey.PublicKey))
	answer.Store(&first)

	conf := DefaultJWTConfig()
	conf.JWKS = id.URL
	if err := conf.Validate(); err != nil {
		t.Fatal(err)
	}
	j := NewJWT(conf, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = j.Run(ctx) })
	defer wg.Wait()
	defer stop()

	oldToken := token(t, jwt.SigningMethodES256, "old", oldKey, player())
	newToken := token(t, jwt.SigningMethodES256, "new", newKey, player())
	for j.set.keys.Load() == nil { // until the first fetch is over
		<-time.After(time.Millisecond)
	}
	if _, err := decideJWT(j, session.Play, "live/a", oldToken); err != nil {
		t.Fatal(err)
	}
	both := keySetOf(t, jwk(t, "old", &oldKey.PublicKey), jwk(t, "new", &newKey.PublicKey))
	answer.Store(&both)
	n := fetches.Load()
	if _, err := decideJWT(j, session.Play, "live/a", newToken); err != nil {
		t.Fatal("a key that is new in the set:", err)
	}
	if fetches.Load() != n+1 {
		t.Errorf("%d fetches", fetches.Load()-n)
	}
	unknown := token(t, jwt.SigningMethodES256, "unknown", newKey, player())
	n = fetches.Load()
	begun := time.Now() // a moment after the fetch: nobody waits for another one
	for range 50 {
		if _, err := decideJWT(j, session.Play, "live/a", unknown); session.ReasonOf(err) != session.BadKey {
			t.Fatal(err)
		}
	}
	if took := time.Since(begun); took > unknownWait/2 {
		t.Errorf("tokens with unknown keys wait for a fetch that is over: %v", took)
	}
	if fetches.Load() != n {
		t.Errorf("%d fetches within a minute", fetches.Load()-n)
	}
	// It fails, and then hangs.
	failing := []byte{}
	for _, a := range []*[]byte{&failing, nil} {
		answer.Store(a)
		j.set.mu.Lock()
		j.set.unknown = time.Time{}
		fetched := j.set.fetched
		j.set.mu.Unlock()
		waiting := make(chan error, 1)
		go func() {
			_, err := decideJWT(j, session.Play, "live/a", unknown)
			waiting <- err
		}()
		for range 100 {
			if _, err := decideJWT(j, session.Play, "live/a", oldToken); err != nil {
				t.Fatal(err)
			}
		}
		if a != nil {
			<-fetched
		}
		if err := <-waiting; session.ReasonOf(err) != session.BadKey {
			t.Error(err)
		}
	}
}

func TestKeySetsThatAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "<html>", "no set": `{}`, "empty": `{"keys":[]}`, "no list": `{"keys":5}`,
		"nothing to check with": `{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","use":"enc","n":"AQAB","e":"AQAB"},5]}`,
	} {
		if _, n, _, err := parseKeySet([]byte(text)); err == nil {
			t.Errorf("%s: %d keys", name, n)
		}
	}
	set := newKeySet(filepath.Join(t.TempDir(), "none"), time.Hour, slog.New(slog.DiscardHandler))
	if err := set.fetch(context.Background()); err == nil {
		t.Error("a file that is not there")
	}
	large := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(" ", 1<<20)))
	}))
	defer large.Close()
	set = newKeySet(large.URL, time.Hour, slog.New(slog.DiscardHandler))
	if err := set.fetch(context.Background()); err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Error(err)
	}
	moved := httptest.NewServer(http.RedirectHandler(large.URL, http.StatusFound))
	defer moved.Close()
	set = newKeySet(moved.URL, time.Hour, slog.New(slog.DiscardHandler))
	if err := set.fetch(context.Background()); err == nil || !strings.Contains(err.Error(), "302") {
		t.Error(err)
	}
}

func TestJWTConfig(t *testing.T) {
	for _, c := range []struct{ jwks, secret, claim, want string }{
		{"https://id.example.org/jwks.json", "", "weir", ""},
		{"http://127.0.0.1:8080/jwks", "", "weir", ""},
		{"http://[::1]/jwks", "", "weir", ""},
		{"http://localhost/jwks", "", "weir", ""},
		{"/etc/weir/jwks.json", "", "weir", ""},
		{"", jwtSecret, "weir", ""},
		{"", jwtSecret[1:], "weir", "a secret of fewer than 32 characters"},
		{"http://id.example.org/jwks", "", "weir", "use https"},
		{"http://localhost.example.org/jwks", "", "weir", "use https"},
		{"ftp://id.example.org/jwks", "", "weir", `found "ftp"`},
		{"https:///jwks", "", "weir", "this is no URL"},
		{"https://u:hunter2@id.example.org/", "", "weir", "a URL without user and password"},
		{"", jwtSecret, "", "the name of a claim"},
	} {
		conf := DefaultJWTConfig()
		conf.JWKS, conf.Secret, conf.Claim = c.jwks, c.secret, c.claim
		if err := conf.Validate(); (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	var conf struct {
		JWT JWTConfig `yaml:"jwt"`
	}
	config.SetDefaults(&conf)
	if _, err := config.Load(&conf, config.Source{Data: []byte("jwt: {refresh: 59s}\n")}); err == nil || !strings.Contains(err.Error(), "from 1m to 24h") {
		t.Error(err)
	}
}

func FuzzToken(f *testing.F) {
	conf := DefaultJWTConfig()
	conf.Secret = jwtSecret
	j := NewJWT(conf, slog.New(slog.DiscardHandler))
	good := token(f, jwt.SigningMethodHS256, "", []byte(jwtSecret), player())
	f.Add(good, "live/a")
	f.Add("ey..", "live/a")
	f.Fuzz(func(t *testing.T, text, path string) {
		terms, _ := decideJWT(j, session.Play, path, text)
		if terms != nil && text != good {
			t.Fatalf("%q", text)
		}
	})
}

// TestNoKeySetYet: while there was no key set, a token is nobody's fault: it may be shown again later.
func TestNoKeySetYet(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	nobody := httptest.NewServer(http.NotFoundHandler())
	defer nobody.Close()
	conf := DefaultJWTConfig()
	conf.JWKS = nobody.URL
	if err := conf.Validate(); err != nil {
		t.Fatal(err)
	}
	j := NewJWT(conf, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = j.Run(ctx) })
	defer wg.Wait()
	defer stop()
	if _, err := decideJWT(j, session.Play, "live/a", token(t, jwt.SigningMethodES256, "a", key, player())); session.ReasonOf(err) != session.Timeout {
		t.Error(err)
	}
}
