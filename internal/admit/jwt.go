package admit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"weir/internal/config"
	"weir/internal/session"
)

// JWTConfig is the section "auth.jwt": tokens that somebody else's service makes.
type JWTConfig struct {
	JWKS     string        `yaml:"jwks" help:"where the keys are that tokens are signed with, as a JSON Web Key Set: an https URL, http on this machine, or a file"`
	Refresh  time.Duration `yaml:"refresh" min:"1m" max:"24h" help:"how often the key set is fetched; it is also fetched, once a minute at most, when a token names a key that is not in it; if it cannot be fetched, the last one stays"`
	Secret   string        `yaml:"secret" secret:"true" help:"key of tokens that are signed with HS256, HS384 or HS512, at least 32 characters; empty refuses them"`
	Issuer   string        `yaml:"issuer" help:"iss that tokens must have; empty asks for none"`
	Audience string        `yaml:"audience" help:"aud that tokens must have; empty asks for none"`
	Claim    string        `yaml:"claim" help:"claim that lists what its bearer may do: a list of {action: publish or play, path: a pattern as in match}; mediamtx_permissions, as MediaMTX has it, is understood too"`
	// EndPublishers is whether publishers, too, end when their token does.
	EndPublishers bool `yaml:"end_publishers" help:"end publishers, too, when their token runs out, not players alone; without it the log says that it has run out"`
}

// DefaultJWTConfig is without keys, and so admits nobody.
func DefaultJWTConfig() JWTConfig { return JWTConfig{Refresh: time.Hour, Claim: "weir"} }

// SetDefaults implements config.Defaulter.
func (c *JWTConfig) SetDefaults() { *c = DefaultJWTConfig() }

// Enabled reports whether tokens can be checked.
func (c *JWTConfig) Enabled() bool { return c.JWKS != "" || c.Secret != "" }

// minJWTSecret is the length in bytes that HS256 asks for (RFC 7518 §3.2).
const minJWTSecret = 32

// Validate implements config.Validator.
func (c *JWTConfig) Validate() error {
	if c.Secret != "" && len(c.Secret) < minJWTSecret {
		return config.Errorf(&c.Secret, "a secret of fewer than %d characters can be guessed", minJWTSecret)
	}
	if c.Claim == "" {
		return config.Errorf(&c.Claim, "the name of a claim, such as weir")
	}
	if scheme, _, ok := strings.Cut(c.JWKS, "://"); ok {
		u, err := url.Parse(c.JWKS)
		switch {
		case err != nil || u.Host == "":
			return config.Errorf(&c.JWKS, "this is no URL")
		case scheme == "https":
		case scheme != "http":
			return config.Errorf(&c.JWKS, "a URL with https, or a file; found %.20q", scheme)
		case !isLoopbackName(u.Hostname()):
			return config.Errorf(&c.JWKS, "keys by http from another machine could be anybody's: use https")
		}
		if u.User != nil {
			return config.Errorf(&c.JWKS, "a URL without user and password")
		}
	}
	return nil
}

const (
	// maxToken is the longest token, in bytes. It bounds how many entries the claim has, too.
	maxToken = 4 << 10
	// jwtLeeway is by how much the clocks of who makes tokens and of the server may differ.
	jwtLeeway = 30 * time.Second
	// maxRegexp is the length of a regular expression in a token, in bytes.
	maxRegexp = 255
)

// The algorithms, in the order of RFC 7518; never none.
var (
	asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	symmetric  = []string{"HS256", "HS384", "HS512"}
)

// mediaMTXClaim is the claim of MediaMTX's tokens.
const mediaMTXClaim = "mediamtx_permissions"

// JWT decides by tokens. It is a Link, and Run keeps its keys current.
type JWT struct {
	conf   JWTConfig
	set    *keySet // nil: tokens with a secret alone
	parser *jwt.Parser
}

