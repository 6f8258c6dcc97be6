package session

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxRedacted bounds what Redact returns, in bytes.
const maxRedacted = 512

// harmless are the query parameters whose values are shown if they are plain words.
var harmless = map[string]bool{"codec": true, "embed": true, "vhost": true}

// Redact makes a URL, or a path or stream name with a query, fit for a log. *** replaces the values
// of the query except a few harmless ones, a query without names, a user with its password, and a
// fragment. What follows an encoded question mark counts as query, for encoders that escape too
// much. Control characters and bytes that are not UTF-8 are escaped, and the result is at most 512
// bytes long. It is for display: it cannot be parsed back.
func Redact(s string) string {
	path, mark, query := cutQuery(redactUser(s))
	var b strings.Builder
	before, fragment, _ := strings.Cut(path, "#")
	b.WriteString(before)
	switch {
	case mark != "":
		b.WriteString("?")
		redactQuery(&b, query)
	case fragment != "":
		b.WriteString("#***")
	}
	return Printable(b.String(), maxRedacted)
}

// redactUser replaces what stands before the last @ of the host.
func redactUser(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	// A password may contain the other delimiters unescaped: only a slash ends the host here.
	host, tail := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host, tail = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		return scheme + "://***@" + host[i+1:] + tail
	}
	return s
}

// cutQuery cuts s at its first question mark, plain or encoded once or twice.
func cutQuery(s string) (before, mark, after string) {
	for i := range len(s) {
		if s[i] == '?' {
			return s[:i], "?", s[i+1:]
		}
		for _, m := range []string{"%3f", "%253f"} {
			if len(s)-i >= len(m) && s[i] == '%' && strings.EqualFold(s[i:i+len(m)], m) {
				return s[:i], m, s[i+len(m):]
			}
		}
	}
	return s, "", ""
}

func redactQuery(b *strings.Builder, query string) {
	for i, part := range strings.Split(query, "&") {
		if b.Len() > 4*maxRedacted {
			return
		}
		if i > 0 {
			b.WriteByte('&')
		}
		name, value, ok := strings.Cut(part, "=")
		switch {
		case part == "":
		case !ok, strings.Trim(value, "=") == "": // a bare key, perhaps with base64 padding
			b.WriteString("***")
		case harmless[name] && plainWord(value):
			b.WriteString(part)
		case plainWord(name):
			b.WriteString(name + "=***")
		default:
			b.WriteString("***=***")
		}
	}
}

func plainWord(s string) bool {
	return len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

// MaskedName stands for a stream's name that is a secret. No stream has this name.
const MaskedName = "***"

// MaskName returns the path of a stream, app/name, with *** in the place of its name.
func MaskName(path string) string {
	app, _, ok := strings.Cut(path, "/")
	if !ok {
		return path
	}
	return app + "/" + MaskedName
}

// OneLine returns the text of an error in one line: errors that were joined stand behind one another.
func OneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

// ErrorText is Printable for OneLine.
func ErrorText(err error, limit int) string { return Printable(OneLine(err), limit) }

// Printable returns s with everything unprintable (control, bidirectional override and broken
// characters) escaped as in Go, cut to at most limit bytes, with an ellipsis if it was cut. Use it
// for text from a peer in a log.
func Printable(s string, limit int) string {
	const ellipsis = "…"
	plain := len(s) <= limit
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return strings.Clone(s)
	}
	b := make([]byte, 0, min(len(s)+16, limit+16))
	fits := 0 // bytes of b that leave room for the ellipsis
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'x', hex[s[0]>>4], hex[s[0]&15])
		} else if strconv.IsPrint(r) {
			b = append(b, s[:n]...)
		} else {
			q := strconv.QuoteRuneToASCII(r)
			b = append(b, q[1:len(q)-1]...)
		}
		s = s[n:]
		if len(b) <= limit-len(ellipsis) {
			fits = len(b)
		}
		if len(b) > limit {
			return string(b[:fits]) + ellipsis
		}
	}
	return string(b)
}
