package rtmp

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrAuthFailed is returned by Dial when the server did not accept user and password,
// or asked for them and there are none. Authenticator.Verify has it in the error for such a client.
var ErrAuthFailed = errors.New("authentication failed")

// authParams is what a client adds to its application and tcUrl to authenticate. The
// values are as sent: neither scheme escapes anything.
type authParams struct {
	scheme, user string
	response     string
	// adobe
	challenge, opaque string
	// llnw
	nonce, cnonce, count string
	app                  string // the application as the client hashes it
}

// authKeys are the parameters of both schemes.
var authKeys = []string{"authmod", "user", "challenge", "response", "opaque", "salt", "nonce", "cnonce", "nc"}

// parseAuth reads the parameters of an application or a tcUrl. Without a scheme there
// are none: "user" alone is somebody else's parameter.
func parseAuth(s string) authParams {
	var p authParams
	app, raw, _ := strings.Cut(s, "?")
	p.app = app
	for _, q := range parseQuery(raw) {
		key, value, _ := strings.Cut(q.Raw, "=")
		switch key {
		case "authmod":
			p.scheme = value
		case "user":
			p.user = value
		case "response":
			p.response = value
		case "challenge":
			p.challenge = value
		case "opaque":
			p.opaque = value
		case "nonce":
			p.nonce = value
		case "cnonce":
			p.cnonce = value
		case "nc":
			p.count = value
		}
	}
	if p.scheme == "" {
		return authParams{app: p.app}
	}
	return p
}

// adobeResponse is the answer of the adobe scheme. opaque is the server's opaque, or
// its challenge if it sent no opaque.
func adobeResponse(user, salt, password, opaque, challenge string) string {
	return md5Base64(md5Base64(user+salt+password) + opaque + challenge)
}

// llnwResponse is the answer of the llnw scheme, HTTP's digest with fixed realm, method
// and quality of protection. app is the application without its query.
func llnwResponse(user, password, app, nonce, count, cnonce string) string {
	uri := "/" + app
	if !strings.Contains(app, "/") {
		uri += "/_definst_"
	}
	h1 := md5Hex(user + ":live:" + password)
	h2 := md5Hex("publish:" + uri)
	return md5Hex(strings.Join([]string{h1, nonce, count, cnonce, "auth", h2}, ":"))
}

func md5Base64(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// answerAuth is the client's side: what to add to application and tcUrl after a
// rejection with this description. It returns "" if the rejection is not about
// authentication, and ErrAuthFailed if it is final.
func answerAuth(description, app, user, password string) (string, error) {
	_, rest, ok := strings.Cut(description, "authmod=")
	if !ok {
		return "", nil
	}
	scheme := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))]
	if scheme != AuthAdobe && scheme != AuthLLNW {
		return "", fmt.Errorf("%w: unknown scheme %.20q", ErrAuthFailed, scheme)
	}
	if user == "" {
		return "", fmt.Errorf("%w: the server asks for user and password", ErrAuthFailed)
	}
	sep := "?"
	if strings.Contains(app, "?") {
		sep = "&"
	}
	head := sep + "authmod=" + scheme + "&user=" + user
	if strings.Contains(description, "code=403 need auth") {
		return head, nil
	}
	_, query, ok := strings.Cut(description, "?reason=needauth")
	if !ok {
		return "", ErrAuthFailed
	}
	q := make(map[string]string)
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		q[key] = value
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	challenge := hex.EncodeToString(random[:])
	if scheme == AuthLLNW {
		path, _, _ := strings.Cut(app, "?")
		response := llnwResponse(user, password, path, q["nonce"], llnwCount, challenge)
		return head + "&nonce=" + q["nonce"] + "&cnonce=" + challenge + "&nc=" + llnwCount + "&response=" + response, nil
	}
	opaque := q["opaque"]
	if opaque == "" {
		opaque = q["challenge"]
	}
	head += "&challenge=" + challenge + "&response=" + adobeResponse(user, q["salt"], password, opaque, challenge)
	if q["opaque"] != "" {
		head += "&opaque=" + opaque
	}
	return head, nil
}