// NewJWT returns a JWT, which knows the keys once Run or Load has fetched them.
func NewJWT(conf JWTConfig, log *slog.Logger) *JWT {
	j := &JWT{conf: conf}
	var methods []string
	if conf.Secret != "" {
		methods = append(methods, symmetric...)
	}
	if conf.JWKS != "" {
		methods = append(methods, asymmetric...)
		j.set = newKeySet(conf.JWKS, conf.Refresh, log)
	}
	opts := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithLeeway(jwtLeeway), jwt.WithStrictDecoding(),
	}
	if conf.Issuer != "" {
		opts = append(opts, jwt.WithIssuer(conf.Issuer))
	}
	if conf.Audience != "" {
		opts = append(opts, jwt.WithAudience(conf.Audience))
	}
	j.parser = jwt.NewParser(opts...)
	return j
}

// Run fetches the keys, again and again, until ctx ends.
func (j *JWT) Run(ctx context.Context) error {
	if j.set != nil {
		j.set.run(ctx)
	}
	return nil
}

// tokenOf returns the token that a peer has shown, from wherever it may be.
func tokenOf(r *Request) string {
	for _, t := range []string{
		r.Credential.Token, r.Credential.Secret,
		param(r.RawQuery, "token"), param(r.RawQuery, "jwt"), param(r.RawQuery, "access_token"), param(r.RawQuery, "pass"),
	} {
		if isToken(t) {
			return t
		}
	}
	return ""
}

// isToken reports whether a text has the form of a token: three parts, of which the first is a JSON object.
func isToken(t string) bool { return strings.HasPrefix(t, "ey") && strings.Count(t, ".") == 2 }

// claims are what is read of a token.
type claims struct {
	jwt.RegisteredClaims
	all map[string]json.RawMessage
}

// registered are the claims of RFC 7519 §4.1 by their names; those of times are true.
var registered = map[string]bool{"iss": false, "sub": false, "aud": false, "jti": false, "exp": true, "nbf": true, "iat": true}

// maxDate is the last second of the year 9999: later ones overflow what they are compared with.
const maxDate = 253402300799

// UnmarshalJSON implements json.Unmarshaler. The names of claims are exact: encoding/json by itself would take "Exp" for
// "exp", which a user may have been let choose.
func (c *claims) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &c.all); err != nil {
		return err
	}
	exact := map[string]json.RawMessage{}
	for name, isTime := range registered {
		v, ok := c.all[name]
		if !ok {
			continue
		}
		if isTime {
			var t float64
			if err := json.Unmarshal(v, &t); err != nil || t < 0 || t > maxDate {
				return fmt.Errorf("%s is no time", name)
			}
		}
		exact[name] = v
	}
	text, err := json.Marshal(exact)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, &c.RegisteredClaims)
}

// Decide implements Link.
func (j *JWT) Decide(ctx context.Context, r *Request) (*session.Terms, error) {
	text := tokenOf(r)
	if text == "" {
		return nil, nil //nolint:nilnil // it passes
	}
	no := func(why string, reason session.Reason) (*session.Terms, error) {
		return nil, &Error{Shown: aToken, Reason: reason, Role: r.Role, Detail: "the token " + why}
	}
	if len(text) > maxToken {
		return no(fmt.Sprintf("is longer than %d bytes", maxToken), session.TooLarge)
	}
	var c claims
	token, err := j.parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) { return j.key(ctx, t) })
	if err != nil {
		e := &Error{Shown: aToken, Reason: session.BadKey, Role: r.Role}
		e.Detail, e.Reason, e.guess = whatIsWrong(err)
		e.Detail = "the token " + e.Detail
		return nil, e
	}
	allowed, err := j.allows(&c, r)
	switch {
	case err != nil:
		return no("has a claim that is not understood: "+err.Error(), session.Denied)
	case !allowed:
		return no("is not for this stream", session.Denied)
	}
	kid, _ := token.Header["kid"].(string)
	terms := &session.Terms{By: ByJWT, User: session.Printable(c.Subject, maxTermText), KeyID: session.Printable(c.ID, maxTermText)}
	if terms.KeyID == "" {
		terms.KeyID = session.Printable(kid, maxTermText)
	}
	if r.Role == session.Play || j.conf.EndPublishers {
		terms.Until = c.ExpiresAt.Time
	} else {
		terms.Warn = c.ExpiresAt.Time
	}
	return terms, nil
}

// maxTermText bounds what is kept of a token's texts, in bytes.
const maxTermText = 128

