package admit

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"weir/internal/config"
	"weir/internal/session"
)

// Key is a key of which a peer must give one: an entry of streams[].publish.keys and streams[].play.keys.
type Key struct {
	// ID names the key in public: in the log, the API and events. It may be empty.
	ID string `yaml:"id" help:"public name of the key, which log, API and events show; letters, digits, - _ and ."`
	// Key is the secret. Either it or Hash is set.
	Key string `yaml:"key" secret:"true" short:"true" help:"the key itself, which a peer gives as ?key=…, as a password or as a bearer token; a text in the place of the entry is this"`
	// Hash is sha256: and the SHA-256 of the key in hex, or argon2id: and the hash of a password.
	Hash  string `yaml:"hash" secret:"true" help:"instead of key: sha256: and the hash of a key of 16 random characters and more, in hex, as weir key hash prints it; or with user the hash of a password that somebody chose, argon2id:…, as weir key hash --password prints it"`
	Label string `yaml:"label" help:"what the key is for, in your words; log, API and events show it"`
	// User must come with the key then, which is a password.
	User    string    `yaml:"user" help:"user who must come with it, which makes the key a password: by HTTP Basic, ?user=…&pass=…, or the user and password of an RTMP encoder"`
	Expires time.Time `yaml:"expires" help:"from then on the key is refused, and the sessions that it admitted end; empty is never"`
	// Path is the stream that the key leads to, whatever name was asked for.
	Path string `yaml:"path" help:"stream that the key leads to, app/name; then the key may also stand in the place of the stream's name, which nobody else sees; empty is the stream that was asked for"`
}

// The bounds of what a key consists of, in bytes.
const (
	maxKey   = 255
	maxKeyID = 64
	maxLabel = 128
	maxUser  = 64
)

// validate says what is wrong with a key. Its errors show no secret.
func (k *Key) validate() error {
	switch {
	case k.Key == "" && k.Hash == "":
		return config.Errorf(k, "an empty key; for no key write keys: []")
	case k.Key != "" && k.Hash != "":
		return config.Errorf(&k.Hash, "set key or hash, not both")
	case len(k.Key) > maxKey:
		return config.Errorf(k, "a key longer than %d bytes", maxKey)
	case strings.ContainsFunc(k.Key, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return config.Errorf(k, "a key with a space or a control character")
	}
	switch {
	case isPassword(k.Hash):
		if _, err := parsePassword(k.Hash); err != nil {
			return config.Errorf(&k.Hash, "%w", err)
		}
		if k.User == "" {
			return config.Errorf(&k.Hash, "a password needs its user: set user, too")
		}
	case k.Hash != "":
		if _, err := parseDigest(k.Hash); err != nil {
			return config.Errorf(&k.Hash, "%w", err)
		}
	}
	if k.ID != "" {
		if err := checkID(k.ID); err != nil {
			return config.Errorf(&k.ID, "%w", err)
		}
	}
	if err := checkLabel(k.Label); err != nil {
		return config.Errorf(&k.Label, "%w", err)
	}
	if len(k.User) > maxUser || strings.ContainsFunc(k.User, func(r rune) bool { return r <= ' ' || r == ':' || r == 0x7f }) {
		return config.Errorf(&k.User, "a user has at most %d bytes without spaces and colons", maxUser)
	}
	if k.Path != "" {
		if err := checkPublicPath(k.Path); err != nil {
			return config.Errorf(&k.Path, "%w", err)
		}
	}
	return nil
}

// Warn implements config.Warner: a key that has run out lets nobody in.
func (k *Key) Warn() error {
	if k.Expires.IsZero() || k.Expires.After(time.Now()) {
		return nil
	}
	return config.Errorf(&k.Expires, "the key ran out on %s: nobody gets in by it", k.Expires.UTC().Format(time.RFC3339))
}

// checkID says what is wrong with the public name of a key.
func checkID(id string) error {
	if id == "" || len(id) > maxKeyID || strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		return fmt.Errorf("an id has 1 to %d letters, digits, dots, hyphens and underscores", maxKeyID)
	}
	return nil
}

func checkLabel(label string) error {
	if len(label) > maxLabel || strings.ContainsFunc(label, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("a label has at most %d bytes, all of them printable", maxLabel)
	}
	return nil
}

// checkPublicPath says what is wrong with the path of a stream that a key leads to.
func checkPublicPath(path string) error {
	if err := CheckPattern(path); err != nil {
		return fmt.Errorf("%q is no stream: it %w", path, err)
	}
	if strings.Contains(path, "*") || !strings.Contains(path, "/") {
		return fmt.Errorf("%q is no stream: write app/name", path)
	}
	return nil
}

// digest stands for a key. Digests have one length and are compared in constant time, so that the
// time tells neither a key's length nor how much of a guess was right.
type digest [sha256.Size]byte

