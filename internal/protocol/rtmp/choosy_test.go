package rtmp

import "testing"

// TestNoCheckBeginsAfterStop: a publisher that goes on after the protocol's end starts no goroutine that
// nobody would wait for.
func TestNoCheckBeginsAfterStop(t *testing.T) {
	c := choosy{byPath: map[string]map[*playback]struct{}{"live/a": {{}: {}}}}
	c.stop()
	c.check("live/a") // looking at a playback without a stream would panic
	c.checks.Wait()
}
