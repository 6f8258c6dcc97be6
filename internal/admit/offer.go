package admit

import (
	"net/url"
	"strings"
)

// offer is a secret that a peer has shown, and that may be a key.
type offer struct {
	digest digest
	secret string
	user   string
	isName bool // it is the last part of the stream's name
}

// maxOffers is the number of places in which a peer can show a key.
const maxOffers = 5

// offers returns what a peer has shown that may be a key; names says whether its stream's name may
// be one. Texts longer than any key are left out.
func offers(r *Request, names bool) (list [maxOffers]offer, n int) {
	add := func(user, secret string, isName bool) {
		if secret != "" && len(secret) <= maxKey {
			list[n] = offer{digestOf(secret), secret, user, isName}
			n++
		}
	}
	add("", KeyOf(r.RawQuery), false)
	c := &r.Credential
	add(c.User, c.Secret, false)
	add(c.User, c.Token, false)
	if pass := param(r.RawQuery, "pass"); pass != "" {
		add(param(r.RawQuery, "user"), pass, false)
	}
	if names {
		add("", nameOf(r.Path), true)
	}
	return list, n
}

// nameOf returns the part of a stream's path that may be a key.
func nameOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// KeyOf returns the key in a raw query, without its question mark: the value of the
// first parameter called key. It is percent-decoded once; a + stays a +, because people
// paste base64 into encoders that escape nothing, and a value that is not valid percent-encoding is taken unchanged.
func KeyOf(query string) string { return param(query, "key") }

// param returns the value of a parameter of a raw query, decoded as KeyOf says.
func param(query, name string) string {
	for part := range strings.SplitSeq(query, "&") {
		if len(part) <= len(name) || part[len(name)] != '=' || part[:len(name)] != name {
			continue
		}
		value := part[len(name)+1:]
		if strings.IndexByte(value, '%') < 0 {
			return value
		}
		if decoded, err := url.PathUnescape(value); err == nil {
			return decoded
		}
		return value
	}
	return ""
}
