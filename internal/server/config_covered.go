package server

import (
	"strings"

	"weir/internal/admit"
)

// covering finds which of many patterns hides another one. Every stream that a pattern fits begins with what stands
// before its first *, and so that is looked up: the entries of a thousand channels are not compared in pairs.
type covering struct {
	patterns []string
	exact    map[string]int   // the first of those without a *
	globs    map[string][]int // the others, in their order, by what stands before the first *, without a slash at its end
}

func newCovering() *covering { return &covering{exact: map[string]int{}, globs: map[string][]int{}} }

// add adds a pattern behind the others.
func (c *covering) add(pattern string) {
	i := len(c.patterns)
	c.patterns = append(c.patterns, pattern)
	if star := strings.IndexByte(pattern, '*'); star >= 0 {
		fixed := strings.TrimSuffix(pattern[:star], "/") // ** may be no segment
		c.globs[fixed] = append(c.globs[fixed], i)
	} else if _, earlier := c.exact[pattern]; !earlier {
		c.exact[pattern] = i
	}
}

// of returns the index of the first pattern that fits every stream that another one fits; false if there is none.
func (c *covering) of(pattern string) (first int, found bool) {
	first, found = c.exact[pattern]
	fixed, _, _ := strings.Cut(pattern, "*")
	for n := range len(fixed) + 1 {
		for _, i := range c.globs[fixed[:n]] {
			if found && i > first {
				break
			}
			if admit.Covers(c.patterns[i], pattern) {
				first, found = i, true
				break
			}
		}
	}
	return first, found
}
