package rtmp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"time"
)

// The authentication schemes, as they are named on the wire.
const (
	AuthAdobe = "adobe"
	AuthLLNW  = "llnw"
)

const (
	maxAuthUser = 48     // bytes: the description must fit a client's small buffer
	maxAuthUsed = 10_000 // responses that each of two sets remembers
	authMinute  = 60     // seconds that a challenge is current; it is accepted as long again
	authPrefix  = "[ AccessManager.Reject ] : "
	llnwCount   = "00000001"
)

// Authenticator checks users and passwords at connect by the adobe and llnw schemes: challenges and
// responses in the description of a rejection, over three connections. It keeps no state between
// them: challenges are derived from a random secret, the user and the minute. It only remembers the
// responses of the last two minutes, so that a recorded one cannot be used again. Its methods may
// be called at any time from any goroutine.
//
// Both schemes are MD5 over a connection that is in clear unless it is TLS.
type Authenticator struct {
	password func(user string) (password string, ok bool)
	scheme   string
	secret   [32]byte

	mu     sync.Mutex // guards below
	minute int64
	used   [2]map[string]struct{} // responses accepted in this minute and the one before
}

// NewAuthenticator makes an Authenticator that offers scheme, AuthAdobe or AuthLLNW, to
// clients that do not name one (they may answer by either). password returns the
// password of a user, and is called on the connection's goroutine.
func NewAuthenticator(scheme string, password func(user string) (string, bool)) *Authenticator {
	if scheme != AuthLLNW {
		scheme = AuthAdobe
	}
	a := &Authenticator{password: password, scheme: scheme}
	_, _ = rand.Read(a.secret[:]) // never fails
	return a
}

// Verify returns the name of the user, who has proved to know the password. The error has the
// *StatusError with which the client is to be refused: often only the next step of the exchange,
// after which the client connects again; errors.Is finds ErrAuthFailed in it if user or password is wrong. A handler calls it for the connections that need a user; a
// server whose Authenticator is set calls it for all.
func (a *Authenticator) Verify(r *ConnectRequest) (user string, err error) {
	p := &r.auth
	switch p.scheme {
	case "":
		return "", rejection("[ code=403 need auth; authmod=" + a.scheme + " ] : ")
	case AuthAdobe, AuthLLNW:
	default:
		return "", authFailed(a.scheme)
	}
	if p.user == "" || len(p.user) > maxAuthUser {
		return "", authFailed(p.scheme)
	}
	if p.response == "" {
		return "", a.needAuth(p)
	}
	now := time.Now().Unix() / authMinute
	for _, minute := range a.minutes(p, now) {
		if minute < now-1 || minute > now {
			return "", a.needAuth(p)
		}
		if a.matches(p, minute) && a.firstUse(now, p.response) {
			return p.user, nil
		}
	}
	return "", authFailed(p.scheme)
}

// minutes returns in which minutes the challenge that p answers may have been made: one if p
// repeats it, none if it is not ours, and the last two if p repeats none.
func (a *Authenticator) minutes(p *authParams, now int64) []int64 {
	issued := p.opaque
	if p.scheme == AuthLLNW {
		issued = p.nonce
	} else if issued == "" {
		return []int64{now, now - 1}
	}
	b, err := base64.RawURLEncoding.DecodeString(issued)
	if err != nil || len(b) < 4 {
		return nil
	}
	minute := int64(binary.BigEndian.Uint32(b))
	if subtle.ConstantTimeCompare([]byte(issued), []byte(a.challenge(p.user, minute))) != 1 {
		return nil
	}
	return []int64{minute}
}

// matches reports whether p is the right answer to the challenge of a minute. An
// unknown user takes as long as a known one.
func (a *Authenticator) matches(p *authParams, minute int64) bool {
	password, known := a.password(p.user)
	challenge := a.challenge(p.user, minute)
	var want string
	if p.scheme == AuthAdobe {
		want = adobeResponse(p.user, a.salt(p.user, minute), password, challenge, p.challenge)
	} else {
		want = llnwResponse(p.user, password, p.app, challenge, p.count, p.cnonce)
		known = known && p.count == llnwCount
	}
	return subtle.ConstantTimeCompare([]byte(want), []byte(p.response)) == 1 && known
}

// needAuth is the rejection that carries a challenge.
func (a *Authenticator) needAuth(p *authParams) error {
	minute := time.Now().Unix() / authMinute
	challenge := a.challenge(p.user, minute)
	if p.scheme == AuthLLNW {
		return rejection("[ authmod=llnw ] : ?reason=needauth&user=" + p.user + "&nonce=" + challenge)
	}
	// Clients hash the opaque or the challenge: equal ones suit both.
	return rejection("[ authmod=adobe ] : ?reason=needauth&user=" + p.user +
		"&salt=" + a.salt(p.user, minute) + "&challenge=" + challenge + "&opaque=" + challenge)
}

// authFailed is the rejection of a user, whether unknown or not.
func authFailed(scheme string) error {
	return fmt.Errorf("%w: %w", ErrAuthFailed, rejection("[ authmod="+scheme+" ] : ?reason=authfailed"))
}

// rejection returns the status in which both schemes put their messages.
func rejection(text string) error {
	return &StatusError{Level: LevelError, Code: CodeConnectRejected, Description: authPrefix + text}
}

// mac returns a hash of a user and a minute that only this Authenticator can compute.
func (a *Authenticator) mac(purpose byte, user string, minute int64) []byte {
	h := hmac.New(sha256.New, a.secret[:])
	h.Write(binary.BigEndian.AppendUint64([]byte{purpose}, uint64(minute)))
	h.Write([]byte(user))
	return h.Sum(nil)
}

// salt is the user's salt of a minute.
func (a *Authenticator) salt(user string, minute int64) string {
	return base64.RawURLEncoding.EncodeToString(a.mac('s', user, minute)[:9])
}

// challenge is the user's challenge of a minute; it says which minute that is, so that
// an old one is told from a forged one.
func (a *Authenticator) challenge(user string, minute int64) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(minute))
	return base64.RawURLEncoding.EncodeToString(append(b, a.mac('c', user, minute)[:11]...))
}

// firstUse reports whether response has not been accepted before, and remembers it.
func (a *Authenticator) firstUse(minute int64, response string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case minute > a.minute+1:
		a.used[0], a.used[1] = nil, nil
	case minute > a.minute:
		a.used[0], a.used[1] = nil, a.used[0]
	}
	a.minute = max(a.minute, minute)
	for _, m := range a.used {
		if _, ok := m[response]; ok {
			return false
		}
	}
	if len(a.used[0]) >= maxAuthUsed {
		a.used[0], a.used[1] = nil, a.used[0]
	}
	if a.used[0] == nil {
		a.used[0] = make(map[string]struct{})
	}
	// The key must not keep alive the command that it was read from.
	a.used[0][strings.Clone(response)] = struct{}{}
	return true
}
