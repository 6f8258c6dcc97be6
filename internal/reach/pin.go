package reach

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"strings"
)

// Fingerprint is the SHA-256 of a certificate that is accepted, whoever vouches for it or nobody, and no other; nil is none.
type Fingerprint []byte

// ErrPin ends a handshake with a server that has another certificate than the one whose fingerprint is known.
var ErrPin = errors.New("the server's certificate is not the one whose fingerprint is in pin: if the server has a new one, change pin")

// ParseFingerprint reads a fingerprint in hex, as openssl x509 -fingerprint -sha256 prints it; an empty text is none.
func ParseFingerprint(text string) (Fingerprint, error) {
	if text == "" {
		return nil, nil
	}
	digits := strings.ReplaceAll(text[strings.LastIndexByte(text, '=')+1:], ":", "")
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != sha256.Size {
		return nil, errors.New("a fingerprint is 64 hexadecimal digits, with or without colons")
	}
	return b, nil
}

// Pin makes conf accept the certificate that has the fingerprint and no other. It does nothing if there is none.
func (f Fingerprint) Pin(conf *tls.Config) {
	if f == nil {
		return
	}
	conf.InsecureSkipVerify = true //nolint:gosec // the certificate itself is known
	conf.VerifyConnection = func(s tls.ConnectionState) error {
		if is := sha256.Sum256(s.PeerCertificates[0].Raw); !bytes.Equal(is[:], f) {
			return ErrPin
		}
		return nil
	}
}
