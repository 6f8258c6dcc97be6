package mux

import (
	"time"

	"weir/internal/fanout"
	"weir/internal/stream"
)

// Muxer is the running encoder of one stream in one variant, with its log. The stream calls it.
type Muxer struct {
	set     *Set
	stream  *stream.Stream
	variant Variant
	log     *fanout.Log

	ready    chan struct{} // closed once the first Open has attached it, or could not
	attached bool          // that it could; set before ready is closed

	// Guarded by set.mu.
	users int
	idle  *time.Timer

	encoder Encoder // used under the stream's lock only
	leads   leads
}

// Log returns the log that players read.
func (m *Muxer) Log() *fanout.Log { return m.log }

// Append implements stream.Muxer.
func (m *Muxer) Append(e *stream.Entry) { m.encoder.Append(e, m.log) }

// Flush implements stream.Muxer.
func (m *Muxer) Flush() { m.log.DropSyncs() }

// Idle implements stream.Idler: players that join now wait for the next publisher.
func (m *Muxer) Idle() { m.log.DropSyncs() }

// End implements stream.Muxer: the encoder writes the end of its format, and the log is closed.
func (m *Muxer) End() {
	if r, ok := m.variant.(Refuser); ok {
		if cause := m.stream.Unbegun(); cause != nil {
			m.log.Close(r.Refuse(cause))
			return
		}
	}
	m.log.Close(m.encoder.End(m.log))
}

// Wake implements stream.Muxer.
func (m *Muxer) Wake() { m.log.Wake() }

// Release says that one player no longer reads m.
func (m *Muxer) Release() {
	set := m.set
	set.mu.Lock()
	defer set.mu.Unlock()
	if m.users--; m.users == 0 {
		m.idle = time.AfterFunc(idleTime, m.stop)
	}
}

// stop ends a muxer that has had no player for a while. A player may have come and gone while the
// timer waited for the lock: then there is another timer, and the second of them finds m removed.
func (m *Muxer) stop() {
	set := m.set
	set.mu.Lock()
	if m.users > 0 || set.m[m.stream][m.variant] != m {
		set.mu.Unlock()
		return
	}
	set.removeLocked(m)
	set.mu.Unlock()
	m.stream.Detach(m)
	m.log.Close(nil)
}
