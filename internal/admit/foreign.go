package admit

import (
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // nginx's choice
	"crypto/sha1" //nolint:gosec // OvenMediaEngine's choice
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/config"
	"weir/internal/session"
)

// The links that others sign are bound to a URL as the peer wrote it, which the server may not see as it was: a proxy
// changes its scheme, host and port, and a player asks for a file below it. So a link is tried with each URL that may
// be meant, all of which are of the one stream that is asked for.

// foreign checks links that were signed by the scheme of another server. It does not change.
type foreign struct {
	role       session.Role
	keys       []SigningKey
	urls       []string
	expression expression // of secure_link; nil: the scheme is OvenMediaEngine's
}

// foreign reports whether the scheme is another server's.
func (c *SignedConfig) foreign() bool { return c.Scheme == schemeOME || c.Scheme == schemeSecureLink }

// Admits reports whether links may admit to a role: those that do not name one admit to a single one.
func (c *SignedConfig) Admits(role session.Role) bool { return !c.foreign() || c.Role == role.String() }

func newForeign(c *SignedConfig) *foreign {
	if !c.foreign() {
		return nil
	}
	f := &foreign{role: session.Play, keys: c.Keys, urls: c.URLs}
	if c.Role == session.Publish.String() {
		f.role = session.Publish
	}
	if c.Scheme == schemeSecureLink {
		f.expression, _ = parseExpression(c.Expression) // it is valid
	}
	return f
}

// validateForeign says what is wrong with the keys of other servers' schemes.
func (c *SignedConfig) validateForeign() error {
	if len(c.URLs) > maxSignedURLs {
		return config.Errorf(&c.URLs, "more than %d URLs", maxSignedURLs)
	}
	for i := range c.URLs {
		u, err := url.Parse(c.URLs[i])
		if err != nil || u.Scheme == "" || u.Host == "" || u.RawQuery != "" || u.User != nil {
			return config.Errorf(&c.URLs[i], "this is no beginning of a URL: write scheme://HOST:PORT")
		}
	}
	if c.Scheme == schemeSecureLink {
		if _, err := parseExpression(c.Expression); err != nil {
			return config.Errorf(&c.Expression, "%w", err)
		}
	}
	return nil
}

// decide is a Link for requests whose query was signed.
func (f *foreign) decide(r *Request, now time.Time) (*session.Terms, error) {
	given := param(r.RawQuery, "signature")
	if f.expression != nil {
		given = param(r.RawQuery, "md5")
	}
	if given == "" {
		return nil, nil //nolint:nilnil // it passes
	}
	if r.Role != f.role {
		return nil, &Error{Shown: aLink, Reason: session.Denied, Role: r.Role, Detail: "the link is for another role (auth.signed.role)"}
	}
	sig, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(given, "="))
	if err != nil {
		return nil, &Error{Shown: aLink, Reason: session.BadKey, Role: r.Role, Detail: "the link has a signature that is none", guess: true}
	}
	if f.expression != nil {
		return f.decideSecureLink(r, sig, now)
	}
	return f.decideOME(r, sig, now)
}

// wrong is the error of a link that nobody has signed so.
func wrong(r *Request) error {
	return &Error{Shown: aLink, Reason: session.BadKey, Role: r.Role, Detail: "the link was changed, or was signed for another URL or with another key", guess: true}
}

// timed says what is wrong with the times of a link that was signed.
func timed(r *Request, now, from, expires, until time.Time) error {
	switch {
	case now.After(expires.Add(signingSkew)), !until.IsZero() && !now.Before(until):
		return &Error{Shown: aLink, Reason: session.Expired, Role: r.Role, Detail: "the link has run out"}
	case now.Before(from.Add(-signingSkew)):
		return &Error{Shown: aLink, Reason: session.Denied, Role: r.Role, Detail: "the link is not valid yet"}
	}
	return nil
}

