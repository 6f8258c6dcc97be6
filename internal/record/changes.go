package record

import "time"

// Bounds of the files that are begun because the stream changes, as at another codec: maxChanges at once, and then one each changeEvery. A publisher that
// changes more often would make files without end.
const (
	maxChanges  = 8
	changeEvery = 5 * time.Second
)

// changes counts them.
type changes struct {
	used  int
	since time.Time // when the oldest that counts was, or was forgotten
	told  bool      // that there are too many
}

// room reports whether the stream may change once more.
func (c *changes) room(now time.Time) bool {
	if n := int(now.Sub(c.since) / changeEvery); n > 0 {
		c.used = max(c.used-n, 0)
		c.since = c.since.Add(time.Duration(n) * changeEvery)
	}
	return c.used < maxChanges
}

// note counts one.
func (c *changes) note(now time.Time) {
	if c.used == 0 {
		c.since, c.told = now, false
	}
	c.used++
}
