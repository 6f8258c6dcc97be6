package peer

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"weir/internal/session"
)

// Last segments of a path that players' URLs need, and ends of names likewise.
var (
	reservedNames    = map[string]bool{"index.m3u8": true, "whip": true, "whep": true, "snapshot.jpg": true, "snapshot.mp4": true}
	reservedSuffixes = []string{".flv", ".ts", ".m3u8"}
)

// ReservedApp is the application under which the server has files of its own.
const ReservedApp = "_weir"

// Errors of paths.
var (
	ErrReserved = session.Because(session.Path, errors.New("the name is reserved"))
	ErrPath     = session.Because(session.Path, errors.New("the stream path is not valid"))
)

// CheckPublishPath refuses paths under which a stream could not be watched.
func CheckPublishPath(path string) error {
	if strings.HasPrefix(path, ReservedApp+"/") {
		return fmt.Errorf("%w: %q", ErrReserved, ReservedApp)
	}
	last := path[strings.LastIndexByte(path, '/')+1:]
	if reservedNames[last] {
		return fmt.Errorf("%w: %q", ErrReserved, last)
	}
	for _, s := range reservedSuffixes {
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

// CheckMatch says why a pattern matches no stream's path, though it is well formed.
func CheckMatch(pattern string) error {
	n, open := 0, false
	for s := range strings.SplitSeq(pattern, "/") {
		if s == "**" {
			open = true
		} else {
			n++
		}
	}
	if n > maxSegments || n < 2 && !open {
		return fmt.Errorf("a stream's path is app/name, of 2 to %d segments, such as live/%s", maxSegments, pattern)
	}
	return nil
}

// CheckPath reports what is wrong with a decoded path of a stream: it is app/name, valid
// UTF-8 of at most 255 bytes and 16 segments, none of them empty, "." or "..", without
// control and bidirectional override characters and backslashes.
func CheckPath(path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("%w: longer than %d bytes", ErrPath, maxPath)
	}
	if !utf8.ValidString(path) {
		return fmt.Errorf("%w: not UTF-8", ErrPath)
	}
	if n := strings.Count(path, "/") + 1; n < 2 || n > maxSegments {
		return fmt.Errorf("%w: it is app/name, of 2 to %d segments", ErrPath, maxSegments)
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
