package m3u8

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what is read.
const (
	// MaxSize is the longest playlist in bytes.
	MaxSize = 4 << 20
	// maxAttributes bounds the attributes of a tag.
	maxAttributes = 64
	// maxSeconds bounds a duration: a century.
	maxSeconds = 100 * 366 * 24 * 3600
)

// Errors of reading.
var (
	// ErrSyntax is returned for text that is not a playlist.
	ErrSyntax = errors.New("m3u8: malformed playlist")
	// ErrTooLong is returned for a playlist beyond MaxSize.
	ErrTooLong = errors.New("m3u8: playlist too long")
	// ErrKind is returned by ParseMedia for a multivariant playlist, and the other way round.
	ErrKind = errors.New("m3u8: other kind of playlist")
	// ErrEncrypted is returned for a playlist whose segments are encrypted in another way than AES-128.
	ErrEncrypted = errors.New("m3u8: encrypted playlist")
)

func syntax(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrSyntax}, args...)...)
}

// scan calls line for each tag, with its value, and for each URI, with an empty name.
func scan(b []byte, line func(name, value string) error) error {
	if len(b) > MaxSize {
		return ErrTooLong
	}
	number := 0
	for l := range strings.Lines(string(b)) {
		number++
		if err := scanNumbered(l, number, line); err != nil {
			return err
		}
	}
	if number == 0 {
		return syntax("it is empty")
	}
	return nil
}

// scanNumbered reads a line with what ends it. Lines are counted from 1.
func scanNumbered(l string, number int, line func(name, value string) error) error {
	if !utf8.ValidString(l) {
		return syntax("not UTF-8")
	}
	l = strings.TrimSuffix(strings.TrimSuffix(l, "\n"), "\r")
	if number == 1 {
		if l != "#EXTM3U" {
			return syntax("it does not begin with #EXTM3U")
		}
		return nil
	}
	if err := scanLine(l, line); err != nil {
		return fmt.Errorf("line %d: %w", number, err)
	}
	return nil
}

func scanLine(l string, line func(name, value string) error) error {
	for i := range len(l) {
		if c := l[i]; c < ' ' && c != '\t' || c == 0x7f {
			return syntax("control character")
		}
	}
	switch {
	case l == "":
		return nil
	case l[0] != '#':
		if l[0] == ' ' || l[0] == '\t' {
			return syntax("white space before a URI")
		}
		if strings.Contains(l, "\t") {
			return syntax("control character in a URI")
		}
		return line("", l)
	case !strings.HasPrefix(l, "#EXT"):
		return nil // a comment
	}
	name, value, _ := strings.Cut(l, ":")
	return line(name, value)
}

// attributes is a tag's attribute list. The getters note the first error in err.
type attributes struct {
	list []Attribute
	err  error
}

func isNameByte(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' }

func parseAttributes(s string) (a attributes) {
	for s != "" {
		n := 0
		for n < len(s) && isNameByte(s[n]) {
			n++
		}
		if n == 0 || n == len(s) || s[n] != '=' {
			return attributes{err: syntax("attribute without name or value")}
		}
		name := s[:n]
		s = s[n+1:]
		end := strings.IndexByte(s, ',')
		if strings.HasPrefix(s, `"`) {
			if end = strings.IndexByte(s[1:], '"'); end < 0 {
				return attributes{err: syntax("%s: quotes do not end", name)}
			}
			end += 2
		} else if end < 0 {
			end = len(s)
		}
		value := s[:end]
		if value == "" || value[0] != '"' && strings.ContainsAny(value, "\" \t") {
			return attributes{err: syntax("%s: bad value", name)}
		}
		if len(a.list) == maxAttributes {
			return attributes{err: syntax("more than %d attributes", maxAttributes)}
		}
		for i := range a.list {
			if a.list[i].Name == name {
				return attributes{err: syntax("%s twice", name)}
			}
		}
		a.list = append(a.list, Attribute{name, value})
		if s = s[end:]; s != "" {
			if s[0] != ',' || len(s) == 1 {
				return attributes{err: syntax("%s: no attribute behind it", name)}
			}
			s = s[1:]
		}
	}
	return a
}

func (a *attributes) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *attributes) get(name string) (string, bool) {
	for i := range a.list {
		if a.list[i].Name == name {
			return a.list[i].Value, true
		}
	}
	return "", false
}

// require notes an error unless all of the names are there.
func (a *attributes) require(names ...string) {
	for _, n := range names {
		if _, ok := a.get(n); !ok {
			a.fail(syntax("no %s", n))
		}
	}
}

func (a *attributes) quoted(name string) string {
	v, ok := a.get(name)
	if !ok {
		return ""
	}
	if v[0] != '"' {
		a.fail(syntax("%s is not quoted", name))
		return ""
	}
	return v[1 : len(v)-1]
}

func (a *attributes) enum(name string) string {
	v, ok := a.get(name)
	if ok && v[0] == '"' {
		a.fail(syntax("%s is quoted", name))
	}
	return v
}

func (a *attributes) yes(name string) bool {
	v := a.enum(name)
	if v != "" && v != "YES" && v != "NO" {
		a.fail(syntax("%s is neither YES nor NO", name))
	}
	return v == "YES"
}

func (a *attributes) integer(name string) uint64 {
	v, ok := a.get(name)
	if !ok {
		return 0
	}
	n, err := parseInteger(v)
	if err != nil {
		a.fail(fmt.Errorf("%s: %w", name, err))
	}
	return n
}

// count is an integer that fits an int.
func (a *attributes) count(name string) int {
	n := a.integer(name)
	if n > 1<<31-1 {
		a.fail(syntax("%s out of range", name))
		return 0
	}
	return int(n)
}

func (a *attributes) seconds(name string) time.Duration {
	v, ok := a.get(name)
	if !ok {
		return 0
	}
	d, err := parseSeconds(v)
	if err != nil {
		a.fail(fmt.Errorf("%s: %w", name, err))
	}
	return d
}

func (a *attributes) secondsPointer(name string) *time.Duration {
	if _, ok := a.get(name); !ok {
		return nil
	}
	d := a.seconds(name)
	return &d
}

func (a *attributes) date(name string) time.Time {
	v := a.quoted(name)
	if v == "" {
		return time.Time{}
	}
	t, err := parseTime(v)
	if err != nil {
		a.fail(fmt.Errorf("%s: %w", name, err))
	}
	return t
}

func (a *attributes) decimal(name string) float64 {
	v, ok := a.get(name)
	if !ok {
		return 0
	}
	if len(v) > 20 || strings.Trim(v, "0123456789.") != "" {
		a.fail(syntax("%s is not a decimal number", name))
		return 0
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil {
		a.fail(syntax("%s is not a decimal number", name))
	}
	return f
}

func (a *attributes) quotedRange(name string) ByteRange {
	v := a.quoted(name)
	if v == "" {
		return ByteRange{}
	}
	r, err := parseRange(v)
	if err != nil {
		a.fail(fmt.Errorf("%s: %w", name, err))
	}
	return r
}
