package fanout

import (
	"io"
	"net"
	"sync"
	"time"
)

// portableChunk bounds what is handed to the goroutine at a time, so that a player's lag, which
// does not count it, stays about right.
const portableChunk = 64 << 10

// portableSink sends through ordinary blocking writes on a goroutine of its own: for
// systems without non-blocking sends, and for HTTP/2.
type portableSink struct {
	w     io.WriteCloser
	flush func() error // may be nil
	in    chan []byte
	stop  chan struct{}
	once  sync.Once

	mu    sync.Mutex // guards below
	busy  bool
	err   error
	armed Writable
}

// Portable returns a sink that writes to c on a goroutine.
func (e *Engine) Portable(c net.Conn) Sink {
	bound(c)
	return e.Writer(c, nil)
}

// Writer returns a sink that writes to w on a goroutine and calls flush, if not nil,
// after each write. Closing w must end a blocked Write.
func (e *Engine) Writer(w io.WriteCloser, flush func() error) Sink {
	s := &portableSink{w: w, flush: flush, in: make(chan []byte, 1), stop: make(chan struct{})}
	e.events.Go(s.run)
	return s
}

func (s *portableSink) run() {
	for {
		var p []byte
		select {
		case <-s.stop:
			return
		case p = <-s.in:
		}
		_, err := s.w.Write(p)
		if err == nil && s.flush != nil {
			err = s.flush()
		}
		s.mu.Lock()
		s.busy = false
		if s.err == nil {
			s.err = err
		}
		w := s.armed
		s.armed = nil
		s.mu.Unlock()
		if w != nil {
			w.Writable()
		}
	}
}

func (s *portableSink) TrySend(p []byte) (int, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.busy || len(p) == 0 {
		return 0, s.busy, s.err
	}
	p = p[:min(len(p), portableChunk)]
	s.busy = true
	s.in <- p // never blocks: one slot, and the goroutine is idle
	return len(p), true, nil
}

func (s *portableSink) Arm(w Writable) {
	s.mu.Lock()
	if s.busy && s.err == nil {
		s.armed = w
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	w.Writable()
}

func (s *portableSink) Close() error {
	s.once.Do(func() { close(s.stop) })
	if d, ok := s.w.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(time.Now()) // ends a write in progress
	}
	return s.w.Close()
}