// maxPolicy is the longest policy of OvenMediaEngine, in bytes.
const maxPolicy = 1024

// policy is what a link of OvenMediaEngine says: times in milliseconds since 1970, and ranges of addresses.
type policy struct {
	URLExpire    int64  `json:"url_expire"`
	URLActivate  int64  `json:"url_activate,omitempty"`
	StreamExpire int64  `json:"stream_expire,omitempty"`
	AllowIP      string `json:"allow_ip,omitempty"`
	RealIP       string `json:"real_ip,omitempty"`
}

// decideOME checks a link whose signature is the HMAC-SHA1 of its whole URL up to the signature.
func (f *foreign) decideOME(r *Request, sig []byte, now time.Time) (*session.Terms, error) {
	text := param(r.RawQuery, "policy")
	if len(text) > maxPolicy {
		return nil, &Error{Shown: aLink, Reason: session.TooLarge, Role: r.Role, Detail: fmt.Sprintf("the link has a policy of more than %d bytes", maxPolicy)}
	}
	key := f.signer(r, text, sig)
	if key == nil {
		return nil, wrong(r)
	}
	var p policy
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	const most = maxUnix * 1000
	if err != nil || p.URLExpire <= 0 || max(p.URLExpire, p.URLActivate, p.StreamExpire) > most || min(p.URLActivate, p.StreamExpire) < 0 {
		return nil, &Error{Shown: aLink, Reason: session.Denied, Role: r.Role, Detail: "the link is signed, but its policy is not understood"}
	}
	var until time.Time
	if p.StreamExpire > 0 {
		until = time.UnixMilli(p.StreamExpire)
	}
	if err := timed(r, now, time.UnixMilli(p.URLActivate), time.UnixMilli(p.URLExpire), until); err != nil {
		return nil, err
	}
	nearest := r.Remote.Addr() // which connects: a proxy, if there is one
	if n := len(r.Via); n > 0 {
		nearest = r.Via[n-1]
	}
	for _, a := range []struct {
		allowed string
		addr    netip.Addr
	}{{p.AllowIP, nearest}, {p.RealIP, r.Remote.Addr()}} {
		if a.allowed == "" {
			continue
		}
		allowed, err := ParseAddresses(a.allowed)
		if err != nil || !config.Contains([]netip.Prefix{allowed}, a.addr) {
			return nil, &Error{Shown: aLink, Reason: session.Address, Role: r.Role, Detail: "the link was signed for another address"}
		}
	}
	return &session.Terms{By: BySigned, KeyID: key.ID, Until: until}, nil
}

// signer returns the key by which one of the URLs that a request may mean was signed, nil if there is none.
func (f *foreign) signer(r *Request, policy string, sig []byte) *SigningKey {
	queries := []string{"policy=" + policy}
	parts := slices.DeleteFunc(strings.Split(r.RawQuery, "&"), func(p string) bool { return strings.HasPrefix(p, "signature=") })
	if all := strings.Join(parts, "&"); all != queries[0] {
		queries = append(queries, all)
	}
	for _, base := range f.bases(r) {
		for _, path := range pathsOf(r) {
			for _, query := range queries {
				for i := range f.keys {
					if hmac.Equal(signOME(f.keys[i].Secret, base+path+"?"+query), sig) {
						return &f.keys[i]
					}
				}
			}
		}
	}
	return nil
}

func signOME(secret, text string) []byte {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// usualPorts are those that clients leave out.
var usualPorts = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443", "rtmp": "1935", "rtmps": "443"}

// bases returns what may come before the path in the URL that a peer asked for.
func (f *foreign) bases(r *Request) []string {
	list := f.urls
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" {
		return list
	}
	schemes := []string{u.Scheme}
	if strings.HasPrefix(u.Scheme, "http") { // a proxy may have taken TLS off, and a WebSocket begins as HTTP
		schemes = []string{"http", "https", "ws", "wss"}
	}
	for _, scheme := range schemes {
		base := scheme + "://" + u.Host
		list = append(list[:len(list):len(list)], base)
		if port := usualPorts[scheme]; u.Port() == "" && port != "" {
			list = append(list, scheme+"://"+net.JoinHostPort(u.Hostname(), port))
		}
	}
	return list
}

