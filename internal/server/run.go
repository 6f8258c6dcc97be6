package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"weir/internal/event"
	"weir/internal/session"
	"weir/internal/version"
)

// ErrNotFresh is the error of Run for a server that was run or closed before.
var ErrNotFresh = errors.New("server: it was run or closed before; make a new one")

// begin makes the caller responsible for the server's end. It returns false if another already is.
func (s *Server) begin(stop context.CancelCauseFunc) bool {
	s.life.Lock()
	defer s.life.Unlock()
	if s.over != nil {
		return false
	}
	s.stop, s.over = stop, make(chan struct{})
	return true
}

// Run serves until ctx ends, Close is called or a service fails, then ends every session and waits for
// all of it. It returns nil unless a service failed. A server is run once.
func (s *Server) Run(ctx context.Context) error {
	running, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	if !s.begin(stop) {
		return ErrNotFresh
	}
	defer close(s.over)
	var wg sync.WaitGroup
	for _, p := range s.services {
		wg.Go(func() {
			if err := p.run(running); err != nil {
				stop(fmt.Errorf("%s: %w", p.name, err))
			}
		})
	}
	s.events.Publish(event.Event{Type: event.ServerStart, Data: map[string]any{"version": version.Get().Version}})
	s.ready.Store(true)
	defer context.AfterFunc(ctx, func() {
		s.drain(running)
		stop(session.ErrShutdown)
	})()
	<-running.Done()
	s.ready.Store(false)
	cause := context.Cause(running)
	why := cause
	if ctx.Err() != nil && errors.Is(cause, session.ErrShutdown) { // whoever ended ctx may have said why
		why = context.Cause(ctx)
	}
	s.log.Info("stopping", slog.Any("cause", why), slog.Int("sessions", s.sessions.Len()))
	s.sessions.CloseAll(session.ErrShutdown)
	s.hub.Close(session.ErrShutdown)
	wg.Wait()
	s.sessions.Wait()
	s.tracker.Close(session.Shutdown)
	s.events.Publish(event.Event{Type: event.ServerStop})
	s.hooks.Close()
	s.summary()
	s.release()
	if errors.Is(cause, session.ErrShutdown) {
		return nil
	}
	return cause
}

// drainStep is how often a server that drains looks whether it is empty.
const drainStep = 100 * time.Millisecond

// drain refuses new sessions, and waits until all sessions have ended by themselves, for the time that the
// configuration has for it at most, or until ctx ends.
func (s *Server) drain(ctx context.Context) {
	most := s.current.Load().conf.Drain
	if most <= 0 {
		return
	}
	s.ready.Store(false)
	s.sessions.Refuse(session.ErrShutdown)
	s.log.Info("draining: new sessions are refused", slog.Duration("for", most), slog.Int("sessions", s.sessions.Len()))
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	for s.sessions.Len() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Close ends the server, whether it runs or not, and returns once it has ended completely. It may
// be called more than once, and at any time.
func (s *Server) Close() {
	if s.begin(func(error) {}) { // it never ran
		s.sessions.CloseAll(session.ErrShutdown)
		s.hub.Close(session.ErrShutdown)
		s.release()
		close(s.over)
		return
	}
	s.stop(session.ErrShutdown)
	<-s.over
}

// release gives back what no service owns, once all sessions have ended.
func (s *Server) release() {
	if s.hooks != nil {
		s.hooks.Close()
	}
	if s.pulls != nil {
		s.pulls.Close()
	}
	s.records.Close()
	s.archive.Close()
	for _, l := range s.listeners { // services have closed most of them
		_ = l.Close()
	}
	s.engine.Close()
	if s.poller != nil {
		s.poller.Close()
	}
	if s.traces != nil {
		s.traces.Close()
	}
}
