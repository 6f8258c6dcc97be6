package archive

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"net/url"
	"sync"
	"time"

	"weir/internal/session"
)

// The URIs in a playlist carry proof that its viewer was admitted, so that a decision is not asked for again for each
// segment. Proofs are made with a secret that stays with the index, and so hold across a restart.
const (
	// passTime is how long a viewer may ask for its playlist again without being asked for its key, at most.
	passTime = 12 * time.Hour
	// linkPeriod is for how long all who ask have the same links, and linkTime for how long these can be used after it.
	linkPeriod = 6 * time.Hour
	linkTime   = 24 * time.Hour
	proofSize  = 16
)

// links makes and checks proofs.
type links struct {
	mu  sync.Mutex // guards below
	key []byte
}

// secret returns what proofs are made with.
func (l *links) secret(ctx context.Context, a *Archive) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.key == nil {
		var s string
		if err := a.use(false, func(x *index) (err error) {
			s, err = x.secret(ctx)
			return err
		}); err != nil {
			return nil, err
		}
		l.key = []byte(s)
	}
	return l.key, nil
}

// prove returns the proof that whoever has it was admitted for kind to stream until a time.
func prove(key []byte, kind, stream string, until time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	h := hmac.New(sha256.New, key)
	h.Write([]byte(kind + "\x00" + stream + "\x00"))
	h.Write(b)
	return base64.RawURLEncoding.EncodeToString(h.Sum(b)[:8+proofSize])
}

// proves reports whether a text is a proof that holds now, and until when.
func proves(key []byte, kind, stream, text string, now time.Time) (until time.Time, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != 8+proofSize {
		return until, false
	}
	until = time.Unix(int64(binary.BigEndian.Uint64(b)), 0)
	return until, now.Before(until) && subtle.ConstantTimeCompare([]byte(prove(key, kind, stream, until)), []byte(text)) == 1
}

// pass returns the proof of a viewer that was granted to play a stream.
func pass(key []byte, stream string, g session.Grant, now time.Time) string {
	return prove(key, "playlist", stream, passEnd(g, now))
}

// passEnd returns until when a viewer that was let in is not asked for its key again.
func passEnd(g session.Grant, now time.Time) time.Time {
	until := now.Add(passTime)
	if g.Terms != nil {
		if end := g.Terms.End(now); !end.IsZero() && end.Before(until) {
			until = end
		}
		if g.Terms.Recheck > 0 && now.Add(g.Terms.Recheck).Before(until) {
			until = now.Add(g.Terms.Recheck)
		}
	}
	return until
}

// maxRenewals bounds the viewers that are remembered after their proof has run out.
const maxRenewals = 1 << 14

// renewals remember viewers whose proof, which is in the address of their playlist, has run out, and that were let in again since.
type renewals struct {
	mu    sync.Mutex // guards below
	until map[string]time.Time
}

// renewalOf is what a viewer of a stream shows, as it is remembered.
func renewalOf(stream string, q url.Values) string {
	sum := sha256.Sum256([]byte(stream + "\x00" + q.Get("v") + "\x00" + evidence(q).Encode()))
	return string(sum[:])
}

// has reports whether a viewer was let in again.
func (n *renewals) has(stream string, q url.Values, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.until) > 0 && now.Before(n.until[renewalOf(stream, q)])
}

// note remembers that a viewer of a stream was let in until a time.
func (n *renewals) note(stream string, q url.Values, until, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.until) >= maxRenewals {
		maps.DeleteFunc(n.until, func(_ string, end time.Time) bool { return !now.Before(end) })
	}
	if len(n.until) >= maxRenewals {
		clear(n.until) // they are asked again
	}
	n.until[renewalOf(stream, q)] = until
}

// link returns the proof in the URIs of the media of a stream, which does not change for a period from since on.
func link(key []byte, stream string, since time.Time) string {
	return prove(key, "media", stream, since.Truncate(linkPeriod).Add(linkPeriod+linkTime))
}
