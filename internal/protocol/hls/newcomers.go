package hls

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"

	"weir/internal/session"
)

const (
	// newcomerTime is how long after its media playlist a viewer is expected to ask for media.
	newcomerTime = 10 * time.Second
	// newcomerBuckets and newcomersInBucket bound how many are remembered. A viewer that is
	// forgotten loses nothing: its next playlist makes it a newcomer again.
	newcomerBuckets   = 512
	newcomersInBucket = 8
)

// newcomers are the viewers that were given a media playlist and have asked for no media so far.
// They have no session, and newer ones push older ones out. URLs of media carry no id, so that
// caches keep one copy: a viewer that asks for media is recognized by its address.
type newcomers struct {
	seed    maphash.Seed
	buckets [newcomerBuckets]newcomerBucket
}

type newcomerBucket struct {
	mu   sync.Mutex // guards below; a leaf
	list []newcomer // oldest first
}

type newcomer struct {
	addr  netip.Addr
	key   viewerKey
	grant session.Grant
	at    time.Time
	asked bool // for media, but it got no session
}

func newNewcomers() *newcomers { return &newcomers{seed: maphash.MakeSeed()} }

func (n *newcomers) bucket(addr netip.Addr, path string) *newcomerBucket {
	of := struct {
		addr netip.Addr
		path string
	}{addr, path}
	return &n.buckets[maphash.Comparable(n.seed, of)%newcomerBuckets]
}

// note remembers a viewer that is given a media playlist. It reports whether the viewer is known
// and asked for media since.
func (n *newcomers) note(addr netip.Addr, key viewerKey, g session.Grant, now time.Time) (asked bool) {
	b := n.bucket(addr, key.path)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.list {
		if c := &b.list[i]; c.addr == addr && c.key == key {
			c.at = now
			return c.asked
		}
	}
	if len(b.list) == newcomersInBucket {
		b.list = append(b.list[:0], b.list[1:]...)
	}
	key.token = strings.Clone(key.token) // it may be part of a long query
	b.list = append(b.list, newcomer{addr: addr, key: key, grant: g, at: now})
	return false
}

// ask notes that a viewer at an address asks for a stream's media. It returns the newcomer that
// this probably is: the one that has waited longest.
func (n *newcomers) ask(addr netip.Addr, path string, now time.Time) (key viewerKey, g session.Grant, ok bool) {
	b := n.bucket(addr, path)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.list {
		if c := &b.list[i]; c.addr == addr && c.key.path == path && !c.asked && now.Sub(c.at) <= newcomerTime {
			c.asked = true
			return c.key, c.grant, true
		}
	}
	return key, g, false
}

// forget forgets a viewer that has a session.
func (n *newcomers) forget(addr netip.Addr, key viewerKey) {
	b := n.bucket(addr, key.path)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.list {
		if c := &b.list[i]; c.addr == addr && c.key == key {
			b.list = append(b.list[:i], b.list[i+1:]...)
			b.list[:len(b.list)+1][len(b.list)] = newcomer{}
			return
		}
	}
}
