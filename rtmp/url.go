package rtmp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of a stream's path and query.
const (
	maxPathBytes    = 255
	maxPathSegments = 16
	maxQueryBytes   = 4 << 10
	maxQueryPairs   = 64
	maxVhostBytes   = 255
)

// ErrBadPath is wrapped by the errors of ParsePath.
var ErrBadPath = errors.New("invalid stream path")

// QueryParam is one parameter of a stream's query.
type QueryParam struct {
	// Key and Value are percent-decoded once; "+" stays a plus sign.
	Key, Value string
	// Raw is the whole parameter as it was sent: key, equals sign and value.
	Raw string
}

// Query is the parameters of a stream, in the order in which they were sent.
type Query []QueryParam

// Get returns the first value of key, decoded, or "".
func (q Query) Get(key string) string {
	v, _ := q.Lookup(key)
	return v
}

// Lookup returns the first value of key, decoded, and whether there is one.
func (q Query) Lookup(key string) (string, bool) {
	for i := range q {
		if q[i].Key == key {
			return q[i].Value, true
		}
	}
	return "", false
}

// StreamURL is where a stream lives, taken from the application and the tcUrl of
// connect and the name of publish or play.
type StreamURL struct {
	// Path is app/name, normalised: the key by which streams are told apart. It is
	// valid UTF-8 of at most 255 bytes and 2 to 16 segments, none of them empty, "." or
	// "..", without control characters, bidirectional overrides and backslashes.
	Path string
	// Fallback is Path without a media prefix ("mp4:", "flv:", "mp3:", "id3:") and
	// file extension in its name, for players that add them when there is no stream at
	// Path; "" if it has neither.
	Fallback string
	// App and Name are the two parts of Path as the client divided it. Clients divide
	// the same URL differently: never route by them.
	App, Name string
	// RawQuery is the query of the name followed by what the application and the
	// tcUrl add to it, as sent; Query is the same, parsed.
	RawQuery string
	Query    Query
	// Vhost is the host that the client asked for, in lower case without port; "" if
	// unknown. It is only what the client says: nothing may be routed by it.
	Vhost string
}

// ParsePath finds the stream of a publish or play command from what clients are known
// to send: a query in any of the three strings, several "?", a name in the
// application, "_definst_" instances, quotes and blanks around, percent-encoding
// (decoded exactly once). It fails with an error that wraps ErrBadPath and whose text
// may be shown to the user of the client.
func ParsePath(app, tcURL, name string) (StreamURL, error) {
	a := splitApp(app, tcURL)
	path, query, _ := strings.Cut(strings.TrimSpace(name), "?")
	if path == "" {
		// The key was typed into the server's address.
		if i := strings.LastIndexByte(a.path, '/'); i > 0 {
			a.path, path = a.path[:i], a.path[i+1:]
		}
	}
	u := StreamURL{App: unescape(a.path), Name: unescape(path), Vhost: a.vhost}
	if u.Name == "" {
		return u, fmt.Errorf("%w: the stream name is empty", ErrBadPath)
	}
	u.Path = u.Name
	if u.App != "" {
		u.Path = u.App + "/" + u.Name
	}
	if err := checkPath(u.Path); err != nil {
		return u, err
	}
	if !strings.Contains(u.Path, "/") {
		return u, fmt.Errorf("%w: the stream name is empty", ErrBadPath)
	}
	u.Fallback = fallback(u.Path, u.Name)
	u.RawQuery, u.Query = query, parseQuery(query)
	if v := vhostOf(u.Query); v != "" {
		u.Vhost = v
	}
	u.addQuery(a.query)
	u.addQuery(a.tcQuery)
	return u, u.checkQuery()
}

// parseApp is ParsePath as far as connect can tell: Path, Fallback and Name are empty.
func parseApp(app, tcURL string) (StreamURL, error) {
	a := splitApp(app, tcURL)
	u := StreamURL{App: unescape(a.path), Vhost: a.vhost}
	if u.App != "" {
		if err := checkPath(u.App); err != nil {
			return u, err
		}
	}
	u.addQuery(a.query)
	u.addQuery(a.tcQuery)
	return u, u.checkQuery()
}

// checkQuery reports whether the query is within its bounds.
func (u *StreamURL) checkQuery() error {
	switch {
	case len(u.RawQuery) > maxQueryBytes:
		return fmt.Errorf("%w: query longer than %d bytes", ErrBadPath, maxQueryBytes)
	case len(u.Query) > maxQueryPairs:
		return fmt.Errorf("%w: query of more than %d parameters", ErrBadPath, maxQueryPairs)
	}
	return nil
}

// appURL is what connect says about the stream.
type appURL struct {
	path           string // without slashes around, still escaped
	query, tcQuery string
	vhost          string
}

