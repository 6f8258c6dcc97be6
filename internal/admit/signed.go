package admit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"weir/internal/config"
	"weir/internal/session"
)

// SignedConfig is the section "auth.signed": links that "weir sign", or a program of yours, has signed.
type SignedConfig struct {
	Scheme string `yaml:"scheme" enum:"weir,ome,secure_link" help:"how links are signed: weir is ours; ome is OvenMediaEngine's SignedPolicy, ?policy=…&signature=…; secure_link is nginx's, ?md5=…&expires=…"`
	// Role is what links admit to that do not say so: those of other servers' schemes.
	Role string `yaml:"role" enum:"play,publish" help:"what links of the schemes ome and secure_link admit to, which do not say so themselves"`
	// URLs are those under which peers know the server, where what reaches it is another one.
	URLs []string `yaml:"urls" help:"with the scheme ome: the beginnings of signed URLs, such as https://cdn.example.com:443, where a proxy or a mapped port hides from the server what the peer asked for; a port is written out even if it is the usual one"`
	// Expression is what nginx calls secure_link_md5.
	Expression string       `yaml:"expression" help:"with the scheme secure_link: what is hashed, nginx's secure_link_md5 with $secret in the place of the secret; it may hold $secure_link_expires, $uri, $remote_addr, $app, $name and $arg_… for parts of the query"`
	Keys       []SigningKey `yaml:"keys" help:"keys with which links are signed, as weir sign does with the first; several, so that one can replace another"`
}

// The schemes by which links are signed, beside ours.
const (
	schemeOME        = "ome"
	schemeSecureLink = "secure_link"
)

// SetDefaults implements config.Defaulter.
func (c *SignedConfig) SetDefaults() {
	*c = SignedConfig{Scheme: "weir", Role: "play", URLs: []string{}, Expression: "$secure_link_expires$uri$remote_addr $secret", Keys: []SigningKey{}}
}

// SigningKey is a key with which links are signed.
type SigningKey struct {
	// ID is in each link.
	ID string `yaml:"id" help:"name of the key, which is in each link: up to 32 letters, digits, - _ and ."`
	// Secret has 16 to 255 bytes.
	Secret string `yaml:"secret" secret:"true" help:"the key itself, at least 16 characters; weir token makes one; with the schemes of other servers one that is in use there, of at least 6"`
}

// The bounds of signing keys, in bytes and in number.
const (
	minSigningKey  = 16
	minForeignKey  = 6 // of another server's scheme: it may be in use already
	maxSigningID   = 32
	maxSigningKeys = 100
	maxForeignKeys = 8 // which are all tried: these links do not name theirs
	maxSignedURLs  = 16
)

// Validate implements config.Validator.
func (c *SignedConfig) Validate() error {
	most, least := maxSigningKeys, minSigningKey
	if c.foreign() {
		most, least = maxForeignKeys, minForeignKey
	}
	if len(c.Keys) > most {
		return config.Errorf(&c.Keys, "more than %d keys", most)
	}
	if err := c.validateForeign(); err != nil {
		return err
	}
	ids := map[string]bool{}
	for i := range c.Keys {
		k := &c.Keys[i]
		switch err := checkID(k.ID); {
		case err != nil || len(k.ID) > maxSigningID:
			return config.Errorf(&k.ID, "an id has 1 to %d letters, digits, dots, hyphens and underscores", maxSigningID)
		case ids[k.ID]:
			return config.Errorf(&k.ID, "two keys with the id %q", k.ID)
		case len(k.Secret) < least || len(k.Secret) > maxKey:
			return config.Errorf(&k.Secret, "a signing key has %d to %d characters; `weir token` makes one", least, maxKey)
		}
		ids[k.ID] = true
	}
	return nil
}

// signingSkew is by how much the clocks of who signs and of the server may differ.
const signingSkew = 30 * time.Second

// Signed is what a link says.
type Signed struct {
	Role session.Role // Publish or Play
	// Path is the stream; app/** is every stream below app.
	Path string
	// Expires is when the link stops admitting peers. Sessions that it has admitted go on.
	Expires time.Time
	// NotBefore is when the link begins to admit; zero for at once.
	NotBefore time.Time
	// Addresses are those from which it may be used; an invalid prefix is all.
	Addresses netip.Prefix
	// Until is when sessions that it admitted end; zero for no end.
	Until time.Time
}

// Sign returns the query of a link, at most 200 characters, which admits whoever shows it as s says.
func (k *SigningKey) Sign(s *Signed) string {
	q := &linkQuery{exp: unixText(s.Expires), nbf: unixText(s.NotBefore), until: unixText(s.Until)}
	if s.Addresses.IsValid() {
		q.ip = s.Addresses.String()
	}
	var b strings.Builder
	for _, p := range q.parts() {
		if p.value != "" {
			b.WriteString(p.name + "=" + p.value + "&")
		}
	}
	sum := q.mac(k.Secret, s.Role, s.Path)
	return b.String() + "kid=" + k.ID + "&sig=" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func unixText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.Unix(), 10)
}

// linkQuery is the part of a link's query that is signed, as it is written.
type linkQuery struct{ exp, nbf, ip, until string }

type linkPart struct{ name, value string }

