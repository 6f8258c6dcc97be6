package peer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"weir/internal/session"
)

// ReservedApp is the application name under which the server serves its own files.
const ReservedApp = "_weir"

// Errors of paths.
var (
	ErrReserved = session.Because(session.Path, errors.New("the name is reserved"))
	ErrPath     = session.Because(session.Path, errors.New("the stream path is not valid"))
)

// comingNames are reserved for protocols that do not exist yet.
var comingNames = []string{"whip", "whep"}

// Reserved is the names that no stream may have because URLs of players need them. The zero value
// has only those of the server itself. It is complete before the first peer comes.
type Reserved struct {
	names     []string
	suffixes  []string
	resources []func(name string) bool
}

// AddSuffix reserves what a request's path has behind the path of the stream: "/index.m3u8" reserves
// the name, ".flv" all names that end in it.
func (r *Reserved) AddSuffix(suffix string) {
	name, whole := strings.CutPrefix(suffix, "/")
	switch {
	case name == "":
	case whole:
		r.names = append(r.names, name)
	default:
		r.suffixes = append(r.suffixes, suffix)
	}
}

// AddResource reserves the names for which is reports true.
func (r *Reserved) AddResource(is func(name string) bool) { r.resources = append(r.resources, is) }

// Check refuses a path with a reserved name: such a stream could not be watched.
func (r *Reserved) Check(path string) error {
	if strings.HasPrefix(path, ReservedApp+"/") {
		return fmt.Errorf("%w: %q", ErrReserved, ReservedApp)
	}
	last := path[strings.LastIndexByte(path, '/')+1:]
	if last == session.MaskedName || slices.Contains(comingNames, last) || slices.Contains(r.names, last) ||
		slices.ContainsFunc(r.resources, func(is func(string) bool) bool { return is(last) }) {
		return fmt.Errorf("%w: %q", ErrReserved, last)
	}
	for _, s := range r.suffixes {
		if strings.HasSuffix(last, s) {
			return fmt.Errorf("%w: a name may not end in %q", ErrReserved, s)
		}
	}
	return nil
}

const (
	maxPath     = 255
	maxSegments = 16
)

// CheckMatch says why a well-formed pattern matches the path of no stream.
func CheckMatch(pattern string) error {
	n, open := 0, false
	for s := range strings.SplitSeq(pattern, "/") {
		if s == "**" {
			open = true
		} else {
			n++
		}
	}
	if strings.ContainsFunc(pattern, func(r rune) bool { return r == '?' || r == '\\' || unicode.IsControl(r) }) {
		return errors.New("a stream's path has no query and no backslash: keys go to publish.keys and play.keys")
	}
	if n > maxSegments || n < 2 && !open {
		return fmt.Errorf("a stream's path is app/name, of 2 to %d segments, such as live/%s", maxSegments, pattern)
	}
	return nil
}

// CheckPath reports what is wrong with the decoded path of a stream. It must be app/name, valid
// UTF-8 of at most 255 bytes and 16 segments, none of them empty, "." or "..", without control and
// bidirectional override characters and backslashes.
func CheckPath(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("%w: longer than %d bytes", ErrPath, maxPath)
	}
	if !utf8.ValidString(path) {
		return fmt.Errorf("%w: not UTF-8", ErrPath)
	}
	if n := strings.Count(path, "/") + 1; n < 2 || n > maxSegments {
		return fmt.Errorf("%w: it is app/name, of 2 to %d segments, such as live/cam", ErrPath, maxSegments)
	}
	for s := range strings.SplitSeq(path, "/") {
		if s == "" || s == "." || s == ".." {
			return fmt.Errorf("%w: a segment is empty, \".\" or \"..\"", ErrPath)
		}
	}
	for _, r := range path {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\\' {
			return fmt.Errorf("%w: it has a control character or a backslash", ErrPath)
		}
	}
	return nil
}
