package server

import (
	"testing"

	"pgregory.net/rapid"

	"weir/internal/admit"
)

// TestCovering: it finds what comparing in pairs finds, of patterns that streams have: all have a slash.
func TestCovering(t *testing.T) {
	t.Parallel()
	segment := rapid.SampledFrom([]string{"live", "lives", "l*", "*", "*e", "**", "a", "a*b", "ab"})
	rapid.Check(t, func(t *rapid.T) {
		c := newCovering()
		for range rapid.IntRange(1, 12).Draw(t, "n") {
			pattern := segment.Draw(t, "first")
			for _, s := range rapid.SliceOfN(segment, 1, 3).Draw(t, "rest") {
				pattern += "/" + s
			}
			want, covered := 0, false
			for i, earlier := range c.patterns {
				if admit.Covers(earlier, pattern) {
					want, covered = i, true
					break
				}
			}
			if got, found := c.of(pattern); found != covered || found && got != want {
				t.Fatalf("%q behind %q: %d %v, want %d %v", pattern, c.patterns, got, found, want, covered)
			}
			c.add(pattern)
		}
	})
}
