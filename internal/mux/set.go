// Package mux runs the muxers: for each stream and wire format in demand, one encoder
// that turns frames into the bytes of a shared fanout.Log. A muxer is started by its
// first player and stopped a while after its last.
//
// What is encoded does not depend on who reads it: players that want another stream
// id, other headers or other media get another Variant, not a private copy.
package mux

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"weir/internal/fanout"
	"weir/internal/stream"
)

const (
	// maxVariants bounds the encoders of one stream.
	maxVariants = 16
	// idleTime is how long a muxer outlives its last player.
	idleTime = 10 * time.Second
)

// ErrTooManyVariants refuses a player that would need one more encoder than a stream may have.
var ErrTooManyVariants = errors.New("mux: too many different players of this stream")

// ErrEnded refuses a player of a stream that has ended meanwhile.
var ErrEnded = errors.New("mux: stream has ended")

// Set owns the running muxers of all streams.
type Set struct {
	engine *fanout.Engine
	slow   func(path string) fanout.SlowPolicy

	mu sync.Mutex // guards below
	m  map[*stream.Stream]map[Variant]*Muxer
}

// NewSet returns an empty set whose players e serves; slow returns a stream's policy
// for players that cannot keep up.
func NewSet(e *fanout.Engine, slow func(path string) fanout.SlowPolicy) *Set {
	return &Set{engine: e, slow: slow, m: map[*stream.Stream]map[Variant]*Muxer{}}
}

// Open returns the running muxer of s in this variant, started if need be. The player
// calls Release once when it no longer reads the muxer's log.
func (set *Set) Open(s *stream.Stream, v Variant) (*Muxer, error) {
	set.mu.Lock()
	defer set.mu.Unlock()
	of := set.m[s]
	m := of[v]
	if m == nil {
		if len(of) >= maxVariants {
			return nil, fmt.Errorf("%w: %d", ErrTooManyVariants, maxVariants)
		}
		m = set.newMuxer(s, v)
		if !s.Attach(m) {
			return nil, ErrEnded
		}
		if of == nil {
			of = map[Variant]*Muxer{}
			set.m[s] = of
		}
		of[v] = m
	}
	if m.idle != nil {
		m.idle.Stop()
		m.idle = nil
	}
	m.users++
	return m, nil
}

func (set *Set) newMuxer(s *stream.Stream, v Variant) *Muxer {
	st := s.Settings()
	return &Muxer{
		set: set, stream: s, variant: v,
		log: set.engine.NewLog(fanout.LogOptions{
			Bounds: fanout.Bounds{GOPs: st.Cache.GOPs, Bytes: st.Cache.Bytes, Frames: st.Cache.Frames, Time: st.Cache.Time},
			Slow:   set.slow(s.Path()),
			Low:    st.Low,
		}),
	}
}

// Release says that one player no longer reads m.
func (m *Muxer) Release() {
	set := m.set
	set.mu.Lock()
	defer set.mu.Unlock()
	if m.users--; m.users == 0 {
		m.idle = time.AfterFunc(idleTime, m.stop)
	}
}

// stop ends a muxer that nobody has read for a while.
func (m *Muxer) stop() {
	set := m.set
	set.mu.Lock()
	if m.users > 0 {
		set.mu.Unlock()
		return
	}
	delete(set.m[m.stream], m.variant)
	if len(set.m[m.stream]) == 0 {
		delete(set.m, m.stream)
	}
	set.mu.Unlock()
	m.stream.Detach(m)
	m.log.Close()
}

// Len returns the number of running muxers.
func (set *Set) Len() int {
	set.mu.Lock()
	defer set.mu.Unlock()
	n := 0
	for _, of := range set.m {
		n += len(of)
	}
	return n
}
