package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The header fields of a signed call, as Standard Webhooks names them.
const (
	HeaderID        = "webhook-id"        // the same whenever the call is repeated
	HeaderTimestamp = "webhook-timestamp" // Unix seconds
	HeaderSignature = "webhook-signature" // v1,BASE64, several with spaces between
)

const (
	secretPrefix = "whsec_"
	// The bounds that Standard Webhooks sets, in bytes.
	minSecret = 24
	maxSecret = 64
)

// Secret is what calls are signed with. It never shows itself.
type Secret []byte

// ParseSecret reads whsec_ and 24 to 64 bytes in base64.
func ParseSecret(s string) (Secret, error) {
	text, ok := strings.CutPrefix(s, secretPrefix)
	if !ok {
		return nil, fmt.Errorf("a secret begins with %s and goes on with %d to %d random bytes in base64, such as openssl rand -base64 32 prints", secretPrefix, minSecret, maxSecret)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil:
		return nil, errors.New("what follows " + secretPrefix + " is not base64")
	case len(b) < minSecret || len(b) > maxSecret:
		return nil, fmt.Errorf("the secret has %d bytes: it has %d to %d", len(b), minSecret, maxSecret)
	}
	return b, nil
}

// String hides the secret.
func (Secret) String() string { return "***" }

// GoString hides the secret.
func (Secret) GoString() string { return "***" }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// Sign returns the header fields that name and sign a call: id is the same whenever the call is
// repeated and holds no full stop; each secret makes a signature, so that receivers may change from one to the next.
// Without secrets the call is only named.
func Sign(secrets []Secret, id string, at time.Time, body []byte) http.Header {
	stamp := strconv.FormatInt(at.Unix(), 10)
	h := http.Header{}
	// The standard writes the names in lower case; they are the same in any.
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, stamp)
	if len(secrets) == 0 {
		return h
	}
	var all strings.Builder
	for i, s := range secrets {
		mac := hmac.New(sha256.New, s)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		if i > 0 {
			all.WriteByte(' ')
		}
		all.WriteString("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	h.Set(HeaderSignature, all.String())
	return h
}