func (q *linkQuery) parts() [4]linkPart {
	return [4]linkPart{{"exp", q.exp}, {"nbf", q.nbf}, {"ip", q.ip}, {"until", q.until}}
}

// mac signs the lines "v1", the role, the path, and name=value of each part that there is, which are joined by
// line ends.
func (q *linkQuery) mac(secret string, role session.Role, path string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, []byte(secret))
	b := make([]byte, 0, 512)
	b = append(b, "v1\n"...)
	b = append(append(b, role.String()...), '\n')
	b = append(b, path...)
	for _, p := range q.parts() {
		if p.value != "" {
			b = append(append(append(append(b, '\n'), p.name...), '='), p.value...)
		}
	}
	h.Write(b)
	h.Sum(sum[:0])
	return sum
}

// verifier checks links. It does not change.
type verifier struct {
	keys    map[string]*signer
	foreign *foreign // nil: the scheme is ours
}

type signer struct {
	secret string
	id     string
}

func newVerifier(c *SignedConfig) *verifier {
	v := &verifier{keys: map[string]*signer{}}
	if c != nil {
		v.foreign = newForeign(c)
		for _, k := range c.Keys {
			v.keys[k.ID] = &signer{k.Secret, k.ID}
		}
	}
	return v
}

// maxSignedDepth is how many folders above a stream are tried for a link to all streams below one.
const maxSignedDepth = 8

// decide is a Link for requests whose query was signed.
func (v *verifier) decide(r *Request, now time.Time) (*session.Terms, error) {
	if v.foreign != nil {
		return v.foreign.decide(r, now)
	}
	given := param(r.RawQuery, "sig")
	if given == "" {
		return nil, nil //nolint:nilnil // it passes
	}
	no := func(why string, reason session.Reason) (*session.Terms, error) {
		return nil, &Error{Shown: aLink, Reason: reason, Role: r.Role, Detail: "the link " + why, guess: reason == session.BadKey}
	}
	sig, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(given, "="))
	if err != nil || len(sig) != sha256.Size {
		return no("has a malformed signature", session.BadKey)
	}
	key := v.keys[param(r.RawQuery, "kid")]
	if key == nil {
		return no("was signed with a key that this server does not have", session.BadKey)
	}
	q := &linkQuery{
		exp: param(r.RawQuery, "exp"), nbf: param(r.RawQuery, "nbf"),
		ip: param(r.RawQuery, "ip"), until: param(r.RawQuery, "until"),
	}
	if !q.signs(key.secret, r.Role, r.Path, [sha256.Size]byte(sig)) {
		return no("was changed, or was signed for another stream, role or key", session.BadKey)
	}
	// What follows is known to be what the signer wrote.
	exp, err1 := unixTime(q.exp)
	nbf, err2 := unixTime(q.nbf)
	until, err3 := unixTime(q.until)
	addresses, err4 := ParseAddresses(q.ip)
	if err := errors.Join(err1, err2, err3, err4); err != nil || exp.IsZero() {
		return no("is signed, but its exp, nbf, until or ip is wrong", session.Denied)
	}
	switch {
	case now.After(exp.Add(signingSkew)):
		return no("has run out", session.Expired)
	case !until.IsZero() && !now.Before(until):
		return no("has run out", session.Expired)
	case now.Before(nbf.Add(-signingSkew)):
		return no("is not valid yet", session.Denied)
	case addresses.IsValid() && !config.Contains([]netip.Prefix{addresses}, r.Remote.Addr()):
		return no("was signed for another address", session.Address)
	}
	return &session.Terms{By: BySigned, KeyID: key.id, Until: until}, nil
}

// signs reports whether sig is the signature of the query for a path, or for all streams of a folder above it.
func (q *linkQuery) signs(secret string, role session.Role, path string, sig [sha256.Size]byte) bool {
	sum := q.mac(secret, role, path)
	if hmac.Equal(sum[:], sig[:]) {
		return true
	}
	for range maxSignedDepth {
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			break
		}
		path = path[:i]
		if sum = q.mac(secret, role, path+"/**"); hmac.Equal(sum[:], sig[:]) {
			return true
		}
	}
	return false
}

// unixTime reads seconds since 1970; no text is no time.
func unixTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > maxUnix {
		return time.Time{}, fmt.Errorf("%.20q is no time", text)
	}
	return time.Unix(n, 0).UTC(), nil
}

// maxUnix is the year 9999.
const maxUnix = 253402300799

// ParseAddresses reads an address, or a range of them such as 203.0.113.0/24. Without a text the prefix is not valid: every address may come.
func ParseAddresses(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap().WithZone("").Prefix(a.Unmap().BitLen())
	}
	return netip.ParsePrefix(text)
}

// CheckSignedPath says what is wrong with the path of a link that is to be signed.
func CheckSignedPath(path string) error {
	folder := strings.TrimSuffix(path, "/**")
	if err := CheckPattern(path); err != nil {
		return fmt.Errorf("the path %q %w", path, err)
	}
	if strings.Contains(folder, "*") || folder == path && !strings.Contains(path, "/") {
		return fmt.Errorf("the path %q is neither a stream, app/name, nor all streams of a folder, app/**", path)
	}
	return nil
}