func digestOf(key string) digest { return sha256.Sum256([]byte(key)) }

// id stands for the key in a Grant. It is never 0.
func (d *digest) id() uint64 { return binary.BigEndian.Uint64(d[:]) | 1 }

// hashPrefix says how a hash was made.
const hashPrefix = "sha256:"

// HashKey returns what may stand in the place of a key, as a hash.
func HashKey(key string) string {
	d := digestOf(key)
	return hashPrefix + hex.EncodeToString(d[:])
}

func parseDigest(s string) (digest, error) {
	text, ok := strings.CutPrefix(s, hashPrefix)
	b, err := hex.DecodeString(text)
	if !ok || err != nil || len(b) != sha256.Size {
		return digest{}, errors.New("a hash is sha256: and 64 digits in hex, as `weir key hash` prints it; that of a password, with its user, is argon2id: and the hash of a password, as `weir key hash --password` prints it")
	}
	return digest(b), nil
}

// held is a key, ready to be found.
type held struct {
	hash digest
	// password is set of a key that is found by its user; hash stands for it, and finds nothing.
	password *password
	user     string         // that must come with it; empty: any
	terms    *session.Terms // of those whom it admits
	revoked  bool
	// Of a key of a KeyStore only:
	stored *storedKey
}

// ring finds keys. It does not change.
//
// Keys are found by a hash that nobody else can compute: so the time that a look-up takes tells
// nothing about the keys, however many there are.
type ring struct {
	blind [sha256.Size]byte
	keys  map[uint64][]*held
	// passwords are the keys that are found by their users.
	passwords map[string][]*held
	size      int
	paths     bool // some key leads to a path, so that a name may be a key
}

func newRing(keys []*held) *ring {
	r := &ring{keys: make(map[uint64][]*held, len(keys)), size: len(keys)}
	_, _ = rand.Read(r.blind[:]) // never fails
	for _, k := range keys {
		if k.password != nil {
			if r.passwords == nil {
				r.passwords = map[string][]*held{}
			}
			r.passwords[k.user] = append(r.passwords[k.user], k)
			r.paths = r.paths || k.terms.Path != ""
			continue
		}
		at := r.at(&k.hash)
		r.keys[at] = append(r.keys[at], k)
		r.paths = r.paths || k.terms.Path != ""
	}
	return r
}

func (r *ring) at(d *digest) uint64 {
	var b [2 * sha256.Size]byte
	copy(b[:], r.blind[:])
	copy(b[sha256.Size:], d[:])
	sum := sha256.Sum256(b[:])
	return binary.BigEndian.Uint64(sum[:])
}

// find returns the key that was offered for a request; nil if there is none. Of several a valid one is
// preferred.
func (r *ring) find(o *offer, q *Request, now time.Time) *held {
	if r.size == 0 {
		return nil
	}
	var best *held
	for _, k := range r.keys[r.at(&o.digest)] {
		if subtle.ConstantTimeCompare(k.hash[:], o.digest[:]) != 1 || !k.fits(o, q) {
			continue
		}
		if best = k; k.refused(now) == 0 {
			return k
		}
	}
	return best
}

// leads reports whether a name is a key, valid or not, that leads to another stream than the one at path.
func (r *ring) leads(name *digest, path string) bool {
	if !r.paths {
		return false
	}
	found := false
	for _, k := range r.keys[r.at(name)] {
		found = found || subtle.ConstantTimeCompare(k.hash[:], name[:]) == 1 && k.user == "" && k.terms.Path != "" && k.terms.Path != path
	}
	return found
}

// fits reports whether a key that was offered is one for the request.
func (k *held) fits(o *offer, q *Request) bool {
	switch {
	case o.isName && k.terms.Path == "":
		return false
	case k.user != "" && subtle.ConstantTimeCompare([]byte(k.user), []byte(o.user)) != 1:
		return false
	}
	return k.stored == nil || k.stored.fits(q)
}

// refused returns why a key that was found is not valid now; 0 if it is.
func (k *held) refused(now time.Time) session.Reason {
	switch {
	case k.revoked:
		return session.Revoked
	case !k.terms.Until.IsZero() && !now.Before(k.terms.Until):
		return session.Expired
	}
	return 0
}

// hold makes a key of the configuration ready to be found. It is valid.
func (k *Key) hold() *held {
	h := &held{hash: digestOf(k.Key), user: k.User, terms: &session.Terms{
		By: ByKeys, KeyID: k.ID, Label: k.Label, User: k.User, Path: k.Path, Until: k.Expires,
	}}
	switch {
	case isPassword(k.Hash):
		h.password, _ = parsePassword(k.Hash)
		h.hash = digestOf(k.Hash)
	case k.Hash != "":
		h.hash, _ = parseDigest(k.Hash)
	}
	return h
}
