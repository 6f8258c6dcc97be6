package rtmp

import (
	"maps"
	"slices"
	"sync"
)

// choosy is the playbacks of players that have announced which codecs they know: each is closed
// once its stream has another codec.
type choosy struct {
	mu     sync.Mutex // guards below
	byPath map[string]map[*playback]struct{}
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

func (c *choosy) of(path string) []*playback {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.byPath[path]))
}

// Retracked implements protocol.Retracker.
func (p *Protocol) Retracked(path string) {
	players := p.choosy.of(path)
	if len(players) == 0 {
		return
	}
	p.wg.Go(func() {
		for _, b := range players {
			b.recheck()
		}
	})
}
