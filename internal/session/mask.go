package session

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// minSecret is the length from which a text is taken for a secret, in bytes.
	minSecret = 4
	// longSecret is the length from which it is one also within a word.
	longSecret = 8
)

// Mask replaces secrets by *** in a text that a peer has sent, which may repeat what it was asked for. Texts shorter than 4 bytes
// are no secrets, and those shorter than 8 are replaced as whole words only: they are within many.
func Mask(text string, secrets []string) string {
	list := slices.Clone(secrets)
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	for _, s := range list {
		switch {
		case len(s) >= longSecret:
			text = strings.ReplaceAll(text, s, "***")
		case len(s) >= minSecret:
			text = maskWord(text, s)
		}
	}
	return text
}

// maskWord replaces a word by *** where no letter or digit is at either side of it.
func maskWord(text, word string) string {
	var b strings.Builder
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			b.WriteString(text[from:])
			return b.String()
		}
		at := from + i
		end := at + len(word)
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[end:])
		b.WriteString(text[from:at])
		if within(before) || within(after) {
			b.WriteString(word)
		} else {
			b.WriteString("***")
		}
		from = end
	}
}

// within reports whether a character is part of a word.
func within(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

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
