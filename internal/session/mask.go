package session

import (
	"net/url"
	"slices"
	"strings"
)

// minSecret is the length from which a text is taken for a secret, in bytes.
const minSecret = 4

// Mask replaces secrets by *** in a text that a peer has sent, which may repeat what it was asked for. Texts shorter than 4 bytes
// are no secrets.
func Mask(text string, secrets []string) string {
	list := slices.Clone(secrets)
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	for _, s := range list {
		if len(s) >= minSecret {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	return text
}

// Secrets returns the parts of a URL that Redact hides: the user, the password, and the values of the query, as they are written and
// as they are read.
func Secrets(rawURL string) (list []string) {
	add := func(s string) {
		list = append(list, s)
		if read, err := url.QueryUnescape(s); err == nil && read != s {
			list = append(list, read)
		}
		if read, err := url.PathUnescape(s); err == nil && read != s {
			list = append(list, read)
		}
	}
	_, rest, _ := strings.Cut(rawURL, "://")
	host, _, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		user, password, _ := strings.Cut(host[:i], ":")
		add(user)
		add(password)
	}
	_, _, query := cutQuery(rawURL)
	for part := range strings.SplitSeq(query, "&") {
		name, value, ok := strings.Cut(part, "=")
		switch {
		case !ok, strings.Trim(value, "=") == "":
			add(part)
		case !harmless[name] || !plainWord(value):
			add(value)
		}
	}
	return list
}
