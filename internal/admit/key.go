package admit

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"net/url"
	"strings"
)

// digest stands for a key. Digests have one length and are compared in constant time, so that the
// time tells neither a key's length nor how much of a guess was right.
type digest [sha256.Size]byte

func digestOf(key string) digest { return sha256.Sum256([]byte(key)) }

// id stands for the key in a Grant. It is never 0.
func (d *digest) id() uint64 { return binary.BigEndian.Uint64(d[:]) | 1 }

// find returns the id of the key that given equals. It always compares all keys.
func find(keys []digest, given string) (id uint64, ok bool) {
	d := digestOf(given)
	found := 0
	for i := range keys {
		found |= subtle.ConstantTimeCompare(keys[i][:], d[:])
	}
	return d.id(), found == 1
}

// KeyOf returns the key in a raw query, without its question mark: the value of the
// first parameter called key. It is percent-decoded once; a + stays a +, because people
// paste base64 into encoders that escape nothing, and a value that is not valid percent-encoding is taken unchanged.
func KeyOf(query string) string {
	for part := range strings.SplitSeq(query, "&") {
		value, ok := strings.CutPrefix(part, "key=")
		if !ok {
			continue
		}
		if key, err := url.PathUnescape(value); err == nil {
			return key
		}
		return value
	}
	return ""
}
