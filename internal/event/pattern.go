package event

import (
	"fmt"
	"slices"
	"strings"
)

// HasStream reports whether events of a type are about a stream.
func HasStream(typ string) bool {
	return !slices.Contains([]string{Disconnect, LimitReached, ServerStart, ServerStop, ConfigReloaded, HookDropped}, typ)
}

// CheckPattern refuses a pattern, as Matches has them, that fits no type, and names the nearest one.
func CheckPattern(pattern string) error {
	types := Types()
	if slices.ContainsFunc(types, func(t string) bool { return Matches([]string{pattern}, t) }) {
		return nil
	}
	hint := ";"
	if near := nearest(pattern, types); near != "" {
		hint = fmt.Sprintf(", did you mean %q?", near)
	}
	return fmt.Errorf("there is no event %.64q%s there are %s, and %q is all that begin so", pattern, hint, strings.Join(types, ", "), "publish.*")
}

// nearest returns the type that a word is most like; empty if it is like none.
func nearest(word string, types []string) string {
	best, least := "", max(len(word)/2, 3)+1
	if len(word) > maxWord {
		return ""
	}
	for _, t := range types {
		if d := distance(word, t); d < least {
			best, least = t, d
		}
	}
	return best
}

// maxWord bounds what is compared with the types, in bytes.
const maxWord = 40

// distance returns how many letters have to be changed, put in or left out to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, before+1)
		}
	}
	return row[len(b)]
}
