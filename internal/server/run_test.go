package server

import (
	"context"
	"errors"
	"net"
	"testing"

	"go.uber.org/goleak"

	"weir/internal/session"
	"weir/internal/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fresh is a server that has not been run.
func fresh(t *testing.T) *Server {
	t.Helper()
	s, err := New(configured(t, "admin.listen=127.0.0.1:0"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// places returns where s listens.
func places(t *testing.T, s *Server) map[string]net.Addr {
	t.Helper()
	at := map[string]net.Addr{}
	for name, l := range s.listeners {
		if l.Active() {
			at[name] = l.Listener.Addr()
		}
	}
	if at["http"] == nil || at["admin"] == nil {
		t.Error("it did not listen")
	}
	return at
}

// isFree fails the test if something still listens there.
func isFree(t *testing.T, places map[string]net.Addr) {
	t.Helper()
	for name, addr := range places {
		ln, err := net.Listen("tcp", addr.String())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = ln.Close()
	}
}

// A server that never runs is closed, and nothing of it is left: TestMain looks for goroutines.
func TestCloseWithoutRun(t *testing.T) {
	s := fresh(t)
	at := places(t, s)
	var cause error
	if _, err := s.hub.Publish("live/a", stream.Info{End: func(err error) { cause = err }}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	isFree(t, at)
	if !errors.Is(cause, session.ErrShutdown) {
		t.Errorf("a publisher within the program ends with %v", cause)
	}
	if err := s.Run(t.Context()); !errors.Is(err, ErrNotFresh) {
		t.Errorf("Run after Close: %v", err)
	}
	if _, err := s.hub.Publish("live/b", stream.Info{}); err == nil {
		t.Error("a closed server takes a publisher")
	}
}

func TestCloseWhileRunning(t *testing.T) {
	s := fresh(t)
	at := places(t, s)
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	running := make(chan struct{})
	go func() { // both return once nothing is left
		s.Close()
		close(running)
	}()
	s.Close()
	<-running
	if err := <-done; err != nil && !errors.Is(err, ErrNotFresh) { // Close may have come first
		t.Errorf("Run: %v", err)
	}
	isFree(t, at)
}

func TestRunTwice(t *testing.T) {
	s := fresh(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); !errors.Is(err, ErrNotFresh) {
		t.Errorf("the second Run: %v", err)
	}
	s.Close()
}