// pathsOf returns the paths that a signer may have written for what a request asks for.
func pathsOf(r *Request) []string {
	paths := []string{"/" + r.Path}
	u, err := url.Parse(r.URL)
	if err != nil || u.Path == "" || u.Path == paths[0] || !strings.HasPrefix(u.Path, paths[0]) {
		return paths
	}
	paths = append(paths, u.Path)
	// Where a playlist has a folder of its own, its short form leads to it.
	if folder, ext, ok := strings.Cut(u.Path[len(paths[0]):], "/index."); ok && folder == "" {
		paths = append(paths, paths[0]+"."+ext)
	}
	return paths
}

// decideSecureLink checks a link whose signature is the MD5 of an expression.
func (f *foreign) decideSecureLink(r *Request, sig []byte, now time.Time) (*session.Terms, error) {
	expires := param(r.RawQuery, "expires")
	for _, path := range pathsOf(r) {
		for i := range f.keys {
			sum := f.expression.sum(r, path, expires, f.keys[i].Secret)
			if !hmac.Equal(sum[:], sig) {
				continue
			}
			end, err := unixTime(expires)
			if err != nil || end.IsZero() {
				return nil, &Error{Shown: aLink, Reason: session.Denied, Role: r.Role, Detail: "the link is signed, but does not say when it runs out"}
			}
			if err := timed(r, now, time.Time{}, end, time.Time{}); err != nil {
				return nil, err
			}
			return &session.Terms{By: BySigned, KeyID: f.keys[i].ID}, nil
		}
	}
	return nil, wrong(r)
}

// expression is what is hashed: texts, and variables, which begin with $.
type expression []string

// maxExpression bounds an expression, in bytes.
const maxExpression = 512

func parseExpression(text string) (expression, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("an expression of more than %d bytes", maxExpression)
	}
	var e expression
	for text != "" {
		before, rest, ok := strings.Cut(text, "$")
		if before != "" {
			e = append(e, before)
		}
		if !ok {
			break
		}
		n := strings.IndexFunc(rest, func(c rune) bool {
			return c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9')
		})
		name, after := rest, ""
		switch {
		case strings.HasPrefix(rest, "{"):
			if name, after, ok = strings.Cut(rest[1:], "}"); !ok {
				return nil, errors.New("a { that is not closed")
			}
		case n >= 0:
			name, after = rest[:n], rest[n:]
		}
		if !slices.Contains([]string{"secure_link_expires", "uri", "remote_addr", "app", "name", "secret"}, name) && !strings.HasPrefix(name, "arg_") {
			return nil, fmt.Errorf("the variable $%s is not known here; there are $secure_link_expires, $uri, $remote_addr, $app, $name, $arg_… and $secret", name)
		}
		e, text = append(e, "$"+name), after
	}
	for _, needed := range [][]string{{"$secret"}, {"$secure_link_expires", "$arg_expires"}, {"$uri", "$name"}} {
		if !slices.ContainsFunc(needed, func(n string) bool { return slices.Contains(e, n) }) {
			return nil, fmt.Errorf("%s is missing: without it anybody could make or change links", needed[0])
		}
	}
	return e, nil
}

// sum returns the hash of a request for a path.
func (e expression) sum(r *Request, path, expires, secret string) [md5.Size]byte {
	return md5.Sum([]byte(e.text(r, path, expires, secret))) //nolint:gosec // as above
}

