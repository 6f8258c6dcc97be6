package rtmp

import (
	"maps"
	"slices"
	"sync"
)

// choosy is the playbacks of players that have announced which codecs they know: each is closed
// once its stream has another codec.
type choosy struct {
	checks sync.WaitGroup // goroutines that close players which lack a codec

	mu      sync.Mutex // guards below
	byPath  map[string]map[*playback]struct{}
	stopped bool // stop was called: no check begins any more
}

func (c *choosy) add(b *playback) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byPath == nil {
		c.byPath = map[string]map[*playback]struct{}{}
	}
	path := b.stream.Path()
	if c.byPath[path] == nil {
		c.byPath[path] = map[*playback]struct{}{}
	}
	c.byPath[path][b] = struct{}{}
}

func (c *choosy) remove(b *playback) {
	c.mu.Lock()
	defer c.mu.Unlock()
	path := b.stream.Path()
	delete(c.byPath[path], b)
	if len(c.byPath[path]) == 0 {
		delete(c.byPath, path)
	}
}

// check looks at the players of a path again, on another goroutine.
func (c *choosy) check(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	players := slices.Collect(maps.Keys(c.byPath[path]))
	if len(players) == 0 || c.stopped {
		return
	}
	c.checks.Go(func() {
		for _, b := range players {
			b.checkCodecsAgain()
		}
	})
}

// stop waits for the checks that run, and lets none begin.
func (c *choosy) stop() {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.checks.Wait()
}

// Retracked implements protocol.Retracker. It is called on the goroutines of publishers, which may
// go on when Run is over.
func (p *Protocol) Retracked(path string) { p.choosy.check(path) }
