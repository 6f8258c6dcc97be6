package hls

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"time"

	"weir/internal/session"
)

// tokenTime is how long a viewer may take to begin with the id that it was given.
const tokenTime = 2 * time.Minute

const (
	// tokenPlain is in bytes: the time, the grant's entry and key, and the proof; the terms follow, if there are any.
	tokenPlain = 4 + 2 + 8 + 8
	// maxToken bounds an id, in characters: the terms' texts have 1 KiB, which JSON at most doubles, and three
	// may have had a say.
	maxToken = 3 * 4096
	// shortToken is the length of an id without terms: with a nonce and a tag.
	shortToken = ((12+tokenPlain+16)*4 + 2) / 3
)

// terms is what an id holds of a grant's terms: what matters for a player.
type terms struct {
	By, KeyID, Label, User string            `json:",omitzero"`
	Session                string            `json:",omitzero"`
	Paired                 bool              `json:",omitzero"`
	Labels                 map[string]string `json:",omitzero"`
	// Until is when the viewer's time ends, however often it comes and goes.
	Until   time.Time     `json:",omitzero"`
	Recheck time.Duration `json:",omitzero"`
}

// tokens makes the ids of viewers. An id holds, sealed, for which stream it was given out, when, and with
// which grant: so nothing has to be kept of viewers that ask for a multivariant playlist and do nothing
// with it.
type tokens struct{ aead cipher.AEAD }

func newTokens() *tokens {
	var key [16]byte
	_, _ = rand.Read(key[:]) // it never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key has the right size
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // the block has the right size
	}
	return &tokens{aead}
}

// issue returns a new id for a viewer of a stream, who was let in by a proof.
func (t *tokens) issue(path string, g session.Grant, by proof, now time.Time) string {
	b := make([]byte, 0, tokenPlain)
	b = binary.BigEndian.AppendUint32(b, uint32(now.Unix()))
	b = binary.BigEndian.AppendUint16(b, uint16(g.Entry))
	b = binary.BigEndian.AppendUint64(b, g.Key)
	b = binary.BigEndian.AppendUint64(b, uint64(by))
	if g.Terms != nil {
		b = append(b, sealed(g, now)...)
	}
	return base64.RawURLEncoding.EncodeToString(t.aead.Seal(nil, nil, b, []byte(path)))
}

// sealed is what an id holds of a grant: what each of those said who had a say, as some of them are asked again.
func sealed(g session.Grant, now time.Time) []byte {
	var all []terms
	for _, t := range g.Said() {
		all = append(all, terms{t.By, t.KeyID, t.Label, t.User, t.Session, t.Paired, t.Labels, t.Until, t.Recheck})
	}
	if most := g.Terms.Duration; most > 0 { // it runs from now on
		end := (&session.Terms{Until: all[0].Until, Duration: most}).End(now)
		if all[0].Recheck == 0 {
			all[0].Until = end
		} else {
			all = append([]terms{{Until: end}}, all...)
		}
	}
	var text bytes.Buffer
	to := json.NewEncoder(&text)
	to.SetEscapeHTML(false)
	if err := to.Encode(all); err != nil {
		panic(err) // texts, times and numbers
	}
	return text.Bytes()
}

// open returns the grant and the proof in an id, and how long ago the id was given out. It reports false for
// what is not an id of that stream, or is too old to begin with.
func (t *tokens) open(path, token string, now time.Time) (g session.Grant, by proof, age time.Duration, ok bool) {
	if len(token) < shortToken || len(token) > maxToken {
		return g, 0, 0, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return g, 0, 0, false
	}
	b, err := t.aead.Open(nil, nil, sealed, []byte(path))
	if err != nil || len(b) < tokenPlain {
		return g, 0, 0, false
	}
	if len(b) > tokenPlain {
		var all []terms
		if err := json.Unmarshal(b[tokenPlain:], &all); err != nil {
			return g, 0, 0, false
		}
		for _, t := range all {
			g = g.And(&session.Terms{
				By: t.By, KeyID: t.KeyID, Label: t.Label, User: t.User, Session: t.Session, Paired: t.Paired, Labels: t.Labels, Until: t.Until, Recheck: t.Recheck,
			})
		}
	}
	g.Entry, g.Key = int(int16(binary.BigEndian.Uint16(b[4:]))), binary.BigEndian.Uint64(b[6:])
	by = proof(binary.BigEndian.Uint64(b[14:]))
	age = time.Duration(int32(uint32(now.Unix())-binary.BigEndian.Uint32(b))) * time.Second
	return g, by, age, age <= tokenTime
}
