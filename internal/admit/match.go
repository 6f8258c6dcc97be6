package admit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Matcher finds the first of a list of patterns that fits a stream's path. It does not
// change after NewMatcher.
//
// A pattern is a path in which a segment ** stands for any number of segments, none
// included, and a * elsewhere for any run of characters within its segment: live/* is
// every stream of that app with one more segment, live/cam-* some of these, live/** all
// of them, ** every stream.
type Matcher struct {
	exact map[string]int // patterns without *, to their lowest index
	globs []glob         // the other patterns, in order
}

type glob struct {
	index    int
	segments []string
}

const (
	maxPattern  = 255
	maxPatterns = 10_000
)

// PatternError says which pattern NewMatcher refused.
type PatternError struct {
	Index   int
	Pattern string
	Err     error
}

// Error names the pattern and what is wrong with it.
func (e *PatternError) Error() string { return fmt.Sprintf("admit: pattern %q: %v", e.Pattern, e.Err) }

// Unwrap returns what is wrong.
func (e *PatternError) Unwrap() error { return e.Err }

// NewMatcher compiles patterns, at most 10,000. It fails with a *PatternError for
// one that is empty, longer than 255 bytes, has an empty segment, or a ** that is not a
// segment of its own.
func NewMatcher(patterns []string) (*Matcher, error) {
	if len(patterns) > maxPatterns {
		return nil, fmt.Errorf("admit: more than %d patterns", maxPatterns)
	}
	m := &Matcher{exact: map[string]int{}}
	for i, p := range patterns {
		if err := CheckPattern(p); err != nil {
			return nil, &PatternError{i, p, err}
		}
		if !strings.Contains(p, "*") {
			if _, earlier := m.exact[p]; !earlier {
				m.exact[p] = i
			}
			continue
		}
		m.globs = append(m.globs, glob{i, strings.Split(p, "/")})
	}
	return m, nil
}

// CheckPattern says what is wrong with a pattern. It returns nil for a well-formed one.
func CheckPattern(p string) error {
	switch {
	case p == "":
		return errors.New("is empty; ** is every stream")
	case len(p) > maxPattern:
		return fmt.Errorf("is longer than %d bytes", maxPattern)
	}
	for s := range strings.SplitSeq(p, "/") {
		switch {
		case s == "":
			return errors.New("has an empty segment")
		case s == "." || s == "..":
			return fmt.Errorf("has a segment %s, which no stream has", s)
		case s != "**" && strings.Contains(s, "**"):
			return errors.New("has a ** that is not a segment of its own")
		}
	}
	return nil
}

// Match returns the index of the first pattern that fits path, or -1.
func (m *Matcher) Match(path string) int {
	best, found := m.exact[path]
	for i := range m.globs {
		g := &m.globs[i]
		if found && g.index > best {
			break
		}
		if matchSegments(g.segments, path) {
			return g.index
		}
	}
	if found {
		return best
	}
	return -1
}

// matchSegments matches with one point to return to, the last **. What an earlier ** matched never needs to change.
func matchSegments(segments []string, path string) bool {
	rest, more := path, true // more: rest begins a segment and is not the end
	var retry []string       // after the last **
	retryAt, retryMore := "", false
	for {
		if len(segments) > 0 && segments[0] == "**" {
			segments = segments[1:]
			if len(segments) == 0 {
				return true
			}
			retry, retryAt, retryMore = segments, rest, more
			continue
		}
		if !more && len(segments) == 0 {
			return true
		}
		if more && len(segments) > 0 {
			head, tail, next := strings.Cut(rest, "/")
			if matchSegment(segments[0], head) {
				segments, rest, more = segments[1:], tail, next
				continue
			}
		}
		if !retryMore {
			return false
		}
		_, retryAt, retryMore = strings.Cut(retryAt, "/")
		segments, rest, more = retry, retryAt, retryMore
	}
}

// matchSegment matches one segment, with its *s, in the same way.
func matchSegment(pattern, s string) bool {
	if pattern == "*" {
		return true
	}
	p, i := 0, 0
	star, from := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// Covers reports whether earlier fits every stream that later fits. Both are well formed (see
// CheckPattern), and a stream's path has at least two segments.
//
// A * of later is read as a letter that no pattern has: what accepts that letter in earlier accepts
// everything that the * can stand for. A ** is read as any number of segments of that letter. So it
// is enough to follow which positions in earlier can be reached by reading later.
func Covers(earlier, later string) bool {
	const wild = "\x00" // no path has it
	want := strings.Split(earlier, "/")
	start := make([]bool, len(want)+1)
	start[0] = true
	// One for each way of reading later so far that ends at other positions.
	reached := []reading{{at: skipAny(want, start)}}
	for s := range strings.SplitSeq(later, "/") {
		if s != "**" {
			for i, r := range reached {
				reached[i] = r.step(want, strings.ReplaceAll(s, "*", wild))
			}
			continue
		}
		for i := 0; i < len(reached); i++ { // also the elements appended here
			next := reached[i].step(want, wild)
			if !slices.ContainsFunc(reached, next.equal) {
				reached = append(reached, next)
			}
		}
	}
	return !slices.ContainsFunc(reached, func(r reading) bool { return r.segments >= 2 && !r.at[len(want)] })
}

// reading is a way to read a pattern: how many segments it took, counted up to two, and at which
// positions of the other pattern it ends.
type reading struct {
	segments int
	at       []bool
}

func (r reading) equal(o reading) bool { return r.segments == o.segments && slices.Equal(r.at, o.at) }

// step reads one more segment.
func (r reading) step(pattern []string, segment string) reading {
	return reading{min(r.segments+1, 2), step(pattern, r.at, segment)}
}

// step returns the positions in segments that one segment of a path reaches from those in at.
func step(segments []string, at []bool, segment string) []bool {
	next := make([]bool, len(at))
	for i, s := range segments {
		switch {
		case !at[i]:
		case s == "**":
			next[i] = true
		case matchSegment(s, segment):
			next[i+1] = true
		}
	}
	return skipAny(segments, next)
}

// skipAny adds the positions that are reached if a ** matches no segment.
func skipAny(segments []string, at []bool) []bool {
	for i, s := range segments {
		if at[i] && s == "**" {
			at[i+1] = true
		}
	}
	return at
}