// text returns what is hashed.
func (e expression) text(r *Request, path, expires, secret string) string {
	app, name, _ := strings.Cut(r.Path, "/")
	var b strings.Builder
	for _, part := range e {
		variable, ok := strings.CutPrefix(part, "$")
		if !ok {
			b.WriteString(part)
			continue
		}
		switch arg, isArg := strings.CutPrefix(variable, "arg_"); {
		case isArg:
			b.WriteString(param(r.RawQuery, arg))
		case variable == "secure_link_expires":
			b.WriteString(expires)
		case variable == "uri":
			b.WriteString(path)
		case variable == "remote_addr":
			b.WriteString(r.Remote.Addr().Unmap().WithZone("").String())
		case variable == "app":
			b.WriteString(app)
		case variable == "name":
			b.WriteString(name)
		case variable == "secret":
			b.WriteString(secret)
		}
	}
	return b.String()
}

// SignLink returns the query of a link to target, by the scheme of the configuration: ours takes a path, as Signed has it,
// which it sets; that of OvenMediaEngine takes a whole URL, and secure_link the path of a URL.
func (c *SignedConfig) SignLink(k *SigningKey, s *Signed, target string) (string, error) {
	switch c.Scheme {
	case schemeOME:
		return k.signOME(s, target)
	case schemeSecureLink:
		return k.signSecureLink(s, target, c.Expression)
	}
	if err := CheckSignedPath(target); err != nil {
		return "", err
	}
	s.Path = target
	return k.Sign(s), nil
}

func (k *SigningKey) signOME(s *Signed, target string) (string, error) {
	u, err := url.Parse(target)
	if err != nil || u.Host == "" || u.Port() == "" || strings.Trim(u.Path, "/") == "" || u.RawQuery != "" {
		return "", fmt.Errorf("%q is not what this scheme signs, a whole URL with its port: rtmp://HOST:1935/app/name, https://HOST:443/app/name.m3u8", target)
	}
	p := policy{URLExpire: s.Expires.UnixMilli()}
	if !s.NotBefore.IsZero() {
		p.URLActivate = s.NotBefore.UnixMilli()
	}
	if !s.Until.IsZero() {
		p.StreamExpire = s.Until.UnixMilli()
	}
	if s.Addresses.IsValid() {
		p.RealIP = s.Addresses.String()
	}
	b, err := json.Marshal(&p)
	if err != nil {
		return "", err
	}
	query := "policy=" + base64.RawURLEncoding.EncodeToString(b)
	return query + "&signature=" + base64.RawURLEncoding.EncodeToString(signOME(k.Secret, target+"?"+query)), nil
}

func (k *SigningKey) signSecureLink(s *Signed, target, text string) (string, error) {
	e, err := parseExpression(text)
	if err != nil {
		return "", err
	}
	path := "/" + strings.Trim(target, "/")
	name := strings.Trim(target, "/")
	if err := CheckPattern(name); err != nil || strings.Contains(name, "*") || !strings.Contains(name, "/") {
		return "", fmt.Errorf("%q is not what this scheme signs, the path of a URL: /app/name.m3u8", target)
	}
	r := &Request{Path: strings.TrimPrefix(path, "/")}
	if slices.Contains(e, "$remote_addr") {
		if !s.Addresses.IsValid() || !s.Addresses.IsSingleIP() {
			return "", errors.New("auth.signed.expression has $remote_addr: say for which address, with --ip 203.0.113.7/32")
		}
		r.Remote = netip.AddrPortFrom(s.Addresses.Addr(), 0)
	}
	if !s.NotBefore.IsZero() || !s.Until.IsZero() {
		return "", errors.New("links of this scheme run out, and no more: leave out when they begin and when sessions end")
	}
	expires := strconv.FormatInt(s.Expires.Unix(), 10)
	r.RawQuery = "expires=" + expires
	sum := e.sum(r, path, expires, k.Secret)
	return "md5=" + base64.RawURLEncoding.EncodeToString(sum[:]) + "&expires=" + expires, nil
}
