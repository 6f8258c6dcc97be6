package hls

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/url"
	"time"

	"weir/internal/session"
)

// proof stands for what a request shows to be let in: its query, without what differs from one request of a viewer to the
// next, and its login. It is 0 for a request that shows nothing.
type proof uint64

// proofOf changes q.
func proofOf(r *http.Request, q url.Values) proof {
	query, login := credentials(q), r.Header.Get("Authorization")
	if query == "" && login == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(query + "\n" + login))
	return proof(binary.BigEndian.Uint64(sum[:]) | 1)
}

// renewLeast is how often a viewer is asked about again at most, however often it shows something else.
const renewLeast = time.Second

// renew extends the time of a viewer whose request shows another proof than the one it was let in by, such as a renewed
// token. What is refused changes nothing: the viewer keeps the time that it has. It changes q.
func (p *HLS) renew(r *http.Request, v *viewer, q url.Values) {
	by := proofOf(r, q)
	if by == 0 || v.isShared() || !v.differs(p, by, time.Now()) {
		return
	}
	ask := p.env.Request(r, v.key.path)
	v.mu.Lock()
	if v.session != nil {
		ask.Session = v.session.ID
	}
	v.mu.Unlock()
	grant, err := p.env.Allow(r.Context(), ask)
	if err != nil || grant.PathOf(v.key.path) != v.key.path {
		return // a refusal was logged
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.inForce()
	end, before := grant.Terms.End(v.began()), now.Terms.End(v.began())
	if user(grant) != user(now) || before.IsZero() || !end.IsZero() && !end.After(before) {
		return // somebody else's proof, or one that says nothing new
	}
	v.grant = grant
	if session.ReasonOf(v.barred) == session.Expired {
		v.barred = nil
	}
	if v.session != nil {
		p.env.Hold(v.session, ask, grant)
	}
}

// differs reports whether a proof is to be asked about, and notes that it is.
func (v *viewer) differs(p *HLS, by proof, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.proof == 0 {
		_, v.proof, _, _ = p.tokens.open(v.key.path, v.key.token, now) // its age does not matter
	}
	grant := v.inForce()
	if by == v.proof || now.Sub(v.askedAt) < renewLeast || grant.Terms.End(now).IsZero() {
		return false
	}
	v.proof, v.askedAt = by, now
	return true
}

// inForce returns the grant that the viewer has now. mu is held.
func (v *viewer) inForce() session.Grant {
	if v.session != nil {
		if g, ok := v.session.Grant(); ok {
			return g
		}
	}
	return v.grant
}

// began returns when the viewer's session began, or now if it has none. mu is held.
func (v *viewer) began() time.Time {
	if v.session != nil {
		return v.session.Started
	}
	return time.Now()
}

// lasts reports whether the grant in force has time left. mu is held.
func (v *viewer) lasts(now time.Time) bool {
	end := v.inForce().Terms.End(v.began())
	return end.IsZero() || end.After(now)
}

// user returns whom a grant was given to, as far as it says so.
func user(g session.Grant) string {
	if g.Terms == nil {
		return ""
	}
	return g.Terms.User
}