// splitApp takes an application and a tcUrl apart.
func splitApp(app, tcURL string) appURL {
	host, tcPath, tcQuery := splitTcURL(tcURL)
	app = trimQuotes(app)
	a := appURL{vhost: normalHost(host), tcQuery: tcQuery}
	a.path, a.query, _ = strings.Cut(app, "?")
	if strings.Trim(a.path, "/") == "" {
		a.path = tcPath
	}
	a.path = trimInstance(a.path)
	a.query = strings.TrimSuffix(a.query, "/_definst_")
	if path, rest, ok := strings.Cut(a.path, "...vhost..."); ok {
		a.path = trimInstance(path)
		host, _, _ = strings.Cut(rest, "...")
		a.vhost = normalHost(host)
	}
	for _, q := range []string{tcQuery, a.query} {
		if v := vhostOf(parseQuery(q)); v != "" {
			a.vhost = v
		}
	}
	return a
}

// splitTcURL cuts a tcUrl into host (with user and port), path and query.
func splitTcURL(s string) (host, path, query string) {
	s = trimQuotes(s)
	s, query, _ = strings.Cut(s, "?")
	_, rest, ok := strings.Cut(s, "://")
	if !ok {
		return "", "", query
	}
	host, path, _ = strings.Cut(rest, "/")
	return host, path, query
}

// trimQuotes takes off blanks and the single quotes that some encoders put around.
func trimQuotes(s string) string {
	return strings.TrimSpace(strings.Trim(strings.TrimSpace(s), "'"))
}

// trimInstance takes off slashes around and the default instance.
func trimInstance(path string) string {
	path = strings.Trim(path, "/")
	return strings.TrimSuffix(path, "/_definst_")
}

// normalHost is host in lower case without user, port and trailing dot. An IPv6
// address keeps its brackets.
func normalHost(host string) string {
	host = host[strings.LastIndexByte(host, '@')+1:]
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return cut(strings.ToLower(strings.TrimSuffix(host, ".")), maxVhostBytes)
}

// vhostOf is the host that a query asks for.
func vhostOf(q Query) string {
	v, ok := q.Lookup("vhost")
	if !ok {
		v = q.Get("domain")
	}
	return normalHost(v)
}

// checkPath reports why a decoded path may not be one.
func checkPath(path string) error {
	switch {
	case len(path) > maxPathBytes:
		return fmt.Errorf("%w: longer than %d bytes", ErrBadPath, maxPathBytes)
	case strings.Count(path, "/") >= maxPathSegments:
		return fmt.Errorf("%w: more than %d segments", ErrBadPath, maxPathSegments)
	case !utf8.ValidString(path):
		return fmt.Errorf("%w: not UTF-8", ErrBadPath)
	case strings.ContainsFunc(path, forbidden):
		return fmt.Errorf("%w: forbidden character", ErrBadPath)
	}
	for seg := range strings.SplitSeq(path, "/") {
		switch seg {
		case "":
			return fmt.Errorf("%w: empty segment", ErrBadPath)
		case ".", "..":
			return fmt.Errorf("%w: segment %q", ErrBadPath, seg)
		}
	}
	return nil
}

// forbidden reports whether r may not be in a path: it would break out of a log line,
// a directory or the direction of the text.
func forbidden(r rune) bool {
	return unicode.IsControl(r) || r == '\\' ||
		r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// fallback is path without the media prefix or the extension of name, its last part.
func fallback(path, name string) string {
	short := name
	for _, prefix := range []string{"mp4:", "flv:", "mp3:", "id3:"} {
		if s, ok := strings.CutPrefix(short, prefix); ok {
			short = s
			break
		}
	}
	for _, suffix := range []string{".flv", ".mp4", ".f4v", ".mp3"} {
		if s, ok := strings.CutSuffix(short, suffix); ok {
			short = s
			break
		}
	}
	if short == name {
		return ""
	}
	short = path[:len(path)-len(name)] + short
	if checkPath(short) != nil {
		return ""
	}
	return short
}

// addQuery appends the parameters of raw whose keys u does not have yet.
func (u *StreamURL) addQuery(raw string) {
	own := u.Query
	for _, p := range parseQuery(raw) {
		if _, ok := own.Lookup(p.Key); ok {
			continue
		}
		u.Query = append(u.Query, p)
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += p.Raw
	}
}

// parseQuery splits a query at "&" and, because users paste one URL into another, at
// "?"; each parameter at its first "=", because tokens are seldom encoded. It stops
// after one parameter more than the limit.
func parseQuery(raw string) Query {
	var q Query
	for pair := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == '?' }) {
		key, value, _ := strings.Cut(pair, "=")
		q = append(q, QueryParam{Key: unescape(key), Value: unescape(value), Raw: pair})
		if len(q) > maxQueryPairs {
			break
		}
	}
	return q
}

// unescape decodes %XX once. What is not an escape stays: many users type a percent
// sign and mean it.
func unescape(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	b := []byte(s[:i])
	for ; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi|lo < 16 {
				b = append(b, hi<<4|lo)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// unhex is the value of a hexadecimal digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10
	}
	return 255
}

// withoutParams is s, an application or a tcUrl, without the parameters named.
func withoutParams(s string, keys ...string) string {
	path, raw, ok := strings.Cut(s, "?")
	if !ok {
		return s
	}
	kept := path
	sep := "?"
	for _, p := range parseQuery(raw) {
		if !slices.Contains(keys, p.Key) {
			kept += sep + p.Raw
			sep = "&"
		}
	}
	return kept
}
