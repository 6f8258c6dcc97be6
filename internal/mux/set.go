// Package mux runs encoders: for each stream and variant in demand, one that turns frames into the
// bytes of a shared fanout.Log. Its first player starts it, and it stops a while after the last has
// left. The package knows no format: each format brings its own Variant and Encoder.
//
// What is encoded does not depend on who reads it: players that want other headers or other
// media get another Variant, not a private copy.
package mux

import (
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/fanout"
	"weir/internal/stream"
)

const (
	// maxVariants bounds the encoders of one stream in one format. No format has so many variants today.
	maxVariants = 16
	// idleTime is how long a muxer outlives its last player.
	idleTime = 10 * time.Second
)

// ErrTooManyVariants refuses a player that would need one more encoder than a stream may have
// in the player's format.
var ErrTooManyVariants = errors.New("mux: the stream is played in too many variants of this format already")

// ErrEnded refuses a player of a stream that has ended meanwhile.
var ErrEnded = errors.New("mux: stream has ended")

// Set owns the running muxers of all streams.
type Set struct {
	engine *fanout.Engine
	slow   func(path string) fanout.SlowPolicy

	leadBytes atomic.Int64 // of the leads not released yet

	mu sync.Mutex // guards below, and the fields of muxers that say so; no other lock is taken under it
	m  map[*stream.Stream]map[Variant]*Muxer
}

// NewSet returns an empty set whose players e serves. slow returns the policy of a stream for slow players.
func NewSet(e *fanout.Engine, slow func(path string) fanout.SlowPolicy) *Set {
	return &Set{engine: e, slow: slow, m: map[*stream.Stream]map[Variant]*Muxer{}}
}

// Open returns the muxer of s in this variant, and starts it if necessary. The player must call
// Release once when it no longer reads the log. It fails with ErrTooManyVariants or ErrEnded. The
// first player's Open encodes what the stream keeps of its frames. Others that want the same wait
// for that, and nobody else does.
func (set *Set) Open(s *stream.Stream, v Variant) (*Muxer, error) {
	m, isNew, err := set.enter(s, v)
	if err != nil {
		return nil, err
	}
	if isNew {
		if m.attached = s.Attach(m); !m.attached {
			set.remove(m)
		}
		close(m.ready)
	}
	<-m.ready
	if !m.attached {
		return nil, ErrEnded
	}
	return m, nil
}

// enter counts one more player of a muxer, and makes the muxer if there is none: then the caller attaches it.
func (set *Set) enter(s *stream.Stream, v Variant) (m *Muxer, isNew bool, err error) {
	set.mu.Lock()
	defer set.mu.Unlock()
	m = set.m[s][v]
	if m == nil {
		if count(set.m[s], v.Format()) >= maxVariants {
			return nil, false, ErrTooManyVariants
		}
		m, isNew = set.newMuxer(s, v), true
		if set.m[s] == nil {
			set.m[s] = map[Variant]*Muxer{}
		}
		set.m[s][v] = m
	}
	if m.idle != nil {
		m.idle.Stop()
		m.idle = nil
	}
	m.users++
	return m, isNew, nil
}

// remove takes a muxer out of the set.
func (set *Set) remove(m *Muxer) {
	set.mu.Lock()
	defer set.mu.Unlock()
	set.removeLocked(m)
}

// removeLocked is remove. mu is held.
func (set *Set) removeLocked(m *Muxer) {
	delete(set.m[m.stream], m.variant)
	if len(set.m[m.stream]) == 0 {
		delete(set.m, m.stream)
	}
}

// count returns how many of the variants are of a format.
func count(of map[Variant]*Muxer, format string) int {
	n := 0
	for v := range of {
		if v.Format() == format {
			n++
		}
	}
	return n
}

func (set *Set) newMuxer(s *stream.Stream, v Variant) *Muxer {
	return &Muxer{
		set: set, stream: s, variant: v, encoder: v.NewEncoder(), log: set.engine.NewLog(set.options(s)), ready: make(chan struct{}),
	}
}

// options returns the options of a stream's logs.
func (set *Set) options(s *stream.Stream) fanout.LogOptions {
	st := s.Settings()
	return fanout.LogOptions{
		Bounds: fanout.Bounds{GOPs: st.Cache.GOPs, Bytes: st.Cache.Bytes, Frames: st.Cache.Frames, Time: st.Cache.Time},
		Slow:   set.slow(s.Path()),
		Low:    st.Low,
	}
}

// Refresh gives the logs of running muxers the present settings of their streams.
func (set *Set) Refresh() {
	set.mu.Lock()
	defer set.mu.Unlock()
	for s, of := range set.m {
		for _, m := range of {
			m.log.SetOptions(set.options(s))
		}
	}
}

// Options yields the options of the running muxers' logs.
func (set *Set) Options() iter.Seq[fanout.LogOptions] {
	return func(yield func(fanout.LogOptions) bool) {
		set.mu.Lock()
		defer set.mu.Unlock()
		for _, of := range set.m {
			for _, m := range of {
				if !yield(m.log.Options()) {
					return
				}
			}
		}
	}
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