// key returns the key with which a token is to be checked.
func (j *JWT) key(ctx context.Context, t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errCritical
	}
	if slices.Contains(symmetric, t.Method.Alg()) {
		return []byte(j.conf.Secret), nil // the parser lets these through only if there is a secret
	}
	return j.set.key(ctx, t)
}

// errCritical refuses a token that says that it must not be taken by who does not know its extensions, of which we know
// none (RFC 7515 §4.1.11).
var errCritical = errors.New("the token has critical extensions")

// whatIsWrong says what is wrong with a token, without showing any of it.
func whatIsWrong(err error) (why string, reason session.Reason, guess bool) {
	for _, c := range []struct {
		err    error
		why    string
		reason session.Reason
		guess  bool
	}{
		{errNoKeys, "cannot be checked: the key set could not be fetched so far", session.Timeout, false},
		{errCritical, "has critical extensions (crit), of which none is known here", session.BadKey, false},
		{errUnknownKey, "was signed with a key that is not in the key set", session.BadKey, false},
		{jwt.ErrTokenMalformed, "is not a JSON Web Token, or was cut short on its way", session.BadKey, true},
		{jwt.ErrTokenExpired, "has run out", session.Expired, false},
		{jwt.ErrTokenNotValidYet, "is not valid yet", session.Denied, false},
		{jwt.ErrTokenInvalidIssuer, "was issued by someone other than auth.jwt.issuer", session.Denied, false},
		{jwt.ErrTokenInvalidAudience, "is for another audience", session.Denied, false},
		{jwt.ErrTokenRequiredClaimMissing, "has no time at which it runs out (exp), or another claim is missing that auth.jwt asks for", session.Denied, false},
		{jwt.ErrTokenSignatureInvalid, "has a wrong signature, or one of a kind that is not allowed", session.BadKey, true},
		{jwt.ErrTokenUnverifiable, "was signed with a key that does not fit its algorithm", session.BadKey, false},
	} {
		if errors.Is(err, c.err) {
			return c.why, c.reason, c.guess
		}
	}
	return "is not valid", session.BadKey, true
}

// permission is one entry of the claim.
type permission struct {
	Action string `json:"action"`
	Path   string `json:"path"`
}

// allows reports whether the claims allow what is asked for. Without the claim, ours or MediaMTX's,
// they allow nothing.
func (j *JWT) allows(c *claims, r *Request) (bool, error) {
	raw, own := c.all[j.conf.Claim]
	if !own {
		if raw = c.all[mediaMTXClaim]; raw == nil {
			return false, nil
		}
	}
	own = own && j.conf.Claim != mediaMTXClaim
	var inText string
	if json.Unmarshal(raw, &inText) == nil { // some identity servers have texts alone
		raw = json.RawMessage(inText)
	}
	var list []permission
	if err := json.Unmarshal(raw, &list); err != nil {
		return false, errors.New("it is no list of actions and paths")
	}
	for _, p := range list {
		switch p.Action {
		case "publish":
			if r.Role != session.Publish {
				continue
			}
		case "play", "read":
			if r.Role != session.Play {
				continue
			}
		default:
			continue
		}
		if fits, err := fitsPermission(p.Path, r.Path, own); fits || err != nil {
			return fits, err
		}
	}
	return false, nil
}

// fitsPermission reports whether the path of a permission fits a stream's: none fits all in MediaMTX's claim and nothing
// in ours, what begins with ~ is a regular expression, and the rest is a pattern in our claim and a path in MediaMTX's.
func fitsPermission(want, path string, own bool) (bool, error) {
	if want == "" {
		return !own, nil
	}
	if text, ok := strings.CutPrefix(want, "~"); ok {
		if len(text) > maxRegexp {
			return false, fmt.Errorf("a regular expression has more than %d bytes", maxRegexp)
		}
		re, err := regexp.Compile(text)
		if err != nil {
			return false, errors.New("a regular expression is wrong")
		}
		return re.MatchString(path), nil
	}
	want = strings.Trim(want, "/")
	if !own {
		return want == path, nil
	}
	if err := CheckPattern(want); err != nil {
		return false, fmt.Errorf("a pattern %w", err)
	}
	return matchSegments(strings.Split(want, "/"), path), nil
}
