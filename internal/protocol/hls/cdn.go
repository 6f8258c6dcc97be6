package hls

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"weir/internal/session"
)

// A CDN that shows the secret which it shares with the server is one viewer of a stream, however many its machines and
// the viewers behind it are: it decides about those. Its playlists carry no ids, so that it keeps one copy of each.
const (
	cdnHeader = "X-CDN-Secret"
	cdnToken  = "@cdn"
)

var cdnGrant = session.Grant{Entry: -1, Terms: &session.Terms{By: "cdn"}}

// isCDN reports whether a request shows the secret of its stream's CDN.
func (p *HLS) isCDN(r *http.Request, path string) bool {
	shown := r.Header.Get(cdnHeader)
	if shown == "" || p.cdn == nil {
		return false
	}
	secret := p.cdn(path)
	a, b := sha256.Sum256([]byte(shown)), sha256.Sum256([]byte(secret))
	return secret != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
